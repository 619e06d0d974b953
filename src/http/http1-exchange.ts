import { Exchange, type ExchangeConnection } from './exchange.ts';
import type { RequestHead } from './request-head.ts';
import { dateLine, fieldLines, hasDate, statusLine } from './response-text.ts';

/** What an exchange of HTTP/1.1 needs of its connection. */
export interface Http1Connection extends ExchangeConnection {
  /** Value of the field Server, '' for none. */
  readonly server: string;
  /** True when this connection must close after the current exchange whatever the client asked. */
  readonly closing: boolean;
  /** Appends to the socket; false when it holds enough (wait for {@link ExchangeListener.onDrain}). */
  send(data: string | Buffer): boolean;
  /** The same for large pieces, which leave in one system call; empty ones are left out. */
  sendAll(pieces: readonly (string | Buffer)[]): boolean;
  /** From now on all bytes of the client, up to its end, are the body of the running exchange. */
  startTunnel(): void;
  /** The answer is complete. */
  finished(keepAlive: boolean): void;
}

// Up to here one copy into one buffer is cheaper than several writes.
const joinLimitBytes = 16 * 1024;

/** A request and its answer in HTTP/1.1 or 1.0 (RFC 9112). */
export class Http1Exchange extends Exchange {
  readonly connection: Http1Connection;
  #pendingHead = '';
  #chunked = false;
  #keepAlive = false;

  constructor(
    connection: Http1Connection,
    head: RequestHead,
    options: { requestNumber: number; expectedBodyBytes: number | undefined; expectsContinue: boolean },
  ) {
    super(connection, head, options);
    this.connection = connection;
  }

  protected get server(): string {
    return this.connection.server;
  }

  flush(): void {
    if (this.ended || this.#pendingHead === '') return;
    const text = this.#pendingHead;
    this.#pendingHead = '';
    this.bytesSent += text.length;
    this.connection.send(text);
  }

  switchProtocols(fields: readonly string[]): void {
    if (this.ended || this.status !== 0) return;
    this.status = 101;
    this.answerFields = fields;
    this.#pendingHead = `${statusLine(101)}${fieldLines(fields)}\r\n`;
    this.flush();
    this.reopenBody();
    this.connection.startTunnel();
  }

  protected writeHead(
    status: number,
    fields: readonly string[],
    length: number | undefined,
    bodyFollows: boolean,
  ): void {
    const { head, connection } = this;
    this.#chunked = length === undefined && bodyFollows && head.minorVersion === 1;

    // After a body that was refused the connection ends, also when the rest of it happens to be here already.
    const mustClose = connection.closing || !this.bodyTaken || (length === undefined && head.minorVersion === 0);
    this.#keepAlive = !mustClose && wantsKeepAlive(head);

    let text = statusLine(status) + fieldLines(fields);
    if (this.filter === null && connection.server !== '') text += `Server: ${connection.server}\r\n`;
    // When an answer was made, who made it knows best (RFC 9110, section 6.6.1).
    if (!hasDate(fields)) text += dateLine();
    if (this.#chunked) text += 'Transfer-Encoding: chunked\r\n';
    else if (length !== undefined && status !== 204 && status !== 304) text += `Content-Length: ${length}\r\n`;
    if (!this.#keepAlive) text += 'Connection: close\r\n\r\n';
    else text += head.minorVersion === 0 ? 'Connection: keep-alive\r\n\r\n' : '\r\n';
    this.#pendingHead = text;
  }

  protected writeBody(bytes: Buffer, isOwned: boolean): boolean {
    return this.#send(bytes, this.#chunked ? '\r\n' : '', isOwned);
  }

  protected writeEnd(last: Buffer, isOwned: boolean): void {
    const ending = this.#chunked ? '0\r\n\r\n' : '';
    if (last.length > 0) {
      this.#send(last, this.#chunked ? `\r\n${ending}` : '', isOwned);
    } else if (this.#pendingHead !== '' || ending !== '') {
      const text = this.#pendingHead + ending;
      this.#pendingHead = '';
      this.bytesSent += text.length;
      this.connection.send(text);
    }
    this.connection.finished(this.#keepAlive);
  }

  #send(bytes: Buffer, suffix: string, isOwned: boolean): boolean {
    const prefix = this.#chunked ? `${this.#pendingHead}${bytes.length.toString(16)}\r\n` : this.#pendingHead;
    this.#pendingHead = '';
    this.bytesSent += prefix.length + bytes.length + suffix.length;
    if (bytes.length > joinLimitBytes) {
      const kept = isOwned ? bytes : Buffer.from(bytes);
      return this.connection.sendAll([prefix, kept, suffix]);
    }
    const joined = Buffer.allocUnsafe(prefix.length + bytes.length + suffix.length);
    writeText(joined, prefix, 0);
    joined.set(bytes, prefix.length);
    writeText(joined, suffix, prefix.length + bytes.length);
    return this.connection.send(joined);
  }
}

/** A chunk's size and its end are shorter than the way out of JavaScript and back. */
function writeText(bytes: Buffer, text: string, start: number): void {
  if (text.length > 16) bytes.write(text, start, 'latin1');
  else for (let i = 0; i < text.length; i++) bytes[start + i] = text.charCodeAt(i);
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
