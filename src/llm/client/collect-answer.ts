import { WeirError } from '../../base/errors.ts';
import type { ResponseHead } from '../../http/response-head.ts';
import type { PoolUse, ResponseHandler, WireRequest } from '../../upstream/connection.ts';
import type { Pool } from '../../upstream/pool.ts';

/** A whole answer. */
interface Answer {
  readonly status: number;
  readonly bytes: Buffer;
}

interface AnswerRequest {
  readonly wire: WireRequest;
  /** `timeoutMs` is also the time for the call as a whole. */
  readonly use: PoolUse;
  /** Ends the call; its reason is a WeirError. */
  readonly signal: AbortSignal;
}

/** More than any answer to a question of the gateway itself may have. */
const maxAnswerBytes = 16 * 1024 * 1024;
/** In chunks of one byte a list of them would take a hundred times their size. */
const maxLoosePieces = 1024;

/**
 * Sends a request and collects its answer, of any status.
 *
 * @throws WeirError UPSTREAM_READ_TIMEOUT, UPSTREAM_ANSWER (larger than 16 MiB), the reason of `signal`, or that of
 *   the connection.
 */
export function collectAnswer(pool: Pool, { wire, use, signal }: AnswerRequest): Promise<Answer> {
  if (signal.aborted) return Promise.reject(reasonOf(signal));
  return new Promise((resolve, reject) => {
    const release = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    };
    const collector = new AnswerCollector({
      onAnswer(answer) {
        release();
        resolve(answer);
      },
      onError(error) {
        release();
        reject(error);
      },
    });
    const call = pool.call(wire, use, collector);
    const giveUp = (error: WeirError): void => {
      call.abort();
      collector.onError(error);
    };
    collector.onTooLarge = () =>
      giveUp(new WeirError('UPSTREAM_ANSWER', [`it is larger than ${maxAnswerBytes} bytes`]));
    const onAbort = (): void => giveUp(reasonOf(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    const timer = setTimeout(() => {
      const where = call.address === '' ? 'it' : call.address;
      giveUp(new WeirError('UPSTREAM_READ_TIMEOUT', [`${where} did not answer within ${use.timeoutMs} ms`]));
    }, use.timeoutMs);
  });
}

function reasonOf(signal: AbortSignal): WeirError {
  const reason: unknown = signal.reason;
  return reason instanceof WeirError ? reason : new WeirError('CLIENT_CLOSED_REQUEST');
}

interface Outcome {
  onAnswer(answer: Answer): void;
  onError(error: WeirError): void;
}

class AnswerCollector implements ResponseHandler {
  onTooLarge: () => void = () => {};
  #outcome: Outcome;
  #status = 0;
  #pieces: Buffer[] = [];
  #loosePieces = 0;
  #size = 0;

  constructor(outcome: Outcome) {
    this.#outcome = outcome;
  }

  onHead(head: ResponseHead): void {
    this.#status = head.status;
  }

  onData(bytes: Buffer): void {
    this.#size += bytes.length;
    if (this.#size > maxAnswerBytes) return this.onTooLarge();
    // The bytes are a view of the socket's buffer.
    this.#pieces.push(Buffer.from(bytes));
    if (++this.#loosePieces < maxLoosePieces) return;
    this.#pieces.push(Buffer.concat(this.#pieces.splice(-maxLoosePieces)));
    this.#loosePieces = 0;
  }

  onReadEnd(): void {}

  onEnd(): void {
    this.#outcome.onAnswer({ status: this.#status, bytes: Buffer.concat(this.#pieces) });
  }

  onError(error: WeirError): void {
    this.#outcome.onError(error);
  }
}
