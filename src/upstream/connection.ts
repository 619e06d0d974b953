import type { Socket } from 'node:net';
import { WeirError } from '../base/errors.ts';
import { createBodyDecoder, type BodyDecoder } from '../http/body-decoder.ts';
import { frameResponseBody, type BodyFraming } from '../http/body-framing.ts';
import type { Deadlines, Expirable } from '../http/deadlines.ts';
import { findHeadEnd, maxHeadBytes } from '../http/head-boundary.ts';
import { parseResponseHead, type ResponseHead } from '../http/response-head.ts';
import { Outbox } from '../http/outbox.ts';
import { readShared } from '../http/shared-reads.ts';
import { chunkOf, lastChunk, type BodySource } from './body-source.ts';
import type { AddressHealth } from './health/target-health.ts';

/** What an upstream answers, as it comes. After onEnd or onError nothing more is called. */
export interface ResponseHandler {
  /** The final head; interim ones (1xx) are skipped, but for the 101 that a request asked for. */
  onHead(head: ResponseHead): void;
  /** Body bytes, without framing. They are gone when this returns: what is kept must be copied. */
  onData(bytes: Buffer): void;
  /** All that one read of the socket held was handed over, and more will come: the moment to write it on in one piece. */
  onReadEnd(): void;
  /** The answer is complete; bytes of {@link onData} since the last onReadEnd are still valid. */
  onEnd(): void;
  onError(error: WeirError): void;
}

/** How one request uses a connection and the pool behind it; routes that share a pool may differ in this. */
export interface PoolUse {
  /** For each pause while receiving. */
  readonly timeoutMs: number;
  /** For name, TCP and TLS together. Default: {@link timeoutMs}. */
  readonly connectTimeoutMs?: number;
  /** For each pause while sending. Default: {@link timeoutMs}. */
  readonly sendTimeoutMs?: number;
  /** False: the connection is closed after the answer. */
  readonly keepAlive: boolean;
  /** An idle connection is kept this long. */
  readonly idleTimeoutMs: number;
  /** At most this many idle connections are kept. */
  readonly maxIdle: number;
  /** A connection is closed after so many requests. Default: there is no limit. */
  readonly maxRequests?: number;
  /** Keeps requests from addresses that are unhealthy, as long as others are not. Absent: nobody checks. */
  readonly health?: AddressHealth;
}

/** A request in the form in which it is sent. */
export interface WireRequest {
  readonly method: string;
  /** Request line and fields with the blank line, latin1. */
  readonly head: string;
  readonly body: Uint8Array;
  /** The body, where `body` is empty because it still comes in. Or what the client says in another protocol, see `upgrades`. */
  readonly source?: BodySource;
  /** Asks for another protocol: after a 101 bytes go both ways as they are, up to the end of the connection. */
  readonly upgrades?: boolean;
  /**
   * False: to send it twice may be to do it twice, so it is not sent again when a kept connection turns out to be dead.
   * Default: true.
   */
  readonly isRepeatable?: boolean;
}

/** Who keeps the connection between requests: the pool. */
export interface ConnectionOwner {
  /** The answer is complete and the connection can take the next request. */
  onIdle(connection: UpstreamConnection, use: PoolUse): void;
  /** The connection is gone, whether it was idle or not. */
  onGone(connection: UpstreamConnection): void;
}

// Up to here one copy into one buffer is cheaper than two writes.
const joinLimitBytes = 16 * 1024;
const maxInterimResponses = 16;
const nothing = Buffer.alloc(0);
const untilClose = { kind: 'until-close' } as const;

/** One HTTP/1.1 connection to an upstream: one request at a time, never pipelined. */
export class UpstreamConnection implements Expirable {
  /** `ip:port`, what `$upstream_addr` prints. */
  readonly address: string;
  readonly openedAt = performance.now();
  deadline = 0;
  /** Requests sent on this connection; more than 1 means that it was reused. */
  requestCount = 0;

  #socket: Socket;
  #outbox: Outbox;
  #owner: ConnectionOwner;
  #deadlines: Deadlines;

  #handler: ResponseHandler | null = null;
  #request: WireRequest | null = null;
  #use: PoolUse | null = null;
  #timeoutMs = 0;
  #sendTimeoutMs = 0;
  // Bytes wait in the socket.
  #sending = false;
  // The source of the body has not ended.
  #bodyOpen = false;
  #isTunnel = false;
  #paused = false;
  #partialHead: Buffer = nothing;
  #framing: BodyFraming | null = null;
  #body: BodyDecoder | null = null;
  #interimCount = 0;
  #reusable = false;
  #answerStarted = false;
  #sentAt = 0;
  #dead = false;

