import { startRawProvider, type RawConnection, type RecordedRequest } from '../support/mock-provider.ts';
import type { CertificateFixture } from '../support/tls-fixtures.ts';

/** What a provider does with one request. It has all of it when this is called. */
export type Fault = (call: FaultCall) => void;

/** A request at the provider, the means to answer it badly, and what became of its connection. */
export class FaultCall {
  readonly request: RecordedRequest;
  /** Requests on this connection so far, this one included. */
  readonly turn: number;
  /** Bytes of the answer so far. */
  bytesSent = 0;
  /** Who ended the connection first, in this call or when it was idle after it; null while it is open. */
  closedBy: 'gateway' | 'provider' | null = null;
  /** The next one on the same connection. */
  next: FaultCall | null = null;
  readonly #connection: RawConnection;

  constructor(connection: RawConnection, request: RecordedRequest, turn: number) {
    this.#connection = connection;
    this.request = request;
    this.turn = turn;
  }

  get isOpen(): boolean {
    return this.#connection.closedAt === null && this.closedBy === null;
  }

  send(bytes: Buffer): void {
    if (!this.isOpen || bytes.length === 0) return;
    this.bytesSent += bytes.length;
    this.#connection.socket.write(bytes);
  }

  /** Ends the connection in order, with a FIN. */
  close(): void {
    this.closedBy ??= 'provider';
    this.#connection.socket.end();
  }

  /** Ends it with a RST. */
  reset(): void {
    this.closedBy ??= 'provider';
    this.#connection.socket.resetAndDestroy();
  }
}

/** A provider on a raw socket that does with each request what its script says. Give it to `await using`. */
export interface FaultProvider extends AsyncDisposable {
  readonly url: string;
  /** Every request that arrived whole, in order. */
  readonly calls: FaultCall[];
  /** Chooses what happens to a request. */
  script: (request: RecordedRequest) => Fault;
  /** Connections that are open on this side. */
  openConnections(): number;
  /** Forgets calls and closed connections: a long run would collect them. */
  forget(): void;
}

export async function startFaultProvider(options: { readonly tls?: CertificateFixture } = {}): Promise<FaultProvider> {
  const calls: FaultCall[] = [];
  // The gateway sends one request at a time on a connection, so an end belongs to the last one.
  const current = new WeakMap<RawConnection, FaultCall>();
  const raw = await startRawProvider((connection, request) => {
    const previous = current.get(connection);
    const call = new FaultCall(connection, request, (previous?.turn ?? 0) + 1);
    // A request that crossed the end of its connection: this side can read it still, and not answer.
    call.closedBy = previous?.closedBy ?? null;
    if (previous !== undefined) previous.next = call;
    current.set(connection, call);
    calls.push(call);
    if (previous === undefined) {
      const ended = (): void => void ((current.get(connection) ?? call).closedBy ??= 'gateway');
      for (const event of ['end', 'error', 'close']) connection.socket.on(event, ended);
    }
    provider.script(request)(call);
  }, options);
  const provider: FaultProvider = {
    url: raw.url,
    calls,
    script: () => () => {},
    openConnections: () => raw.connections.filter(({ closedAt }) => closedAt === null).length,
    forget() {
      calls.length = 0;
      raw.requests.length = 0;
      const open = raw.connections.filter(({ closedAt }) => closedAt === null);
      raw.connections.splice(0, raw.connections.length, ...open);
    },
    [Symbol.asyncDispose]: () => raw[Symbol.asyncDispose](),
  };
  return provider;
}

// ---- faults ---------------------------------------------------------------------------------------------------------

/** Sends all of it and leaves the connection to the gateway. */
export function send(bytes: Buffer | string): Fault {
  return (call) => call.send(Buffer.from(bytes));
}

/** How an answer stops in the middle. */
export type Stop = 'close' | 'reset' | 'stall';

/** Sends a part of an answer and stops. */
export function stopAfter(bytes: Buffer | string, stop: Stop): Fault {
  return (call) => {
    call.send(Buffer.from(bytes));
    if (stop === 'close') call.close();
    if (stop === 'reset') call.reset();
  };
}

/** Sends one byte in each turn of the event loop: a packet a byte. */
export function drip(bytes: Buffer): Fault {
  return async (call) => {
    for (const byte of bytes) {
      call.send(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
}
