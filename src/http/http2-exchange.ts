import { withoutOuterSpaces } from './characters.ts';
import { Exchange } from './exchange.ts';
import { connectionFields } from './http2-head.ts';
import type { RequestHead } from './request-head.ts';
import { dateValue, hasDate } from './response-text.ts';
import type { Http2Stream } from './http2-stream.ts';

interface Http2ExchangeOptions {
  readonly requestNumber: number;
  readonly expectedBodyBytes: number | undefined;
  readonly expectsContinue: boolean;
  /** Value of the field Server, '' for none. */
  readonly server: string;
}

/** A request and its answer on a stream of HTTP/2 (RFC 9113). */
export class Http2Exchange extends Exchange {
  readonly connection: Http2Stream;
  protected readonly server: string;
  #pendingHead: string[] | null = null;

  constructor(connection: Http2Stream, head: RequestHead, options: Http2ExchangeOptions) {
    super(connection, head, options);
    this.connection = connection;
    this.server = options.server;
  }

  flush(): void {
    if (!this.ended) this.#sendHead(false);
  }

  /** HTTP/2 has no change of protocols, and requests for one are refused, so an upstream that answers so is at fault. */
  switchProtocols(): void {
    this.cut();
  }

  protected writeHead(status: number, fields: readonly string[], length: number | undefined): void {
    const head = [':status', String(status)];
    for (let i = 0; i < fields.length; i += 2) {
      const name = fields[i]?.toLowerCase() ?? '';
      // Clients drop a field with spaces around its value, or the whole answer (RFC 9113, section 8.2.1).
      if (!connectionFields.has(name)) head.push(name, withoutOuterSpaces(fields[i + 1] ?? ''));
    }
    if (this.server !== '' && this.filter === null) head.push('server', this.server);
    if (!hasDate(head)) head.push('date', dateValue());
    if (length !== undefined && status !== 204 && status !== 304) head.push('content-length', String(length));
    this.#pendingHead = head;
  }

  protected writeBody(bytes: Buffer, isOwned: boolean): boolean {
    this.#sendHead(false);
    this.bytesSent += bytes.length;
    return this.connection.write(isOwned ? bytes : Buffer.from(bytes));
  }

  protected writeEnd(last: Buffer, isOwned: boolean): void {
    this.#sendHead(last.length === 0);
    this.bytesSent += last.length;
    this.connection.end(isOwned ? last : Buffer.from(last));
  }

  #sendHead(isAll: boolean): void {
    const head = this.#pendingHead;
    if (head === null) return;
    this.#pendingHead = null;
    for (const text of head) this.bytesSent += text.length;
    this.connection.respond(head, isAll);
  }
}