  constructor(connected: Socket, options: { address: string; owner: ConnectionOwner; deadlines: Deadlines }) {
    const socket = readShared(connected, (bytes) => this.#onData(bytes));
    this.#socket = socket;
    this.#outbox = new Outbox(socket, () => this.#onFull());
    this.#owner = options.owner;
    this.#deadlines = options.deadlines;
    this.address = options.address;
    socket.on('end', () => this.#onEnd());
    socket.on('drain', () => this.#onDrain());
    socket.on('timeout', () =>
      this.#fail(
        new WeirError('UPSTREAM_SEND_TIMEOUT', [`${this.address} took nothing for ${this.#sendTimeoutMs} ms`]),
      ),
    );
    socket.on('error', (error: Error) =>
      this.#fail(new WeirError('UPSTREAM_RESET', [`${this.address}: ${error.message}`], { cause: error })),
    );
    socket.on('close', () => this.#onClose());
    this.#deadlines.add(this);
  }

  get dead(): boolean {
    return this.#dead;
  }

  /**
   * True while no byte of the answer has come: a reused connection that fails now was most likely closed by the
   * upstream while idle, and the request may be sent again on a fresh one.
   */
  get answerStarted(): boolean {
    return this.#answerStarted;
  }

  /** Milliseconds since the last byte of the request left for the kernel. */
  get waitedMs(): number {
    return performance.now() - this.#sentAt;
  }

  send(request: WireRequest, use: PoolUse, handler: ResponseHandler): void {
    const { timeoutMs, sendTimeoutMs = timeoutMs } = use;
    this.requestCount++;
    this.#use = use;
    this.#handler = handler;
    this.#request = request;
    this.#timeoutMs = timeoutMs;
    this.#sendTimeoutMs = sendTimeoutMs;
    this.#paused = false;
    this.#framing = null;
    this.#body = null;
    this.#interimCount = 0;
    this.#answerStarted = false;
    this.#reusable = false;
    this.#sentAt = performance.now();
    this.#write(request);
    this.#setDeadline();
    if (request.source !== undefined && request.upgrades !== true) this.#startBody(request.source);
  }

  /** Idle for at most this long from now on. */
  expireAfter(idleMs: number): void {
    this.deadline = this.#deadlines.now() + idleMs;
  }

  /** Stops reading: the client is slower than the upstream. The read timeout stands still meanwhile. */
  pause(): void {
    this.#paused = true;
    this.deadline = 0;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#setDeadline();
    this.#socket.resume();
  }

  /** Closes at once; the handler hears nothing more. */
  destroy(): void {
    this.#handler = null;
    this.#dead = true;
    this.deadline = 0;
    this.#socket.destroy();
  }

  onDeadline(): void {
    this.#fail(new WeirError('UPSTREAM_READ_TIMEOUT', [`${this.address} sent nothing for ${this.#timeoutMs} ms`]));
  }

  #write({ head, body }: WireRequest): void {
    if (body.length === 0) {
      this.#outbox.add(head);
    } else if (body.length <= joinLimitBytes) {
      const joined = Buffer.allocUnsafe(head.length + body.length);
      joined.write(head, 0, 'latin1');
      joined.set(body, head.length);
      this.#outbox.add(joined);
    } else {
      this.#outbox.addAll([head, body]);
    }
  }

  /** While bytes wait to be sent the socket's own timeout counts, which sees partial progress. */
  #onFull(): void {
    this.#sending = true;
    this.#socket.setTimeout(this.#sendTimeoutMs);
    this.#setDeadline();
  }

  #startBody(source: BodySource): void {
    const handler = this.#handler;
    this.#bodyOpen = true;
    this.deadline = 0;
    source.start({
      // Its client may still send when the answer is complete, or has failed.
      write: (bytes) =>
        this.#handler === handler && this.#sendPiece(source.isChunked ? chunkOf(bytes) : Buffer.from(bytes)),
      end: () => {
        if (this.#handler === handler) this.#endBody(source);
      },
      fail: (error) => {
        if (this.#handler === handler) this.#fail(error);
      },
    });
  }

  #sendPiece(bytes: Buffer | string): boolean {
    this.#outbox.add(bytes);
    this.#setDeadline();
    return !this.#sending;
  }

  #endBody({ isChunked }: BodySource): void {
    this.#bodyOpen = false;
    if (isChunked) this.#sendPiece(lastChunk);
    else this.#setDeadline();
    if (!this.#isTunnel) return;
    this.#outbox.flush();
    this.#socket.end();
  }

  /** The upstream has to say something from now on, unless it waits for us. In a tunnel either side may break the silence. */
  #setDeadline(): void {
    const isAwaited = !this.#sending && !this.#paused && (!this.#bodyOpen || this.#isTunnel);
    this.deadline = isAwaited && this.#handler !== null ? this.#deadlines.now() + this.#timeoutMs : 0;
  }

