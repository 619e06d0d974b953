import type { WeirError } from '../base/errors.ts';
import type { ResponseHead } from '../http/response-head.ts';
import type { PoolUse, WireRequest } from '../upstream/connection.ts';
import type { Pool } from '../upstream/pool.ts';
import type { RequestContext } from './context.ts';
import type { Reply } from './reply.ts';

/** Where a request goes, as a plugin chose it. Plugins choose targets; the proxy room sends. */
export interface Target {
  /** The instance: `ai-proxy-openai`. */
  readonly name: string;
  /** Where it is by the configuration: `host:port`. */
  readonly address: string;
  /**
   * Builds the request of one attempt from the client's own; a WeirError when that is impossible. A Promise only where
   * something has to be waited for, such as a token.
   */
  prepare(ctx: RequestContext): OutgoingRequest | WeirError | Promise<OutgoingRequest | WeirError>;
  /** Decides, before the first byte is relayed, how the answer is read. */
  receive(ctx: RequestContext, head: ResponseHead): Reception;
  /**
   * Decides what follows a failure before anything was sent to the client.
   *
   * @returns The client's answer; null: there is another attempt to make, which {@link prepare} gives.
   */
  answerFailure(ctx: RequestContext, failure: AttemptFailure): Reply | null | Promise<Reply | null>;
  /** The request is over, however it ended, and is about to be logged. Called once. */
  finish?(ctx: RequestContext): void;
}

/** How an attempt ended after which the client still has nothing. */
export interface AttemptFailure {
  /** What went wrong; null: the upstream has answered, with a status for which its answer was held back. */
  readonly error: WeirError | null;
  /** The answer that was held back. */
  readonly answer: Reply | null;
  /** The upstream's status, also of an answer that broke; 0: none came. */
  readonly status: number;
  /** `ip:port`, several after failures to connect, '' when it did not come to that. */
  readonly address: string;
  /** From the beginning of this attempt. */
  readonly elapsedMs: number;
}

/** One attempt's request, ready for the wire. */
export interface OutgoingRequest {
  readonly pool: Pool;
  readonly use: PoolUse;
  readonly wire: WireRequest;
  /** For `$upstream_scheme`, `$upstream_host` (with port when it is not the default) and `$upstream_uri` (without credentials). */
  readonly scheme: string;
  readonly host: string;
  readonly uri: string;
  /** `$upstream_addr` as long as there is no connection. Default: `host`. */
  readonly address?: string;
}

/** How an answer is read while it passes. */
export interface Reception {
  /**
   * `stream`: written on as it comes, the head with the first byte. `whole`: collected, then written in one piece.
   * `pass`: written on as it comes, nobody looks at it. `held`: collected, and not written before
   * {@link Target.answerFailure} has decided that there is no other attempt.
   */
  readonly gear: 'stream' | 'whole' | 'pass' | 'held';
  /** Field lines for the client: name, value, … */
  readonly fields: readonly string[];
  /** 0: every read is written at once; otherwise reads are collected for this long. */
  readonly flushIntervalMs: number;
  /** The client gets another body than the upstream sends: `whole` stays whole, however large it is. */
  readonly isConverted: boolean;
  readonly limits: ReceptionLimits;
  /**
   * Shown each piece of a stream.
   *
   * @returns What the client gets in its place: mostly the same bytes.
   * @throws WeirError when the stream has to end here.
   */
  onChunk(bytes: Buffer): Buffer;
  /** The answer is complete; `body` is null unless it was collected. */
  onEnd(body: Buffer | null): Ending;
  /** The answer will never be complete. */
  onBroken(): void;
  /** The stream broke after bytes were sent: what tells the client so in its own protocol; null: nothing can. */
  errorTail(error: WeirError): Buffer | null;
}

/** Where an answer is given up; null: nowhere. */
export interface ReceptionLimits {
  /** Size of the body. */
  readonly maxBytes: number | null;
  /** Of a stream or an answer that is held, from the beginning of the attempt. */
  readonly maxDurationMs: number | null;
}

/** How an answer ends that came to its end. */
export interface Ending {
  /** Of a whole answer all that the client gets; of a stream what is still to be said. */
  readonly body: Buffer;
  /** What the answer itself says went wrong, for the log. It becomes the client's answer if there is nothing else to send. */
  readonly failure: WeirError | null;
}
