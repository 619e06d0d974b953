import type { Socket } from 'node:net';
import { WeirError } from '../base/errors.ts';
import { createBodyDecoder, type BodyDecoder } from './body-decoder.ts';
import { frameRequestBody } from './body-framing.ts';
import { CR, LF } from './characters.ts';
import type { Deadlines, Expirable } from './deadlines.ts';
import type { Exchange } from './exchange.ts';
import { Fields } from './fields.ts';
import { diagnoseUnfinishedHead, findHeadEnd, maxHeadBytes, maxRequestLineBytes } from './head-boundary.ts';
import { Http1Exchange, type Http1Connection } from './http1-exchange.ts';
import { parseRequestHead, type RequestHead } from './request-head.ts';
import { Outbox } from './outbox.ts';
import { readShared } from './shared-reads.ts';
import type { FindTerminator } from './tls-handshake.ts';
import type { TlsFacts } from './tls-terminator.ts';

export interface ServerTimeouts {
  /** An idle keep-alive connection is closed after this long. */
  readonly keepAliveMs: number;
  /** A head must be complete this long after its first byte. */
  readonly headMs: number;
  /** Longest pause between two reads of a request body. */
  readonly bodyMs: number;
  /** Longest time in which a client that is owed bytes takes none. */
  readonly sendMs: number;
}

export interface ExchangeHandler {
  /** A request whose head is good. The handler must answer it, sooner or later, once. */
  onRequest(exchange: Exchange): void;
  /** Bytes that are no good request. The handler answers `error` on the exchange; the connection closes after that. */
  onRefused(exchange: Exchange, error: WeirError): void;
}

/** Counts the connections of clients. */
export interface ConnectionCounter {
  connectionOpened(): void;
  connectionClosed(): void;
}

export interface ServerConnectionOptions {
  readonly handler: ExchangeHandler;
  readonly deadlines: Deadlines;
  readonly timeouts: ServerTimeouts;
  /** Value of the field Server, '' for none. */
  readonly server: string;
  /** Is told of every connection. Absent: nobody is. */
  readonly traffic?: ConnectionCounter;
  /** For listeners with TLS. Absent: they refuse every handshake. */
  readonly findTerminator?: FindTerminator;
}

// Pipelined requests that wait for their turn; beyond this the socket is not read until the turn comes.
const maxWaitingBytes = 64 * 1024;
// A client that still sends its body after an early answer (413, say) is read on: else the kernel would reset the
// connection and the client would never see the answer. It is cut after a silence, a total time or this many bytes.
const lingerQuietMs = 2000;
const lingerTotalMs = 30_000;
const lingerBytes = 64 * 1024 * 1024;

const nothing = Buffer.alloc(0);
const unreadableHead: RequestHead = {
  method: '-',
  target: '-',
  requestLine: '-',
  version: '1.1',
  minorVersion: 1,
  fields: new Fields(),
  host: '',
  byteLength: 0,
};

/** One client connection: takes requests out of the bytes one after another, each answered before the next starts. */
export class ServerConnection implements Http1Connection, Expirable {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly serial: number;
  readonly tls: TlsFacts | null;
  server: string;
  deadline = 0;
  closing = false;

  #socket: Socket;
  #outbox: Outbox;
  #options: ServerConnectionOptions;
  #waiting: Buffer = nothing;
  #exchange: Exchange | null = null;
  #body: BodyDecoder | null = null;
  #requestCount = 0;
  #advancing = false;
  #headStarted = false;
  #isTunnel = false;
  #stalled = false;
  #lingering = false;
  #lingeredBytes = 0;
  #lingerEnd = 0;

