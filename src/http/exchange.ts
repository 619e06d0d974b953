import { WeirError } from '../base/errors.ts';
import { AnswerHead, HeldBody, type AnswerFilter } from './answer-head.ts';
import { withoutField } from './field-list.ts';
import { IncomingBody, type BodyReader } from './incoming-body.ts';
import type { RequestHead } from './request-head.ts';
import type { TlsFacts } from './tls-terminator.ts';

/** What an exchange needs of the connection that it travels on. */
export interface ExchangeConnection {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Counts connections of this worker from 1: nginx's `$connection`. */
  readonly serial: number;
  /** Null: not encrypted. */
  readonly tls: TlsFacts | null;
  /** Lets the rest of the request body come in. */
  resumeBody(): void;
  /** Tells a client that waits for it that its body is wanted. */
  sendContinue(): void;
  /** Cuts the answer off: the client sees that it is incomplete. */
  destroy(): void;
}

/** What may happen while an answer is made. */
export interface ExchangeListener {
  /** The client left before the answer was complete, or out of a tunnel. Called once. */
  onAbort?(): void;
  /** The gateway ends now: the answer may still be completed, at once, in a way that says so. Called once. */
  onCut?(): void;
  /** The socket can take more after {@link Exchange.write} returned false. */
  onDrain?(): void;
}

// What is rewritten has to be in memory; a larger body passes as it is.
const maxHeldBytes = 8 * 1024 * 1024;

/**
 * One request and its answer, whatever version of HTTP carries them. Bytes of the request body are kept as they come
 * until {@link readBody} sets a limit; before that the connection takes no more than one read.
 */
export abstract class Exchange {
  abstract readonly connection: ExchangeConnection;
  /** Value of the field Server, '' for none. */
  protected abstract readonly server: string;
  readonly head: RequestHead;
  /** Requests on this connection so far, this one included: nginx's `$connection_requests`. */
  readonly requestNumber: number;
  /** `performance.now()` when the head was complete. */
  readonly startedAt = performance.now();
  /** 0 until an answer was begun. */
  status = 0;
  bodyBytesSent = 0;
  /** Everything sent to the client for this request, heads and framing included: nginx's `$bytes_sent`. */
  bytesSent = 0;
  /** Who makes the answer, and hears how it fares. An object and no closures, see docs/decisions/0010. */
  listener: ExchangeListener | null = null;
  aborted = false;
  /** Sees every piece of the body that is sent, which is free for reuse afterwards. Null: nobody looks. */
  onBodySent: ((bytes: Buffer) => void) | null = null;

  /** May change the answer before anything of it is sent, also one of the gateway itself. Null: nobody does. */
  filter: AnswerFilter | null = null;

  readonly #body: IncomingBody;
  /** Field lines of the answer. Server is among them only where a filter has seen them. */
  protected answerFields: readonly string[] = [];
  #addedFields: string[] | null = null;
  #heldBody: HeldBody | null = null;
  #isReplaced = false;
  #bodyAllowed = true;
  #ended = false;

  constructor(
    connection: ExchangeConnection,
    head: RequestHead,
    options: { requestNumber: number; expectedBodyBytes: number | undefined; expectsContinue: boolean },
  ) {
    this.head = head;
    this.requestNumber = options.requestNumber;
    const { expectedBodyBytes: expectedBytes, expectsContinue } = options;
    this.#body = new IncomingBody(connection, { expectedBytes, expectsContinue });
  }

  /** True once the last byte of the answer was handed to the socket, or the client is gone. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The field lines of the answer: name, value, … (without framing and Date). */
  get sentFields(): readonly string[] {
    const isComplete = this.filter !== null || this.status === 0 || this.status === 101;
    return isComplete ? this.answerFields : this.#withServer(this.answerFields);
  }

  // ---- request body -------------------------------------------------------------------------------------------------

  /** What Content-Length announced; undefined: no body, or a chunked one. */
  get expectedBodyBytes(): number | undefined {
    return this.#body.expectedBytes;
  }

  /** Bytes of the request body so far. */
  get bodyBytesReceived(): number {
    return this.#body.bytesReceived;
  }

