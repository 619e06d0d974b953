import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { WeirError } from '../base/errors.ts';
import { frameRequestBody } from './body-framing.ts';
import type { Deadlines, Expirable } from './deadlines.ts';
import { FloodGuard } from './flood-guard.ts';
import { Http2Exchange } from './http2-exchange.ts';
import { toRequestHead, unreadableHttp2Head } from './http2-head.ts';
import { Http2Stream } from './http2-stream.ts';
import type { RequestHead } from './request-head.ts';
import type { ServerConnectionOptions, ServerTimeouts } from './server-connection.ts';
import type { TlsFacts } from './tls-terminator.ts';

/** As nginx's http2_max_concurrent_streams. */
const maxConcurrentStreams = 128;
/** What a client may send of one body before the gateway has taken it. */
const streamWindowBytes = 256 * 1024;
/** Of all bodies together so much may be on its way. Node gives it back when it has read it, whoever takes it then. */
const connectionWindowBytes = 1024 * 1024;
/**
 * Node refuses new streams while so many MB wait on a connection, answers included that the client has not taken: with its
 * 10 MB one large answer kept all other requests out. What may wait is up to who writes (`Exchange.write`) and the windows.
 */
const maxSessionMemory = 1_000_000;
/** Above the limits of a head (http2-head.ts), so that what exceeds those gets an answer; beyond, streams are reset. */
const maxHeaderListBytes = 64 * 1024;
const maxHeaderPairs = 256;
/** Requests that their client gives up at once (CVE-2023-44487), or has the gateway give up (CVE-2025-8671). */
const abandonedLimit = { burst: 200, perSecond: 20 };
/** PING and SETTINGS frames, which have to be answered. */
const controlLimit = { burst: 200, perSecond: 20 };
/** How long a client has to take the end of the connection. */
const lingerMs = 2000;

/** One client connection in HTTP/2. Node's http2 speaks it; each of its streams becomes an exchange. */
export class Http2Connection implements Expirable {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly serial: number;
  readonly tls: TlsFacts | null;
  deadline = 0;
  readonly #socket: Socket;
  readonly #session: ServerHttp2Session;
  readonly #streams = new Set<Http2Stream>();
  readonly #abandoned = new FloodGuard(abandonedLimit);
  readonly #control = new FloodGuard(controlLimit);
  #options: ServerConnectionOptions;
  #requestCount = 0;
  #closing = false;

  /** @param socket - Nothing of it has been read, or it has been put back. */
  constructor(socket: Socket, serial: number, options: ServerConnectionOptions, tls: TlsFacts | null) {
    this.serial = serial;
    this.tls = tls;
    this.remoteAddress = socket.remoteAddress ?? '';
    this.remotePort = socket.remotePort ?? 0;
    this.localAddress = socket.localAddress ?? '';
    this.localPort = socket.localPort ?? 0;
    this.#options = options;
    const session = performServerHandshake(socket, {
      settings: {
        enablePush: false,
        maxConcurrentStreams,
        initialWindowSize: streamWindowBytes,
        maxHeaderListSize: maxHeaderListBytes,
      },
      maxHeaderListPairs: maxHeaderPairs,
      maxSessionMemory,
      // An upstream's answer is passed on as it is.
      strictSingleValueFields: false,
    });
    this.#socket = socket;
    this.#session = session;
    session.setLocalWindowSize(connectionWindowBytes);
    session.on('stream', (stream, _headers, _flags, raw) => this.#onStream(stream, raw));
    session.on('ping', () => this.#onControlFrame());
    session.on('remoteSettings', () => this.#onControlFrame());
    session.on('error', () => session.destroy());
    // Like in HTTP/1.1: nobody half-closes to wait for an answer.
    socket.on('end', () => this.destroy());
    socket.on('close', () => this.#onClose());
    options.deadlines.add(this);
    this.#setDeadline(options.timeouts.headMs);
  }

  get deadlines(): Deadlines {
    return this.#options.deadlines;
  }

  get timeouts(): ServerTimeouts {
    return this.#options.timeouts;
  }

  /** Takes over new settings, from the next request on. */
  reconfigure(options: ServerConnectionOptions): void {
    this.#options = options;
  }

  /** Takes no more requests (GOAWAY) and closes after those that run. */
  closeGracefully(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#session.close();
    if (this.#streams.size === 0) this.#setDeadline(lingerMs);
  }

  /** The gateway ends now: whoever answers may say so in its last bytes; what nobody answers is cut. */
  cut(): void {
    this.closeGracefully();
    for (const stream of this.#streams) stream.cut();
  }

  /** Closes the connection at once. */
  destroy(): void {
    this.#session.destroy();
    // A session that has been closed gracefully waits for the client to close as well.
    this.#socket.destroy();
  }

  /** For its streams. @param isAbandoned - The answer was not complete. */
  streamClosed(stream: Http2Stream, isAbandoned: boolean): void {
    this.deadlines.remove(stream);
    this.#streams.delete(stream);
    if (isAbandoned && !this.#abandoned.admits(this.deadlines.now())) return this.#endFlood();
    if (this.#streams.size === 0) this.#setDeadline(this.#closing ? lingerMs : this.timeouts.keepAliveMs);
  }

  onDeadline(): void {
    if (this.#closing) this.destroy();
    else this.closeGracefully();
  }

  #onStream(stream: ServerHttp2Stream, raw: readonly string[]): void {
    this.deadline = 0;
    const connection = new Http2Stream(this, stream);
    this.#streams.add(connection);
    let head: RequestHead = unreadableHttp2Head;
    try {
      head = toRequestHead(raw);
      const framing = frameRequestBody(head);
      const expectation = head.fields.getCombined('expect');
      if (expectation !== undefined && expectation.toLowerCase() !== '100-continue') {
        throw new WeirError('EXPECTATION_FAILED', [expectation.slice(0, 40)]);
      }
      const expectedBodyBytes = framing.kind === 'length' ? framing.length : undefined;
      const exchange = this.#createExchange(connection, head, {
        expectedBodyBytes,
        expectsContinue: expectation !== undefined,
      });
      connection.begin(exchange);
      this.#options.handler.onRequest(exchange);
    } catch (error) {
      if (!(error instanceof WeirError)) throw error;
      const exchange = this.#createExchange(connection, head, { expectedBodyBytes: undefined, expectsContinue: false });
      connection.begin(exchange);
      this.#options.handler.onRefused(exchange, error);
    }
  }

  #createExchange(
    connection: Http2Stream,
    head: RequestHead,
    body: { readonly expectedBodyBytes: number | undefined; readonly expectsContinue: boolean },
  ): Http2Exchange {
    const { server } = this.#options;
    return new Http2Exchange(connection, head, { ...body, server, requestNumber: ++this.#requestCount });
  }

  #onControlFrame(): void {
    if (!this.#control.admits(this.deadlines.now())) this.#endFlood();
  }

  #endFlood(): void {
    this.#session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  #onClose(): void {
    this.deadline = 0;
    this.deadlines.remove(this);
  }

  #setDeadline(afterMs: number): void {
    this.deadline = this.deadlines.now() + afterMs;
  }
}