  constructor(accepted: Socket, serial: number, options: ServerConnectionOptions, tls: TlsFacts | null = null) {
    const socket = readShared(accepted, (bytes) => this.#onData(bytes));
    this.#socket = socket;
    this.#outbox = new Outbox(socket, () => this.#holdUntilSent());
    this.#options = options;
    this.serial = serial;
    this.tls = tls;
    this.server = options.server;
    this.remoteAddress = socket.remoteAddress ?? '';
    this.remotePort = socket.remotePort ?? 0;
    this.localAddress = socket.localAddress ?? '';
    this.localPort = socket.localPort ?? 0;

    socket.on('end', () => this.#onEnd());
    socket.on('drain', () => this.#onDrain());
    socket.on('timeout', () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#onClose());
    options.deadlines.add(this);
    this.#setDeadline(options.timeouts.headMs);
  }

  /** Takes over new settings, from the next request on. */
  reconfigure(options: ServerConnectionOptions): void {
    this.#options = options;
    this.server = options.server;
  }

  /** Closes at once when idle, otherwise after the running exchange, which says so in its head. */
  closeGracefully(): void {
    this.closing = true;
    if (this.#exchange !== null || this.#lingering) return;
    this.#outbox.flush();
    // The last answer may still be on its way to a slow client.
    if (this.#socket.writableLength > 0) this.#closeAfterAnswer();
    else this.#socket.destroy();
  }

  /** The gateway ends now: whoever answers may say so in its last bytes; what nobody answers is cut. */
  cut(): void {
    this.closing = true;
    const exchange = this.#exchange;
    if (exchange?.listener?.onCut) exchange.listener.onCut();
    else if (!this.#lingering) this.destroy();
  }

  // ---- Http1Connection ----------------------------------------------------------------------------------------------

  send(data: string | Buffer): boolean {
    this.#outbox.add(data);
    return !this.#stalled;
  }

  sendAll(pieces: readonly (string | Buffer)[]): boolean {
    this.#outbox.addAll(pieces);
    return !this.#stalled;
  }

  sendContinue(): void {
    this.send('HTTP/1.1 100 Continue\r\n\r\n');
  }

  resumeBody(): void {
    if (!this.#isTunnel) this.#setDeadline(this.#options.timeouts.bodyMs);
    this.#socket.resume();
  }

  startTunnel(): void {
    this.#isTunnel = true;
    this.#body = createBodyDecoder({ kind: 'until-close' });
    this.deadline = 0;
    // What the client has sent since its request.
    this.#advance(this.#take());
  }

  finished(keepAlive: boolean): void {
    this.#exchange = null;
    this.#body = null;
    // `closing` may have come after the head of the answer was made.
    if (!keepAlive || this.closing) this.#closeAfterAnswer();
    else if (!this.#stalled) this.#awaitRequest();
  }

  destroy(): void {
    this.#outbox.flush();
    this.#socket.destroy();
  }

  // ---- reading ------------------------------------------------------------------------------------------------------

  #onData(bytes: Buffer): void {
    if (this.#lingering) {
      this.#linger(bytes.length);
      return;
    }
    this.#advance(this.#waiting.length === 0 ? bytes : Buffer.concat([this.#take(), bytes]));
  }

  #awaitRequest(): void {
    this.#setDeadline(this.#options.timeouts.keepAliveMs);
    if (this.#socket.isPaused()) this.#socket.resume();
    if (this.#waiting.length > 0 && !this.#advancing) this.#advance(this.#take());
  }

  /** Takes as much out of `bytes` as its turn allows and keeps the rest waiting. */
  #advance(bytes: Buffer): void {
    this.#advancing = true;
    let at = 0;
    while (at < bytes.length && !this.#lingering) {
      // Answers pile up in memory when requests are handled for a client that does not take them.
      const held = this.#exchange === null ? this.#stalled : this.#body === null || this.#body.done;
      if (held) break;
      const next = this.#exchange === null ? this.#readHead(bytes, at) : this.#readBody(bytes, at);
      if (next === -1) break;
      at = next;
    }
    this.#advancing = false;
    this.#waiting = at === bytes.length || this.#lingering ? nothing : Buffer.from(bytes.subarray(at));
    if (this.#exchange !== null && this.#waiting.length > maxWaitingBytes) this.#socket.pause();
  }

  /** @returns The offset behind the head, or -1 when it is not complete. */
  #readHead(bytes: Buffer, from: number): number {
    let start = from;
    // RFC 9112 section 2.2: a CRLF before the request line is read over; some clients send one after a body. They win
    // no time by it: the deadline stays.
    while (bytes[start] === CR && bytes[start + 1] === LF) start += 2;
    if (start === bytes.length || (start === bytes.length - 1 && bytes[start] === CR))
      return start === from ? -1 : start;

    const end = findHeadEnd(bytes, start);
    const tooLong = (end === -1 ? bytes.length : end) - start > maxHeadBytes;
    if (
      end === -1 ||
      tooLong ||
      (end - start > maxRequestLineBytes && bytes.indexOf(LF, start) - start > maxRequestLineBytes)
    ) {
      const error = diagnoseUnfinishedHead(bytes, start);
      if (error !== null) return this.#refuse(unreadableHead, error, bytes.length);
      // Set once: a peer that sends a byte now and then gets no more time than one that sends none.
      if (!this.#headStarted) this.#setDeadline(this.#options.timeouts.headMs);
      this.#headStarted = true;
      return start === from ? -1 : start;
    }
    this.deadline = 0;
    this.#headStarted = false;

    let head: RequestHead = unreadableHead;
    try {
      head = parseRequestHead(bytes, start, end);
      return this.#startExchange(head, bytes, end);
    } catch (error) {
      if (!(error instanceof WeirError)) throw error;
      // Had the same bytes come in pieces, this is what would have been seen first.
      const earlier = diagnoseUnfinishedHead(bytes.subarray(0, end), start);
      return this.#refuse(head, earlier ?? error, bytes.length);
    }
  }

  /** @returns The offset behind what was taken of the body. */
  #startExchange(head: RequestHead, bytes: Buffer, headEnd: number): number {
    const framing = frameRequestBody(head);
    const expectation = head.minorVersion === 1 ? head.fields.getCombined('expect') : undefined;
    if (expectation !== undefined && expectation.toLowerCase() !== '100-continue') {
      throw new WeirError('EXPECTATION_FAILED', [expectation.slice(0, 40)]);
    }
    const exchange = new Http1Exchange(this, head, {
      requestNumber: ++this.#requestCount,
      expectedBodyBytes: framing.kind === 'length' ? framing.length : undefined,
      expectsContinue: expectation !== undefined,
    });
    this.#exchange = exchange;
    this.#body = createBodyDecoder(framing);
    // The body's first bytes are taken before the handler runs: a small request is then handled without waiting.
    const bodyEnd = this.#readBody(bytes, headEnd);
    if (this.#body !== null && !this.#body.done) this.#socket.pause();
    this.#options.handler.onRequest(exchange);
    return bodyEnd;
  }

  #readBody(bytes: Buffer, start: number): number {
    const exchange = this.#exchange;
    const body = this.#body;
    if (exchange === null || body === null) return start;
    let end: number;
    try {
      end = body.feed(bytes, start, (piece) => exchange.bodyArrived(piece));
    } catch (error) {
      if (!(error instanceof WeirError)) throw error;
      this.#failBody(exchange, error);
      return bytes.length;
    }
    if (body.done) {
      this.deadline = 0;
      exchange.bodyFinished();
    } else if (exchange.readingBody) {
      if (!this.#isTunnel) this.#setDeadline(this.#options.timeouts.bodyMs);
    } else if (exchange.bodyBytesReceived > 0) {
      this.#socket.pause();
    }
    return end;
  }

  /** A body went wrong: whoever waits for it answers; a handler that has not asked for it yet will be told then. */
  #failBody(exchange: Exchange, error: WeirError): void {
    this.deadline = 0;
    this.closing = true;
    // Nothing behind the fault can be told apart any more, so nothing more is decoded.
    this.#body = null;
    exchange.failBody(error);
  }

  #refuse(head: RequestHead, error: WeirError, end: number): number {
    this.deadline = 0;
    this.closing = true;
    const exchange = new Http1Exchange(this, head, {
      requestNumber: ++this.#requestCount,
      expectedBodyBytes: undefined,
      expectsContinue: false,
    });
    this.#exchange = exchange;
    this.#body = null;
    this.#options.handler.onRefused(exchange, error);
    return end;
  }

  #take(): Buffer {
    const waiting = this.#waiting;
    this.#waiting = nothing;
    return waiting;
  }

  // ---- ends ---------------------------------------------------------------------------------------------------------

  onDeadline(): void {
    const exchange = this.#exchange;
    if (exchange !== null) {
      if (!exchange.readingBody) return;
      this.#failBody(exchange, new WeirError('REQUEST_TIMEOUT', ['the body stalled']));
    } else if (this.#waiting.length > 0 && !this.#lingering) {
      this.#take();
      this.#refuse(unreadableHead, new WeirError('REQUEST_TIMEOUT', ['the head is incomplete']), 0);
    } else {
      this.#socket.destroy();
    }
  }

  #closeAfterAnswer(): void {
    this.closing = true;
    this.#lingering = true;
    this.#waiting = nothing;
    this.deadline = 0;
    this.#outbox.flush();
    if (this.#socket.writableLength === 0) this.#socket.resume();
    else this.#holdUntilSent();
    // Counted from when the answer has left: a slow client may still be taking it.
    this.#socket.end(() => {
      this.#socket.setTimeout(0);
      this.#lingerEnd = this.#options.deadlines.now() + lingerTotalMs;
      this.#setDeadline(lingerQuietMs);
      this.#socket.resume();
    });
  }

  #linger(receivedBytes: number): void {
    this.#lingeredBytes += receivedBytes;
    if (this.#lingeredBytes > lingerBytes) this.#socket.destroy();
    // Before the answer has left, the send timeout watches.
    else if (this.#lingerEnd > 0)
      this.deadline = Math.min(this.#options.deadlines.now() + lingerQuietMs, this.#lingerEnd);
  }

  get #isBodyPending(): boolean {
    return this.#body !== null && !this.#body.done;
  }

  /**
   * The client takes what it is owed or is cut. The socket's own timeout sees partial progress of a large write; the
   * sweep of deadlines could not. Further requests are not read meanwhile, they would only make more to send; a body
   * is, for its client may take the answer only when all of it is sent.
   */
  #holdUntilSent(): void {
    this.#stalled = true;
    this.#socket.setTimeout(this.#options.timeouts.sendMs);
    if (!this.#isBodyPending || this.#exchange?.readingBody !== true) this.#socket.pause();
  }

  #onDrain(): void {
    this.#stalled = false;
    this.#socket.setTimeout(0);
    const exchange = this.#exchange;
    if (exchange === null) {
      this.#awaitRequest();
      return;
    }
    const mayRead = this.#isBodyPending ? exchange.readingBody : this.#waiting.length <= maxWaitingBytes;
    if (mayRead) this.#socket.resume();
    exchange.listener?.onDrain?.();
  }

  /**
   * The client closed its sending side. Like nginx, Weir takes that for leaving: nobody half-closes to wait for an
   * answer. One that was made already is still sent. In a tunnel it is the end of what the client has to say.
   */
  #onEnd(): void {
    if (this.#isTunnel) this.#exchange?.bodyFinished();
    else if (this.#exchange !== null) this.#socket.destroy();
    else if (!this.#lingering) this.#closeAfterAnswer();
  }

  #onClose(): void {
    this.#options.deadlines.remove(this);
    this.deadline = 0;
    const exchange = this.#exchange;
    this.#exchange = null;
    exchange?.abort();
  }

  #setDeadline(afterMs: number): void {
    this.deadline = this.#options.deadlines.now() + afterMs;
  }
}