  /** The whole body when it is here already and within the limit: the common case, without a promise. */
  bodyIfComplete(maxBytes: number): Buffer | null {
    return this.#body.ifComplete(maxBytes);
  }

  /**
   * Reads the whole body.
   *
   * @param maxBytes - Infinity for no limit.
   * @throws WeirError BODY_TOO_LARGE with size and limit as details (before reading when Content-Length tells),
   *   REQUEST_TIMEOUT, BAD_REQUEST (bad chunk), CLIENT_CLOSED_REQUEST.
   */
  readBody(maxBytes: number): Promise<Buffer> {
    return this.#body.read(maxBytes);
  }

  /**
   * Reads the body in pieces, none of which is kept. Once, and in place of {@link readBody}.
   *
   * @param maxBytes - Infinity for no limit.
   * @param reader - May be called before this returns. Errors are those of {@link readBody}.
   */
  streamBody(maxBytes: number, reader: BodyReader): void {
    this.#body.stream(maxBytes, reader);
  }

  /** The reader of {@link streamBody} takes more after it said no. */
  resumeBody(): void {
    this.#body.resume();
  }

  /** True while somebody waits for the body, so that the connection goes on reading it. */
  get readingBody(): boolean {
    return this.#body.isWanted;
  }

  /** For the connection: bytes of the body arrived. They are gone when this returns. */
  bodyArrived(bytes: Buffer): void {
    this.#body.arrived(bytes);
  }

  /** For the connection: the body is complete. */
  bodyFinished(): void {
    this.#body.finished();
  }

  /** For the connection: the body will never be complete. */
  failBody(error: WeirError): void {
    this.#body.fail(error);
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
    if (this.#heldBody !== null) return this.end(bytes);
    this.#finish(bytes, true);
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
    this.answerFields = fields;
    if (this.filter === null) this.#startAnswer(status, fields, length);
    else this.#filterAnswer(this.filter, new AnswerHead(status, this.#withServer(fields)), length);
  }

  /** Who filters an answer may change this field, too. */
  #withServer(fields: readonly string[]): readonly string[] {
    return this.server === '' ? fields : [...fields, 'Server', this.server];
  }

