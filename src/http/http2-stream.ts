import { constants, type ServerHttp2Stream } from 'node:http2';
import { WeirError } from '../base/errors.ts';
import type { Deadlines, Expirable } from './deadlines.ts';
import type { Exchange, ExchangeConnection } from './exchange.ts';
import type { ServerTimeouts } from './server-connection.ts';
import type { TlsFacts } from './tls-terminator.ts';

const cutOff = new Error('the answer was cut off');

/** What a stream needs of the connection that it belongs to. */
interface StreamOwner extends Pick<
  ExchangeConnection,
  'remoteAddress' | 'remotePort' | 'localAddress' | 'localPort' | 'serial' | 'tls'
> {
  readonly deadlines: Deadlines;
  readonly timeouts: ServerTimeouts;
  /** @param isAbandoned - The answer was not complete. */
  streamClosed(stream: Http2Stream, isAbandoned: boolean): void;
}

/** One stream of an HTTP/2 connection: to its exchange it is the connection. */
export class Http2Stream implements ExchangeConnection, Expirable {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly serial: number;
  readonly tls: TlsFacts | null;
  deadline = 0;
  readonly #connection: StreamOwner;
  readonly #stream: ServerHttp2Stream;
  #exchange: Exchange | null = null;
  #readsBody = false;

  constructor(connection: StreamOwner, stream: ServerHttp2Stream) {
    const { remoteAddress, remotePort, localAddress, localPort, serial, tls } = connection;
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
    this.localAddress = localAddress;
    this.localPort = localPort;
    this.serial = serial;
    this.tls = tls;
    this.#connection = connection;
    this.#stream = stream;
    connection.deadlines.add(this);
    stream.on('drain', () => this.#onDrain());
    stream.on('timeout', () => this.destroy());
    // What went wrong shows in `close`, which follows.
    stream.on('error', () => {});
    stream.on('close', () => this.#onClose());
  }

  /** Takes the stream's exchange, whose body follows unless the head was all. */
  begin(exchange: Exchange): void {
    this.#exchange = exchange;
    if (this.#stream.endAfterHeaders) exchange.bodyFinished();
  }

  /** The gateway ends now: whoever answers may say so in its last bytes; what nobody answers is cut. */
  cut(): void {
    if (this.#exchange?.listener?.onCut) this.#exchange.listener.onCut();
    else this.destroy();
  }

  // ---- for the exchange ---------------------------------------------------------------------------------------------

  resumeBody(): void {
    this.#setDeadline(this.#connection.timeouts.bodyMs);
    if (this.#readsBody) return void this.#stream.resume();
    this.#readsBody = true;
    this.#stream.on('data', (bytes: Buffer) => this.#onData(bytes));
    this.#stream.on('end', () => this.#onBodyEnd());
  }

  sendContinue(): void {
    if (this.#isOpen) this.#stream.additionalHeaders({ ':status': 100 });
  }

  /** @param isAll - No body follows. */
  respond(head: readonly string[], isAll: boolean): void {
    if (!this.#isOpen) return;
    try {
      this.#stream.respond(head, { endStream: isAll });
    } catch {
      // A field that Node does not send. Nobody would answer any more.
      this.destroy();
    }
  }

  /** @param bytes - Must stay as they are. @returns False when the stream holds enough. */
  write(bytes: Buffer): boolean {
    if (!this.#isOpen) return true;
    const more = this.#stream.write(bytes);
    if (!more) this.#watchSending();
    return more;
  }

  end(last: Buffer): void {
    const stream = this.#stream;
    this.#exchange = null;
    this.deadline = 0;
    if (!this.#isOpen) return;
    // Nothing was ever answered: the client must not take that for an empty answer.
    if (!stream.headersSent) return this.destroy();
    // A client that still sends a body which nobody reads is told to stop (RFC 9113, section 8.1). In the next turn:
    // a reset overtakes frames that have not left yet.
    if (!stream.readableEnded && !stream.endAfterHeaders) {
      stream.once('finish', () => setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR)));
    }
    this.#watchSending();
    stream.end(last);
  }

  destroy(): void {
    // Not `close`, which would send the end of the body before the reset: clients would take the answer for complete.
    this.#stream.destroy(cutOff);
  }

  get #isOpen(): boolean {
    return !this.#stream.destroyed && !this.#stream.closed;
  }

  // ---- events -------------------------------------------------------------------------------------------------------

  onDeadline(): void {
    if (this.#exchange?.readingBody === true) {
      this.#exchange.failBody(new WeirError('REQUEST_TIMEOUT', ['the body stalled']));
    }
  }

  #onData(bytes: Buffer): void {
    const exchange = this.#exchange;
    if (exchange === null) return;
    exchange.bodyArrived(bytes);
    if (exchange.readingBody) {
      this.#setDeadline(this.#connection.timeouts.bodyMs);
    } else {
      this.deadline = 0;
      this.#stream.pause();
    }
  }

  #onBodyEnd(): void {
    this.deadline = 0;
    // A stream that is reset ends as well, but its body is not complete.
    if (!this.#stream.aborted && this.#stream.rstCode === constants.NGHTTP2_NO_ERROR) this.#exchange?.bodyFinished();
  }

  /** A client takes what it is owed or is cut. Node sees partial progress of a large write. */
  #watchSending(): void {
    this.#stream.setTimeout(this.#connection.timeouts.sendMs);
  }

  #onDrain(): void {
    this.#stream.setTimeout(0);
    this.#exchange?.listener?.onDrain?.();
  }

  #onClose(): void {
    this.deadline = 0;
    const exchange = this.#exchange;
    this.#exchange = null;
    this.#connection.streamClosed(this, exchange !== null && !exchange.ended);
    exchange?.abort();
  }

  #setDeadline(afterMs: number): void {
    this.deadline = this.#connection.deadlines.now() + afterMs;
  }
}
