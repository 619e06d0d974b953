import { WeirError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { RepeatedLog } from '../base/repeated-log.ts';
import type { ExchangeListener } from '../http/exchange.ts';
import type { ResponseHead } from '../http/response-head.ts';
import type { AttemptRecord, RequestContext } from '../pipeline/context.ts';
import type { Reply } from '../pipeline/reply.ts';
import type { AttemptFailure, Ending, OutgoingRequest, Reception, Target } from '../pipeline/target.ts';
import type { ResponseHandler } from '../upstream/connection.ts';
import type { UpstreamCall } from '../upstream/pool.ts';
import type { Specimens } from './specimens.ts';

// An answer that should be written in one piece but is larger than this is written on as it comes instead.
const maxWholeBytes = 64 * 1024 * 1024;
// What the exchange copies into one buffer with its head anyway.
const maxUncopiedBytes = 16 * 1024;
const maxLoosePieces = 1024;
const maxSpecimenBytes = 64 * 1024;
const nothing = Buffer.alloc(0);

export interface AttemptParts {
  readonly target: Target;
  readonly outgoing: OutgoingRequest;
  /** For faults of the gateway. */
  readonly log: Log;
  /** For what goes wrong with the upstream. */
  readonly failureLog: RepeatedLog;
  readonly specimens: Specimens;
}

/**
 * One try at one upstream: sends the request, relays the answer to the client and keeps the record of it.
 * Nothing is sent to the client before the upstream's head is here, so until then another attempt can still be made.
 */
export class Attempt implements ResponseHandler, ExchangeListener {
  readonly record: AttemptRecord;

  #ctx: RequestContext;
  #target: Target;
  #outgoing: OutgoingRequest;
  #log: Log;
  #failureLog: RepeatedLog;
  #specimens: Specimens;
  // What went wrong with the upstream, also when the client already had a part of the answer by then.
  #failure: WeirError | null = null;
  #startedAt = performance.now();
  #call: UpstreamCall | null = null;
  #status = 0;
  #contentLength: number | undefined;
  #reception: Reception | null = null;
  #gear: Reception['gear'] = 'pass';
  // The last piece of this read: a view of it. It leaves with the end of the answer if that follows at once.
  #piece: Buffer | null = null;
  #whole: Buffer[] = [];
  #loosePieces = 0;
  #held: Buffer[] = [];
  #flushTimer: NodeJS.Timeout | null = null;
  #maxBytes = Infinity;
  #durationTimer: NodeJS.Timeout | null = null;
  #resolve: (failure: AttemptFailure | null) => void = () => {};

  constructor(ctx: RequestContext, { target, outgoing, log, failureLog, specimens }: AttemptParts) {
    this.#ctx = ctx;
    this.#target = target;
    this.#outgoing = outgoing;
    this.#log = log;
    this.#failureLog = failureLog;
    this.#specimens = specimens;
    this.record = {
      target: target.name,
      address: outgoing.address ?? outgoing.host,
      status: 0,
      connectMs: undefined,
      headerMs: undefined,
      responseMs: undefined,
      bytes: 0,
    };
  }

  /** @returns Null when the client has its answer; the failure when nothing was sent to it yet. */
  run(): Promise<AttemptFailure | null> {
    const { exchange } = this.#ctx;
    return new Promise((resolve) => {
      this.#resolve = resolve;
      if (exchange.aborted) return this.#settle(new WeirError('CLIENT_CLOSED_REQUEST'));
      exchange.listener = this;
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
    if (head.status === 101) return this.#ctx.exchange.switchProtocols(this.#reception.fields);
    this.#contentLength = this.#announcedLength(head);
    this.#setLimits(this.#reception, head);
  }

  #announcedLength({ fields }: ResponseHead): number | undefined {
    // A stream that breaks gets one more event, for which an announced length would leave no room.
    if (this.#gear === 'stream') return undefined;
    // A plugin has changed the method: the body that is announced does not come.
    if (this.#outgoing.wire.method === 'HEAD' && this.#ctx.method !== 'HEAD') return 0;
    const length = fields.get('content-length');
    return length === undefined ? undefined : Number(length);
  }

  onData(bytes: Buffer): void {
    this.record.bytes += bytes.length;
    if (this.record.bytes > this.#maxBytes) return this.#giveUp(new WeirError('UPSTREAM_RESPONSE_TOO_LARGE'));
    const piece = this.#gear === 'stream' && this.#reception !== null ? this.#reception.onChunk(bytes) : bytes;
    if (piece.length === 0) return;
    if (this.#piece !== null) this.#putAway(this.#piece);
    this.#piece = piece;
  }

  onReadEnd(): void {
    this.#putPieceAway();
    if (this.#gear !== 'pass' || this.#reception === null || this.record.bytes > 0) return;
    // Some clients wait for the head of an answer whose body takes its time.
    this.#begin(this.#reception);
    this.#ctx.exchange.flush();
  }

  #putPieceAway(): void {
    if (this.#piece !== null) this.#putAway(this.#piece);
    this.#piece = null;
  }

  onEnd(): void {
    const { exchange } = this.#ctx;
    const reception = this.#reception;
    const last = this.#piece ?? nothing;
    this.#piece = null;
    this.#finishRecord();
    if (reception === null) return;
    if (this.#gear === 'whole' || this.#gear === 'held') {
      // A small answer that came in one read is never copied: its bytes are still in the socket's buffer.
      const body =
        this.#whole.length === 0 && last.length <= maxUncopiedBytes ? last : Buffer.concat([...this.#whole, last]);
      const ending = reception.onEnd(body);
      if (this.#endsInFailure(ending, nothing)) return;
      if (this.#gear === 'held') {
        // The connection may have another answer before this one is sent.
        this.#settle(null, {
          status: this.#status,
          fields: reception.fields,
          body: ending.body === last ? Buffer.from(last) : ending.body,
        });
        return;
      }
      exchange.respond(this.#status, reception.fields, ending.body);
    } else {
      if (this.#gear === 'stream' && this.#lacksEvents()) {
        this.#failure = new WeirError('UPSTREAM_EMPTY_STREAM');
        this.#settle(this.#failure);
        return;
      }
      const ending = reception.onEnd(null);
      if (this.#endsInFailure(ending, last)) return;
      this.#flushHeld();
      this.#begin(reception);
      exchange.end(ending.body.length === 0 ? last : Buffer.concat([last, ending.body]));
    }
    this.#settle(null);
  }

  /** Notes what the answer says went wrong. @returns True when that is all there is to tell the client. */
  #endsInFailure({ body, failure }: Ending, last: Buffer): boolean {
    if (failure === null) return false;
    this.#failure = failure;
    const hasOutput = body.length + last.length + this.#held.length > 0 || this.#ctx.exchange.status !== 0;
    if (hasOutput) this.#ctx.errorCode = failure.code;
    else this.#settle(failure);
    return !hasOutput;
  }

  onError(error: WeirError): void {
    const { exchange } = this.#ctx;
    // The rest of a read in which the answer was given up already.
    if (this.#failure !== null) return;
    this.#failure = error;
    this.#putPieceAway();
    this.#finishRecord();
    if (exchange.status === 0) {
      this.#reception?.onBroken();
      this.#settle(error);
      return;
    }
    // The client has a part of the answer. It must be able to see that the rest is missing.
    this.#ctx.errorCode = error.code;
    this.#flushHeld();
    this.#reception?.onBroken();
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

  #putAway(bytes: Buffer): void {
    const intervalMs = this.#reception?.flushIntervalMs ?? 0;
    if (this.#gear === 'whole' || this.#gear === 'held') {
      this.#whole.push(Buffer.from(bytes));
      // As a list of views an answer in chunks of one byte would take a hundred times its size.
      if (++this.#loosePieces === maxLoosePieces) {
        this.#whole.push(Buffer.concat(this.#whole.splice(-maxLoosePieces)));
        this.#loosePieces = 0;
      }
      if (this.record.bytes > maxWholeBytes) this.#giveUpWhole();
    } else if (intervalMs > 0) {
      this.#held.push(Buffer.from(bytes));
      this.#flushTimer ??= setTimeout(() => this.#flushHeld(), intervalMs);
    } else {
      this.#relay(bytes);
    }
  }

  #relay(bytes: Buffer): void {
    if (this.#reception !== null) this.#begin(this.#reception);
    if (!this.#ctx.exchange.write(bytes)) this.#call?.pause();
  }

  #begin(reception: Reception): void {
    const { exchange } = this.#ctx;
    if (exchange.status === 0) exchange.begin(this.#status, reception.fields, this.#contentLength);
  }

  #setLimits(reception: Reception, head: ResponseHead): void {
    const { maxBytes, maxDurationMs } = reception.limits;
    if (maxBytes !== null) {
      this.#maxBytes = maxBytes;
      const announced = Number(head.fields.get('content-length') ?? 0);
      if (announced > maxBytes && this.#outgoing.wire.method !== 'HEAD') {
        return this.#giveUp(new WeirError('UPSTREAM_RESPONSE_TOO_LARGE'));
      }
    }
    if (maxDurationMs !== null && (this.#gear === 'stream' || this.#gear === 'held')) {
      const restMs = Math.max(0, maxDurationMs - this.#elapsed());
      this.#durationTimer = setTimeout(() => this.#giveUp(this.#tookTooLong()), restMs);
    }
  }

  #tookTooLong(): WeirError {
    if (this.#gear === 'stream') return new WeirError('UPSTREAM_STREAM_TOO_LONG');
    const afterMs = Math.round(this.#elapsed());
    return new WeirError('UPSTREAM_READ_TIMEOUT', [`its answer is incomplete after ${afterMs} ms`]);
  }

  /** Closes the upstream's connection in the middle of its answer. */
  #giveUp(error: WeirError): void {
    this.#call?.abort();
    this.onError(error);
  }

  #giveUpWhole(): void {
    if (this.#reception?.isConverted === true) {
      return this.#giveUp(new WeirError('UPSTREAM_ANSWER', ['it is too large to be converted']));
    }
    if (this.#gear === 'held') return this.#giveUp(new WeirError('UPSTREAM_RESPONSE_TOO_LARGE'));
    this.#gear = 'pass';
    for (const bytes of this.#whole) this.#relay(bytes);
    this.#whole = [];
  }

  #flushHeld(): void {
    if (this.#flushTimer !== null) clearTimeout(this.#flushTimer);
    this.#flushTimer = null;
    const held = this.#held;
    this.#held = [];
    if (held.length > 0) this.#relay(Buffer.concat(held));
  }

  onDrain(): void {
    this.#call?.resume();
  }

  onCut(): void {
    this.#giveUp(new WeirError('SHUTTING_DOWN'));
  }

  onAbort(): void {
    this.#call?.abort();
    this.#finishRecord();
    this.#reception?.onBroken();
    this.#settle(this.#status === 101 ? null : new WeirError('CLIENT_CLOSED_REQUEST'));
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

  /** @param answer - What was held back. Neither error nor answer: the client has its answer. */
  #settle(error: WeirError | null, answer: Reply | null = null): void {
    const { exchange } = this.#ctx;
    if (this.#flushTimer !== null) clearTimeout(this.#flushTimer);
    if (this.#durationTimer !== null) clearTimeout(this.#durationTimer);
    exchange.listener = null;
    if (this.#failure !== null) this.#logFailure(this.#failure);
    if (error === null && answer === null) {
      if (this.#isSmall()) this.#specimens.offer(this, this.#startedAt);
      return this.#resolve(null);
    }
    const { status, address } = this.record;
    this.#resolve({ error, answer, status, address, elapsedMs: this.#elapsed() });
  }

  #isSmall(): boolean {
    return this.record.bytes + (this.#ctx.body?.length ?? 0) <= maxSpecimenBytes;
  }

  #logFailure({ code, message, cause, blame }: WeirError): void {
    if (blame === 'client') return;
    const ctx = this.#ctx;
    const target = this.#target.name;
    const routeId = ctx.route?.id;
    const fields = { code, request_id: ctx.id, route_id: routeId, target };
    if (code === 'INTERNAL') return this.#log.error(message, { ...fields, error: cause });
    this.#failureLog.write(`${routeId} ${target} ${code}`, { level: 'warn', message, fields });
  }
}
