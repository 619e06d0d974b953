import type { LookupAddress } from 'node:dns';
import { connect, type Socket } from 'node:net';
import { getSystemErrorMessage } from 'node:util';
import { hostPort } from './origin.ts';

/** RFC 8305 section 5, "Connection Attempt Delay". */
const attemptDelayMs = 250;

/** Time without traffic after which the kernel asks whether the other side still exists. */
const keepAliveProbeMs = 60_000;

/** An address that could not be reached. */
export interface ConnectFailure {
  /** `1.2.3.4:443` or `[::1]:443`. */
  readonly address: string;
  readonly error: NodeJS.ErrnoException;
}

export interface RaceResult {
  /** Connected, without listeners, nothing read yet; null when every address failed. */
  readonly socket: Socket | null;
  /** Where the socket is connected to, empty without a socket. */
  readonly address: string;
  readonly failures: readonly ConnectFailure[];
}

export interface Race {
  /** The addresses tried so far, in the order of the attempts, as `1.2.3.4:443`. Grows while the race runs. */
  readonly tried: readonly string[];
  /** Closes all attempts; the callback is not called any more. */
  cancel(): void;
}

/**
 * Connects to the first address that answers, as RFC 8305 says: families take turns, beginning with the family of the first address; a
 * further attempt starts when the last one failed or after 250 ms; the first connection wins and the others are closed.
 *
 * Node's own `autoSelectFamily` is not this: it gives each address its time alone and then closes it, so that a place further away
 * than that time is lost, however many addresses it has. It also reports neither the failures beside a success nor what is being tried.
 *
 * @param addresses - At least one.
 * @param done - Called once, never before this function has returned.
 */
export function raceToConnect(
  addresses: readonly LookupAddress[],
  port: number,
  done: (result: RaceResult) => void,
): Race {
  const order = interleaveFamilies(addresses);
  const tried: string[] = [];
  const failures: ConnectFailure[] = [];
  const running = new Set<Socket>();
  let nextAttempt: NodeJS.Timeout | undefined;
  let finished = false;

  function startNext(): void {
    clearTimeout(nextAttempt);
    const host = order[tried.length]?.address;
    if (host === undefined) {
      if (running.size === 0) done({ socket: null, address: '', failures });
      return;
    }
    const address = hostPort(host, port);
    tried.push(address);
    const socket = connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveProbeMs });
    running.add(socket);
    socket.once('connect', onConnect);
    socket.once('error', onError);
    if (tried.length < order.length) nextAttempt = setTimeout(startNext, attemptDelayMs);

    function onConnect(): void {
      if (finished) return;
      socket.off('error', onError);
      running.delete(socket);
      cancel();
      done({ socket, address, failures });
    }

    function onError(error: NodeJS.ErrnoException): void {
      // An error that was on its way when the race ended still arrives, so the losers keep this listener.
      if (finished) return;
      running.delete(socket);
      failures.push({ address, error });
      startNext();
    }
  }

  function cancel(): void {
    finished = true;
    clearTimeout(nextAttempt);
    for (const socket of running) socket.destroy();
  }

  startNext();
  return { tried, cancel };
}

/** Alternates between IPv4 and IPv6 and keeps the order within each (RFC 8305 section 4). */
export function interleaveFamilies(addresses: readonly LookupAddress[]): readonly LookupAddress[] {
  const preferred = addresses.filter(({ family }) => family === addresses[0]?.family);
  if (preferred.length === addresses.length) return addresses;
  const other = addresses.filter(({ family }) => family !== addresses[0]?.family);
  const order: LookupAddress[] = [];
  for (let index = 0; index < Math.max(preferred.length, other.length); index += 1) {
    order.push(...preferred.slice(index, index + 1), ...other.slice(index, index + 1));
  }
  return order;
}

/**
 * The same addresses, each family beginning with another one: connections are spread over the servers that share a name.
 * Which family comes first stays the system's choice.
 *
 * @param random - From 0 up to 1.
 */
export function startAnywhere(addresses: readonly LookupAddress[], random: number): readonly LookupAddress[] {
  if (addresses.length === 1) return addresses;
  const first = addresses.filter(({ family }) => family === addresses[0]?.family);
  const others = addresses.filter(({ family }) => family !== addresses[0]?.family);
  return [first, others].flatMap((list) => {
    const start = Math.floor(random * list.length);
    return [...list.slice(start), ...list.slice(0, start)];
  });
}

/** `1.2.3.4:443: connection refused`, one after the other. */
export function describeFailures(failures: readonly ConnectFailure[]): string {
  return failures.map(({ address, error }) => `${address}: ${describeSystemError(error)}`).join(', ');
}

function describeSystemError(error: NodeJS.ErrnoException): string {
  return error.errno === undefined ? error.message : getSystemErrorMessage(error.errno);
}