  #filterAnswer(filter: AnswerFilter, answer: AnswerHead, length: number | undefined): void {
    filter(answer);
    const { replacement, rewrites } = answer;
    this.#isReplaced = replacement !== null;
    if (replacement === null && rewrites.length === 0) {
      this.#writeAnswerHead(answer, length);
    } else if (this.head.method === 'HEAD') {
      // How long a rewritten body would have become nobody knows.
      this.#writeAnswerHead(answer, replacement?.length);
    } else if (replacement !== null && !answer.waitsForEnd) {
      this.#sendReplacement(answer, replacement);
    } else {
      this.status = answer.status;
      this.#heldBody = new HeldBody(answer, length);
    }
  }

  #sendReplacement(answer: AnswerHead, replacement: Buffer): void {
    this.#writeAnswerHead(answer, replacement.length);
    if (replacement.length > 0 && this.#bodyAllowed) this.#sendBody(replacement, true);
    else this.flush();
    // Whatever comes of the other body goes nowhere.
    this.#bodyAllowed = false;
  }

  #writeAnswerHead(answer: AnswerHead, length: number | undefined): void {
    this.status = answer.status;
    this.answerFields = answer.fields;
    this.#startAnswer(answer.status, answer.fields, length);
  }

  #startAnswer(status: number, fields: readonly string[], length: number | undefined): void {
    this.#bodyAllowed = status !== 204 && status !== 304 && this.head.method !== 'HEAD';
    this.writeHead(status, fields, length, this.#bodyAllowed);
  }

  /** Sends the head of an answer whose body takes its time. */
  abstract flush(): void;

  /**
   * Answers with 101: what is written from now on are bytes of the other protocol, and what the client sends is read by
   * {@link streamBody} up to the end of the connection.
   *
   * @param fields - With Upgrade and Connection.
   */
  abstract switchProtocols(fields: readonly string[]): void;

  /**
   * @param bytes - Copied where the socket does not take them at once.
   * @returns False when the client is slow: wait for {@link ExchangeListener.onDrain} before sending more.
   */
  write(bytes: Buffer): boolean {
    if (this.#ended || this.status === 0 || !this.#bodyAllowed || bytes.length === 0) return true;
    if (this.#heldBody !== null) return this.#hold(this.#heldBody, bytes);
    return this.#sendBody(bytes, false);
  }

  /**
   * Completes the answer; the connection goes on to the next request or closes.
   *
   * @param given - The last piece, which then leaves in one write with the end of the body.
   */
  end(given: Buffer = emptyBody): void {
    if (this.#ended) return;
    this.#finish(this.#heldBody === null ? given : this.#release(this.#heldBody, given), false);
  }

  #finish(last: Buffer, isOwned: boolean): void {
    if (this.#ended) return;
    const piece = this.#bodyAllowed && this.status !== 0 ? last : emptyBody;
    if (piece.length > 0) this.#count(piece);
    this.#ended = true;
    this.writeEnd(piece, isOwned);
  }

  /** Keeps a piece of a body that is to be rewritten. */
  #hold(held: HeldBody, bytes: Buffer): boolean {
    held.add(bytes);
    if (held.bytes <= maxHeldBytes) return true;
    this.#heldBody = null;
    this.#writeAnswerHead(held.head, held.length);
    return this.#sendBody(held.whole(emptyBody), true);
  }

  /** @returns The rewritten body, whose head is written. */
  #release(held: HeldBody, last: Buffer): Buffer {
    this.#heldBody = null;
    const body = held.rewritten(last);
    this.#writeAnswerHead(held.head, body.length);
    return body;
  }

  #sendBody(bytes: Buffer, isOwned: boolean): boolean {
    this.#count(bytes);
    return this.writeBody(bytes, isOwned);
  }

  #count(bytes: Buffer): void {
    if (this.onBodySent !== null) this.onBodySent(bytes);
    this.bodyBytesSent += bytes.length;
  }

  /**
   * Keeps the head until the first piece of the body.
   *
   * @param fields - Where there is a {@link filter} it has seen them all; otherwise Server is still missing.
   * @param length - Of the body in bytes; undefined: not known.
   * @param bodyFollows - False for answers that never have one: to HEAD, 204, 304.
   */
  protected abstract writeHead(
    status: number,
    fields: readonly string[],
    length: number | undefined,
    bodyFollows: boolean,
  ): void;
  /**
   * @param bytes - Not empty. Owned: they stay as they are; otherwise they are gone when this returns.
   * @returns False when the connection holds enough.
   */
  protected abstract writeBody(bytes: Buffer, isOwned: boolean): boolean;
  /** @param last - May be empty. */
  protected abstract writeEnd(last: Buffer, isOwned: boolean): void;

  /** Gives the answer up where it is: the connection is cut, so that the client cannot take it for complete. */
  cut(): void {
    if (this.#ended) return;
    // What breaks off here is nothing that the client would have got.
    if (this.#isReplaced) return this.end();
    this.#ended = true;
    this.connection.destroy();
  }

  /** The request body came in and was not refused, so the next request can be told apart from it. */
  protected get bodyTaken(): boolean {
    return this.#body.isTaken;
  }

  /** Another body follows the one that is complete: see {@link switchProtocols}. */
  protected reopenBody(): void {
    this.#body.reopen();
  }

  /** For the connection: the client is gone. */
  abort(): void {
    if (this.#ended) return;
    this.#ended = true;
    // How a tunnel ends is a matter of what is spoken in it.
    this.aborted = this.status !== 101;
    this.failBody(new WeirError('CLIENT_CLOSED_REQUEST'));
    this.listener?.onAbort?.();
  }
}

const emptyBody = Buffer.alloc(0);

function withFields(fields: readonly string[], added: readonly string[]): readonly string[] {
  let kept = fields;
  for (let i = 0; i < added.length; i += 2) kept = withoutField(kept, added[i] ?? '');
  return [...kept, ...added];
}
