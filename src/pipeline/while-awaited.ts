import { WeirError } from '../base/errors.ts';
import type { Exchange } from '../http/exchange.ts';

/** A request, as far as it can end before its answer. */
interface Awaited {
  readonly exchange: Pick<Exchange, 'aborted' | 'listener'>;
}

/**
 * Does what takes its time before a request has a target, such as a call on the gateway's own behalf.
 *
 * @param run - Its signal is aborted when nobody waits for the answer any more. The reason is a WeirError:
 *   CLIENT_CLOSED_REQUEST, or SHUTTING_DOWN, which the client can still be told.
 */
export async function whileAwaited<T>({ exchange }: Awaited, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const ending = new AbortController();
  exchange.listener = {
    onAbort: () => ending.abort(new WeirError('CLIENT_CLOSED_REQUEST')),
    onCut: () => ending.abort(new WeirError('SHUTTING_DOWN')),
  };
  // Who had left before is not told again.
  if (exchange.aborted) exchange.listener.onAbort?.();
  try {
    return await run(ending.signal);
  } finally {
    exchange.listener = null;
  }
}
