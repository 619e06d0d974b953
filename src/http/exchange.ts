import { WeirError } from '../base/errors.ts';
import type { RequestHead } from './request-head.ts';
import { dateLine, fieldLines, statusLine } from './response-text.ts';

/** What an exchange needs of the connection that it travels on. */
export interface ExchangeConnection {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Counts connections of this worker from 1: nginx's `$connection`. */
  readonly serial: number;
  readonly serverLine: string;
  /** True when this connection must close after the current exchange whatever the client asked. */
  readonly closing: boolean;
  /** Appends to the socket; false when it holds enough (wait for {@link Exchange.onDrain}). */
  send(data: string | Buffer): boolean;
  /** The same for large pieces, which leave in one system call; empty ones are left out. */
  sendAll(pieces: readonly (string | Buffer)[]): boolean;
  /** Lets the rest of the request body come in. */
  resumeBody(): void;
  /** The answer is complete. */
  finished(keepAlive: boolean): void;
  /** Cuts the connection: the client sees that the answer is incomplete. */
  destroy(): void;
}

// Up to here one copy into one buffer is cheaper than several writes.
const joinLimitBytes = 16 * 1024;
// A larger body could be announced to make the gateway reserve memory that is never used.
const maxReservedBytes = 1024 * 1024;
// A body in chunks of one byte would cost a hundred times its size as a list of views, so pieces are joined by so many.
const maxLoosePieces = 1024;

/**
 * One request and its answer. Bytes of the request body are kept as they come until {@link readBody} sets a limit;
 * before that the connection takes no more than one read.
 */
export class Exchange {
  readonly connection: ExchangeConnection;
  readonly head: RequestHead;
  /** Requests on this connection so far, this one included: nginx's `$connection_requests`. */
  readonly requestNumber: number;
  /** `performance.now()` when the head was complete. */
  readonly startedAt = performance.now();
  /** What Content-Length announced; undefined: no body, or a chunked one. */
  readonly expectedBodyBytes: number | undefined;
  /** Bytes of the request body so far. */
  bodyBytesReceived = 0;
  /** 0 until an answer was begun. */
  status = 0;
  /** The field lines of the answer as given by the caller: name, value, … (without framing and Date). */
  sentFields: readonly string[] = [];
  bodyBytesSent = 0;
  /** Everything sent to the client for this request, heads and framing included: nginx's `$bytes_sent`. */
  bytesSent = 0;
  /** The client left before the answer was complete. Called once. */
  onAbort: (() => void) | null = null;
  /** The gateway ends now: the handler may still complete the answer, at once, in a way that says so. Called once. */
  onCut: (() => void) | null = null;
  /** The socket can take more after {@link write} returned false. */
  onDrain: (() => void) | null = null;
  aborted = false;
  /** Sees every piece of the body that is sent, which is free for reuse afterwards. Null: nobody looks. */
  onBodySent: ((bytes: Buffer) => void) | null = null;

  #bodyChunks: Buffer[] = [];
  // A body of known size that comes in several reads: its only chunk, filled as they come, so that nothing is joined.
  #reserved: Buffer | null = null;
  #loosePieces = 0;
  #bodyComplete = false;
  #bodyError: WeirError | null = null;
  #bodyLimit = 0;
  #bodyWaiter: { resolve: (body: Buffer) => void; reject: (error: WeirError) => void } | null = null;
  #continueOwed: boolean;

  #addedFields: string[] | null = null;
  #pendingHead = '';
  #chunked = false;
  #bodyAllowed = true;
  #keepAlive = false;
  #ended = false;

  constructor(
    connection: ExchangeConnection,
    head: RequestHead,
    options: { requestNumber: number; expectedBodyBytes: number | undefined; expectsContinue: boolean },
  ) {
    this.connection = connection;
    this.head = head;
    this.requestNumber = options.requestNumber;
    this.expectedBodyBytes = options.expectedBodyBytes;
    this.#continueOwed = options.expectsContinue;
  }

  /** True once the last byte of the answer was handed to the socket, or the client is gone. */
  get ended(): boolean {
    return this.#ended;
  }

  // ---- request body -------------------------------------------------------------------------------------------------

