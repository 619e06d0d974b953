import { WeirError } from '../base/errors.ts';
import type { ResponseHead } from '../http/response-head.ts';
import type { AttemptRecord, RequestContext } from '../pipeline/context.ts';
import type { OutgoingRequest, Reception, Target } from '../pipeline/target.ts';
import type { ResponseHandler } from '../upstream/connection.ts';
import type { UpstreamCall } from '../upstream/pool.ts';

// An answer that should be written in one piece but is larger than this is written on as it comes instead.
const maxWholeBytes = 64 * 1024 * 1024;

/**
 * One try at one upstream: sends the request, relays the answer to the client and keeps the record of it.
 * Nothing is sent to the client before the upstream's head is here, so until then another attempt can still be made.
 */
export class Attempt implements ResponseHandler {
  readonly record: AttemptRecord;
  /** What went wrong with the upstream, also when the client already had a part of the answer by then. */
  failure: WeirError | null = null;

  #ctx: RequestContext;
  #target: Target;
  #outgoing: OutgoingRequest;
  #startedAt = performance.now();
  #call: UpstreamCall | null = null;
  #status = 0;
  #contentLength: number | undefined;
  #reception: Reception | null = null;
  #gear: Reception['gear'] = 'pass';
  #whole: Buffer[] = [];
  #corked = false;
  #held: Buffer[] = [];
  #flushTimer: NodeJS.Timeout | null = null;
  #resolve: (failure: WeirError | null) => void = () => {};

  constructor(ctx: RequestContext, target: Target, outgoing: OutgoingRequest) {
    this.#ctx = ctx;
    this.#target = target;
    this.#outgoing = outgoing;
    this.record = {
      address: outgoing.host,
      status: 0,
      connectMs: undefined,
      headerMs: undefined,
      responseMs: undefined,
      bytes: 0,
    };
  }

  /** @returns Null when the client has its answer (or is gone); the error when nothing was sent to it yet. */
  run(): Promise<WeirError | null> {
    const { exchange } = this.#ctx;
    if (exchange.aborted) return Promise.resolve(new WeirError('CLIENT_CLOSED_REQUEST'));
    return new Promise((resolve) => {
      this.#resolve = resolve;
      exchange.onAbort = () => this.#onClientGone();
      exchange.onDrain = () => this.#call?.resume();
      const { pool, wire, use } = this.#outgoing;
      this.#call = pool.call(wire, use, this);
    });
  }

  onHead(head: ResponseHead): void {
    this.record.headerMs = this.#elapsed();
    this.record.status = head.status;
    this.#status = head.status;
    this.#reception = this.#target.receive(this.#ctx, head);
    this.#gear = this.#reception.gear;
    // A stream that breaks gets one more event, for which an announced length would leave no room.
    const length = this.#gear === 'stream' ? undefined : head.fields.get('content-length');
    this.#contentLength = length === undefined ? undefined : Number(length);
  }

  onData(bytes: Buffer): void {
    this.record.bytes += bytes.length;
    if (this.#gear === 'whole') {
      this.#whole.push(bytes);
      if (this.record.bytes > maxWholeBytes) this.#giveUpWhole();
      return;
    }
    if (this.#gear === 'stream') this.#reception?.onChunk(bytes);
    if (this.#reception !== null && this.#reception.flushIntervalMs > 0)
      this.#hold(bytes, this.#reception.flushIntervalMs);
    else this.#relay(bytes);
  }

  onReadEnd(): void {
    if (!this.#corked) return;
    this.#corked = false;
    this.#ctx.exchange.connection.uncork();
  }

  onEnd(): void {
    const { exchange } = this.#ctx;
    const reception = this.#reception;
    this.#finishRecord();
    if (reception === null) return;
    if (this.#gear === 'whole') {
      const body = Buffer.concat(this.#whole);
      reception.onComplete(body);
      exchange.respond(this.#status, reception.fields, body);
    } else {
      if (this.#gear === 'stream' && this.#lacksEvents()) {
        this.failure = new WeirError('UPSTREAM_EMPTY_STREAM');
        this.#settle(this.failure);
        return;
      }
      this.#flushHeld();
      reception.onComplete(null);
      this.#begin(reception);
      exchange.end();
    }
    this.#settle(null);
  }

  onError(error: WeirError): void {
    const { exchange } = this.#ctx;
    this.failure = error;
    this.onReadEnd();
    this.#finishRecord();
    if (exchange.status === 0) {
      this.#settle(error);
      return;
    }
    // The client has a part of the answer. It must be able to see that the rest is missing.
    this.#ctx.errorCode = error.code;
    this.#flushHeld();
    this.#reception?.onComplete(null);
    const tail = this.#reception?.errorTail(error) ?? null;
    if (tail === null) {
      exchange.cut();
    } else {
      exchange.write(tail);
      exchange.end();
    }
    this.#settle(null);
  }

  #lacksEvents(): boolean {
    return this.record.bytes === 0 && this.#status === 200 && this.#outgoing.wire.method !== 'HEAD';
  }

  #relay(bytes: Buffer): void {
    const { exchange } = this.#ctx;
    // Several pieces of one read leave in one write; the head leaves with the first of them.
    if (!this.#corked) {
      this.#corked = true;
      exchange.connection.cork();
    }
    if (this.#reception !== null) this.#begin(this.#reception);
    if (!exchange.write(bytes)) this.#call?.pause();
  }

  #begin(reception: Reception): void {
    const { exchange } = this.#ctx;
    if (exchange.status === 0) exchange.begin(this.#status, reception.fields, this.#contentLength);
  }

  #giveUpWhole(): void {
    this.#gear = 'pass';
    for (const bytes of this.#whole) this.#relay(bytes);
    this.#whole = [];
  }

  #hold(bytes: Buffer, intervalMs: number): void {
    this.#held.push(bytes);
    this.#flushTimer ??= setTimeout(() => this.#flushHeld(), intervalMs);
  }

  #flushHeld(): void {
    if (this.#flushTimer !== null) clearTimeout(this.#flushTimer);
    this.#flushTimer = null;
    const held = this.#held;
    this.#held = [];
    if (held.length > 0) this.#relay(Buffer.concat(held));
    this.onReadEnd();
  }

  #onClientGone(): void {
    this.#call?.abort();
    this.#finishRecord();
    this.#reception?.onComplete(null);
    this.#settle(new WeirError('CLIENT_CLOSED_REQUEST'));
  }

  #finishRecord(): void {
    const call = this.#call;
    this.record.responseMs = this.#elapsed();
    if (call === null) return;
    if (call.address !== '') this.record.address = call.address;
    this.record.connectMs = call.connectMs;
  }

  #elapsed(): number {
    return performance.now() - this.#startedAt;
  }

  #settle(failure: WeirError | null): void {
    const { exchange } = this.#ctx;
    if (this.#flushTimer !== null) clearTimeout(this.#flushTimer);
    exchange.onAbort = null;
    exchange.onDrain = null;
    this.#resolve(failure);
  }
}
