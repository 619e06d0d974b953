import type { Deadlines } from '../../http/deadlines.ts';
import type { WeirError } from '../../base/errors.ts';
import { UpstreamConnection, type ResponseHandler } from '../connection.ts';
import type { Connector } from '../connector.ts';
import { failureSignalOf, type FailureSignal } from './failure-signal.ts';
import type { ProbePlan } from './probe-plan.ts';

/** What a probe has found: a status, or a failure without one. */
export type ProbeResult =
  | { readonly kind: 'connected' }
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'failure'; readonly signal: FailureSignal; readonly reason: string };

interface ProbeParts {
  /** Does not apply `weir.connect_to`: the address is where the probe goes. */
  readonly connector: Connector;
  readonly deadlines: Deadlines;
}

/**
 * Sends one probe to one address.
 *
 * @param done - Called once, never before this function has returned.
 * @returns Gives the probe up; `done` is not called any more.
 */
export function sendProbe(
  { connector, deadlines }: ProbeParts,
  plan: ProbePlan,
  to: { readonly ip: string; readonly port: number },
  done: (result: ProbeResult) => void,
): () => void {
  let close = (): void => {};
  let settled = false;
  const timer = setTimeout(() => {
    settle({ kind: 'failure', signal: 'timeout', reason: `no answer within ${plan.timeoutMs / 1000} s` });
  }, plan.timeoutMs);

  function settle(result: ProbeResult): void {
    if (settled) return;
    end();
    done(result);
  }

  function end(): void {
    settled = true;
    clearTimeout(timer);
    close();
  }

  function fail(error: WeirError): void {
    // An error of ours says nothing about the other side, but an address that cannot be asked must not count as asked.
    settle({ kind: 'failure', signal: failureSignalOf(error.code) ?? 'http_failure', reason: error.message });
  }

  const { scheme, request, timeoutMs, ...tls } = plan;
  const options = { origin: { scheme, host: to.ip, port: to.port }, timeoutMs, ...tls };
  close = connector.connect(options, (error, socket, { address }) => {
    if (error !== null) return fail(error);
    if (socket === null) return;
    if (request === null) {
      close = () => socket.destroy();
      return settle({ kind: 'connected' });
    }
    const connection = new UpstreamConnection(socket, { address, deadlines, owner: noPool });
    close = () => connection.destroy();
    connection.send(request, { ...useOnce, timeoutMs }, readStatus(settle, fail));
  });
  return end;
}

function readStatus(settle: (result: ProbeResult) => void, fail: (error: WeirError) => void): ResponseHandler {
  return {
    // The status says it all: the rest of the answer is not waited for.
    onHead: ({ status }) => settle({ kind: 'status', status }),
    onData: () => {},
    onReadEnd: () => {},
    onEnd: () => {},
    onError: fail,
  };
}

const useOnce = { keepAlive: false, idleTimeoutMs: 0, maxIdle: 0 } as const;
const noPool = { onIdle: (connection: UpstreamConnection) => connection.destroy(), onGone: () => {} };