  /** The whole body when it is here already and within the limit: the common case, without a promise. */
  bodyIfComplete(maxBytes: number): Buffer | null {
    if (!this.#bodyComplete || this.#bodyError !== null || this.bodyBytesReceived > maxBytes) return null;
    return this.#joinBody();
  }

  /**
   * Reads the whole body.
   *
   * @param maxBytes - Infinity for no limit.
   * @throws WeirError BODY_TOO_LARGE with size and limit as details (before reading when Content-Length tells),
   *   REQUEST_TIMEOUT, BAD_REQUEST (bad chunk), CLIENT_CLOSED_REQUEST.
   */
  readBody(maxBytes: number): Promise<Buffer> {
    if (this.#bodyError !== null) return Promise.reject(this.#bodyError);
    const known = Math.max(this.expectedBodyBytes ?? 0, this.bodyBytesReceived);
    if (known > maxBytes) {
      this.#bodyError = new WeirError('BODY_TOO_LARGE', [known, maxBytes]);
      return Promise.reject(this.#bodyError);
    }
    if (this.#bodyComplete) return Promise.resolve(this.#joinBody());
    this.#bodyLimit = maxBytes;
    if (this.#continueOwed && this.bodyBytesReceived === 0) {
      this.#continueOwed = false;
      this.connection.send('HTTP/1.1 100 Continue\r\n\r\n');
    }
    return new Promise((resolve, reject) => {
      this.#bodyWaiter = { resolve, reject };
      this.connection.resumeBody();
    });
  }

  /** True while somebody waits for the body, so that the connection goes on reading it. */
  get readingBody(): boolean {
    return this.#bodyWaiter !== null;
  }

  /** For the connection: bytes of the body arrived. They are copied. */
  bodyArrived(bytes: Buffer): void {
    this.bodyBytesReceived += bytes.length;
    if (this.#bodyWaiter !== null && this.bodyBytesReceived > this.#bodyLimit) {
      this.#bodyChunks = [];
      this.failBody(new WeirError('BODY_TOO_LARGE', [this.bodyBytesReceived, this.#bodyLimit]));
    } else if (this.#bodyError === null) {
      this.#keepBody(bytes);
    }
  }

  /** For the connection: the body is complete. */
  bodyFinished(): void {
    this.#bodyComplete = true;
    const waiter = this.#bodyWaiter;
    this.#bodyWaiter = null;
    waiter?.resolve(this.#joinBody());
  }

  /** For the connection: the body will never be complete. */
  failBody(error: WeirError): void {
    this.#bodyError ??= error;
    const waiter = this.#bodyWaiter;
    this.#bodyWaiter = null;
    waiter?.reject(error);
  }

  #keepBody(bytes: Buffer): void {
    const expected = this.expectedBodyBytes ?? 0;
    if (this.#reserved !== null) {
      this.#reserved.set(bytes, this.bodyBytesReceived - bytes.length);
    } else if (bytes.length < expected && expected <= maxReservedBytes && this.#bodyChunks.length === 0) {
      this.#reserved = Buffer.allocUnsafeSlow(expected);
      this.#reserved.set(bytes);
      this.#bodyChunks.push(this.#reserved);
    } else {
      this.#bodyChunks.push(Buffer.from(bytes));
      if (++this.#loosePieces === maxLoosePieces) this.#joinLoosePieces();
    }
  }

  #joinLoosePieces(): void {
    this.#bodyChunks.push(Buffer.concat(this.#bodyChunks.splice(-this.#loosePieces)));
    this.#loosePieces = 0;
  }

  #joinBody(): Buffer {
    const chunks = this.#bodyChunks;
    const first = chunks[0];
    if (first === undefined) return emptyBody;
    if (chunks.length === 1) return first;
    const body = Buffer.concat(chunks, this.bodyBytesReceived);
    this.#bodyChunks = [body];
    return body;
  }

  // ---- answer -------------------------------------------------------------------------------------------------------

  /** Puts a field into the answer, whoever gives that; it replaces fields of the same name. No effect once it was begun. */
  setField(name: string, value: string): void {
    this.#addedFields = withoutField(this.#addedFields ?? [], name);
    this.#addedFields.push(name, value);
  }

  /** Takes back what {@link setField} has put into the answer under this name. */
  removeField(name: string): void {
    if (this.#addedFields !== null) this.#addedFields = withoutField(this.#addedFields, name);
  }

  /**
   * Sends a whole answer in one write.
   *
   * @param body - A Buffer must stay as it is from now on.
   * @param fields - name, value, name, value, …; Date, Server, Content-Length and Connection are added here.
   */
  respond(status: number, fields: readonly string[], body: Buffer | string = ''): void {
    if (this.#ended || this.status !== 0) return;
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    this.begin(status, fields, bytes.length);
    if (bytes.length > 0 && this.#bodyAllowed) this.#sendBody(bytes, '', true);
    this.end();
  }

  /**
   * Starts an answer whose body follows in pieces. The head leaves together with the first of them.
   *
   * @param length - Size of the body in bytes when known; otherwise it is chunked, or ends with the connection for
   *   an HTTP/1.0 client.
   */
  begin(status: number, givenFields: readonly string[], length?: number): void {
    if (this.#ended || this.status !== 0) return;
    const fields = this.#addedFields === null ? givenFields : withFields(givenFields, this.#addedFields);
    this.status = status;
    this.sentFields = fields;
    const { head, connection } = this;
    const bodiless = status === 204 || status === 304;
    this.#bodyAllowed = !bodiless && head.method !== 'HEAD';
    this.#chunked = length === undefined && this.#bodyAllowed && head.minorVersion === 1;

    // After a body that was refused the connection ends, also when the rest of it happens to be here already.
    const bodyTaken = this.#bodyComplete && this.#bodyError === null;
    const mustClose = connection.closing || !bodyTaken || (length === undefined && head.minorVersion === 0);
    this.#keepAlive = !mustClose && wantsKeepAlive(head);

    let text = statusLine(status) + fieldLines(fields) + connection.serverLine + dateLine();
    if (this.#chunked) text += 'Transfer-Encoding: chunked\r\n';
    else if (length !== undefined && !bodiless) text += `Content-Length: ${length}\r\n`;
    if (!this.#keepAlive) text += 'Connection: close\r\n\r\n';
    else text += head.minorVersion === 0 ? 'Connection: keep-alive\r\n\r\n' : '\r\n';
    this.#pendingHead = text;
  }

  /**
   * @param bytes - Copied where the socket does not take them at once.
   * @returns False when the client is slow: wait for {@link onDrain} before sending more.
   */
  write(bytes: Buffer): boolean {
    if (this.#ended || this.status === 0 || !this.#bodyAllowed || bytes.length === 0) return true;
    return this.#sendBody(bytes, this.#chunked ? '\r\n' : '', false);
  }

  /**
   * Completes the answer; the connection goes on to the next request or closes.
   *
   * @param last - The last piece, which then leaves in one write with the end of the body.
   */
  end(last: Buffer = emptyBody): void {
    if (this.#ended) return;
    const ending = this.#chunked ? '0\r\n\r\n' : '';
    if (last.length > 0 && this.#bodyAllowed && this.status !== 0) {
      this.#sendBody(last, this.#chunked ? `\r\n${ending}` : '', false);
    } else if (this.#pendingHead !== '' || ending !== '') {
      const text = this.#pendingHead + ending;
      this.#pendingHead = '';
      this.bytesSent += text.length;
      this.connection.send(text);
    }
    this.#ended = true;
    this.connection.finished(this.#keepAlive);
  }

  #sendBody(bytes: Buffer, suffix: string, owned: boolean): boolean {
    const prefix = this.#chunked ? `${this.#pendingHead}${bytes.length.toString(16)}\r\n` : this.#pendingHead;
    this.#pendingHead = '';
    if (this.onBodySent !== null) this.onBodySent(bytes);
    this.bodyBytesSent += bytes.length;
    this.bytesSent += prefix.length + bytes.length + suffix.length;
    if (bytes.length > joinLimitBytes) {
      const kept = owned ? bytes : Buffer.from(bytes);
      return this.connection.sendAll([prefix, kept, suffix]);
    }
    const joined = Buffer.allocUnsafe(prefix.length + bytes.length + suffix.length);
    if (prefix !== '') joined.write(prefix, 0, 'latin1');
    joined.set(bytes, prefix.length);
    if (suffix !== '') joined.write(suffix, prefix.length + bytes.length, 'latin1');
    return this.connection.send(joined);
  }

  /** Gives the answer up where it is: the connection is cut, so that the client cannot take it for complete. */
  cut(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.connection.destroy();
  }

  /** For the connection: the client is gone. */
  abort(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.aborted = true;
    this.failBody(new WeirError('CLIENT_CLOSED_REQUEST'));
    this.onAbort?.();
  }
}

const emptyBody = Buffer.alloc(0);

function withFields(fields: readonly string[], added: readonly string[]): readonly string[] {
  let kept = fields;
  for (let i = 0; i < added.length; i += 2) kept = withoutField(kept, added[i] ?? '');
  return [...kept, ...added];
}

function withoutField(fields: readonly string[], name: string): string[] {
  const lowerCaseName = name.toLowerCase();
  return fields.filter((_, i) => fields[i - (i % 2)]?.toLowerCase() !== lowerCaseName);
}

function wantsKeepAlive(head: RequestHead): boolean {
  const connection = head.fields.getCombined('connection');
  if (connection === undefined) return head.minorVersion === 1;
  // What almost every client writes.
  if (connection === 'keep-alive') return true;
  const options = connection.toLowerCase().split(/[ \t]*,[ \t]*/);
  if (options.includes('close')) return false;
  return head.minorVersion === 1 || options.includes('keep-alive');
}