  #onDrain(): void {
    if (!this.#sending) return;
    this.#sending = false;
    this.#sentAt = performance.now();
    this.#socket.setTimeout(0);
    this.#setDeadline();
    if (this.#bodyOpen) this.#request?.source?.resume();
  }

  #onData(bytes: Buffer): void {
    const handler = this.#handler;
    // An idle upstream has nothing to say (a 408 before it closes, perhaps): the connection is not used again.
    if (handler === null) return this.destroy();
    this.#answerStarted = true;
    this.#setDeadline();
    try {
      this.#consume(bytes, handler);
    } catch (error) {
      const failure = toFailure(error);
      if (this.#handler === handler) return this.#fail(failure);
      // Thrown behind the end of the answer: the connection may have its next request by now.
      handler.onError(failure);
    }
  }

  #consume(bytes: Buffer, handler: ResponseHandler): void {
    let input = bytes;
    let at = 0;
    while (this.#body === null) {
      if (this.#partialHead.length > 0) {
        input = Buffer.concat([this.#partialHead, bytes]);
        this.#partialHead = nothing;
      }
      const headEnd = findHeadEnd(input, at);
      if ((headEnd === -1 ? input.length : headEnd) - at > maxHeadBytes)
        throw new WeirError('UPSTREAM_INVALID_RESPONSE', ['the head is too large']);
      if (headEnd === -1) {
        this.#partialHead = Buffer.from(input.subarray(at));
        return;
      }
      this.#takeHead(parseResponseHead(input, at, headEnd), handler);
      at = headEnd;
      if (this.#handler !== handler) return;
    }
    const end = this.#body.feed(input, at, (piece) => handler.onData(piece));
    if (this.#handler !== handler) return;
    if (this.#body.done) this.#complete(handler, end === input.length);
    else handler.onReadEnd();
  }

  #takeHead(head: ResponseHead, handler: ResponseHandler): void {
    const request = this.#request;
    if (request === null) return;
    if (head.status === 101 && request.upgrades === true && request.source !== undefined) {
      this.#isTunnel = true;
      this.#framing = untilClose;
      this.#body = createBodyDecoder(untilClose);
      handler.onHead(head);
      if (this.#handler === handler) this.#startBody(request.source);
      return;
    }
    if (head.status < 200) {
      // Nobody has asked for another protocol.
      if (head.status === 101 || ++this.#interimCount > maxInterimResponses) {
        throw new WeirError('UPSTREAM_INVALID_RESPONSE', [`unexpected status ${head.status}`]);
      }
      return;
    }
    this.#framing = frameResponseBody(head, request.method);
    this.#body = createBodyDecoder(this.#framing);
    this.#reusable = this.#framing.kind !== 'until-close' && allowsReuse(head);
    handler.onHead(head);
  }

  #complete(handler: ResponseHandler, nothingLeft: boolean): void {
    this.#handler = null;
    this.deadline = 0;
    // Bytes behind the answer, or an answer before the request was sent whole: the two sides may disagree on what
    // comes next, so the connection ends here.
    const reusable = this.#reusable && nothingLeft && !this.#sending && !this.#bodyOpen && !this.#dead;
    if (reusable && this.#use !== null) {
      if (this.#socket.isPaused()) this.#socket.resume();
      this.#owner.onIdle(this, this.#use);
    } else {
      this.destroy();
    }
    handler.onEnd();
  }

  #onEnd(): void {
    const handler = this.#handler;
    if (handler !== null && this.#framing?.kind === 'until-close') {
      this.#handler = null;
      this.#socket.destroy();
      handler.onEnd();
      return;
    }
    this.#fail(this.#closedEarly());
  }

  #onClose(): void {
    this.#dead = true;
    this.deadline = 0;
    this.#deadlines.remove(this);
    this.#owner.onGone(this);
    this.#fail(this.#closedEarly());
  }

  #closedEarly(): WeirError {
    const when = this.#body === null ? 'before its answer' : 'in the middle of its answer';
    return new WeirError('UPSTREAM_RESET', [`${this.address} closed ${when}`]);
  }

  #fail(error: WeirError): void {
    const handler = this.#handler;
    this.#handler = null;
    this.deadline = 0;
    this.#dead = true;
    this.#socket.destroy();
    handler?.onError(error);
  }
}

function allowsReuse(head: ResponseHead): boolean {
  const connection = head.fields.getCombined('connection')?.toLowerCase();
  if (connection === undefined) return head.minorVersion === 1;
  return !connection.includes('close') && (head.minorVersion === 1 || connection.includes('keep-alive'));
}

/** What went wrong while bytes were read. A fault of our own ends this request, not the worker with all of its requests. */
function toFailure(error: unknown): WeirError {
  if (!(error instanceof WeirError)) return new WeirError('INTERNAL', [], { cause: error });
  if (error.blame === 'upstream') return error;
  return new WeirError('UPSTREAM_INVALID_RESPONSE', [error.message], { cause: error });
}
