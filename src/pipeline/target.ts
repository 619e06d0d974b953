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
  /**
   * Builds the request of one attempt from the client's own; a Reply when that is impossible. A Promise only where
   * something has to be waited for, such as a token.
   */
  prepare(ctx: RequestContext): OutgoingRequest | Reply | Promise<OutgoingRequest | Reply>;
  /** Decides, before the first byte is relayed, how the answer is read. */
  receive(ctx: RequestContext, head: ResponseHead): Reception;
  /** The answer to a failure before anything was sent to the client. */
  errorReply(ctx: RequestContext, error: WeirError): Reply;
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
}

/** How an answer is read while it passes. */
export interface Reception {
  /**
   * `stream`: written on as it comes, the head with the first byte. `whole`: collected, then written in one piece.
   * `pass`: written on as it comes, nobody looks at it.
   */
  readonly gear: 'stream' | 'whole' | 'pass';
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
  /** Of a stream, from the beginning of the attempt. */
  readonly maxDurationMs: number | null;
}

/** How an answer ends that came to its end. */
export interface Ending {
  /** Of a whole answer all that the client gets; of a stream what is still to be said. */
  readonly body: Buffer;
  /** What the answer itself says went wrong, for the log. It becomes the client's answer if there is nothing else to send. */
  readonly failure: WeirError | null;
}
