import { WeirError } from '../base/errors.ts';

/** Takes a request body as it comes. */
export interface BodyReader {
  /** The bytes are gone when this returns. @returns False: no more before {@link IncomingBody.resume}. */
  onBody(bytes: Buffer): boolean;
  onBodyEnd(): void;
  /** It will never be complete. Nothing more is called. */
  onBodyError(error: WeirError): void;
}

/** What a body needs of the connection that it comes on. */
interface BodyConnection {
  /** Lets the rest of it come in. */
  resumeBody(): void;
  /** Tells the client that its body is wanted. */
  sendContinue(): void;
}

interface IncomingBodyOptions {
  readonly expectedBytes: number | undefined;
  readonly expectsContinue: boolean;
}

// A larger body could be announced to make the gateway reserve memory that is never used.
const maxReservedBytes = 1024 * 1024;
// A body in chunks of one byte would cost a hundred times its size as a list of views, so pieces are joined by so many.
const maxLoosePieces = 1024;
const nothing = Buffer.alloc(0);

/**
 * The body of one request: kept as it comes until somebody reads it, whole ({@link read}) or in pieces ({@link stream}).
 * Before that the connection takes no more than one read.
 */
export class IncomingBody {
  readonly #connection: BodyConnection;
  /** What Content-Length announced; undefined: no body, or a chunked one. */
  readonly expectedBytes: number | undefined;
  /** So far. */
  bytesReceived = 0;

  #chunks: Buffer[] = [];
  // A body of known size that comes in several reads: its only chunk, filled as they come, so that nothing is joined.
  #reserved: Buffer | null = null;
  #loosePieces = 0;
  #complete = false;
  #error: WeirError | null = null;
  #limit = 0;
  #waiter: { resolve: (body: Buffer) => void; reject: (error: WeirError) => void } | null = null;
  #reader: BodyReader | null = null;
  #paused = false;
  #continueOwed: boolean;

  constructor(connection: BodyConnection, options: IncomingBodyOptions) {
    this.#connection = connection;
    this.expectedBytes = options.expectedBytes;
    this.#continueOwed = options.expectsContinue;
  }

  /** All of it came in, and nothing was wrong with it. */
  get isTaken(): boolean {
    return this.#complete && this.#error === null;
  }

  /** Somebody waits for more of it, so the connection goes on reading. */
  get isWanted(): boolean {
    return this.#waiter !== null || (this.#reader !== null && !this.#paused);
  }

  /** The whole body when it is here already and within the limit: the common case, without a promise. */
  ifComplete(maxBytes: number): Buffer | null {
    const isStreamed = this.#reader !== null;
    if (!this.isTaken || isStreamed || this.bytesReceived > maxBytes) return null;
    return this.#join();
  }

  /** See `Exchange.readBody`. */
  read(maxBytes: number): Promise<Buffer> {
    const refusal = this.#refusal(maxBytes);
    if (refusal !== null) return Promise.reject(refusal);
    if (this.#complete) return Promise.resolve(this.#join());
    this.#limit = maxBytes;
    this.#sendContinue();
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
      this.#connection.resumeBody();
    });
  }

  /** See `Exchange.streamBody`. */
  stream(maxBytes: number, reader: BodyReader): void {
    const refusal = this.#refusal(maxBytes);
    if (refusal !== null) return reader.onBodyError(refusal);
    this.#limit = maxBytes;
    const kept = this.#takeKept();
    this.#reader = reader;
    if (kept.length > 0) this.#paused = !reader.onBody(kept);
    if (this.#complete) {
      reader.onBodyEnd();
    } else if (!this.#paused) {
      this.#sendContinue();
      this.#connection.resumeBody();
    }
  }

  /** The reader of {@link stream} takes more. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.#complete && this.#error === null) this.#connection.resumeBody();
  }

  /** Another body follows the one that is complete: what a connection carries after a change of protocols. */
  reopen(): void {
    this.#complete = false;
    this.#chunks = [];
    this.#reserved = null;
  }

  /** For the connection: bytes of the body arrived. They are copied where they are kept. */
  arrived(bytes: Buffer): void {
    this.bytesReceived += bytes.length;
    if (this.#error !== null) return;
    if (this.bytesReceived > this.#limit && (this.#waiter !== null || this.#reader !== null)) {
      this.#chunks = [];
      this.fail(new WeirError('BODY_TOO_LARGE', [this.bytesReceived, this.#limit]));
    } else if (this.#reader === null) {
      this.#keep(bytes);
    } else if (!this.#reader.onBody(bytes)) {
      this.#paused = true;
    }
  }

  /** For the connection: the body is complete. */
  finished(): void {
    this.#complete = true;
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.resolve(this.#join());
    if (this.#error === null) this.#reader?.onBodyEnd();
  }

  /** For the connection: the body will never be complete. */
  fail(error: WeirError): void {
    if (this.#error !== null) return;
    this.#error = error;
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.reject(error);
    if (!this.#complete) this.#reader?.onBodyError(error);
  }

  #refusal(maxBytes: number): WeirError | null {
    if (this.#error !== null) return this.#error;
    const known = Math.max(this.expectedBytes ?? 0, this.bytesReceived);
    if (known > maxBytes) this.#error = new WeirError('BODY_TOO_LARGE', [known, maxBytes]);
    return this.#error;
  }

  #sendContinue(): void {
    if (!this.#continueOwed || this.bytesReceived > 0) return;
    this.#continueOwed = false;
    this.#connection.sendContinue();
  }

  #keep(bytes: Buffer): void {
    const expected = this.expectedBytes ?? 0;
    if (this.#reserved !== null) {
      this.#reserved.set(bytes, this.bytesReceived - bytes.length);
    } else if (bytes.length < expected && expected <= maxReservedBytes && this.#chunks.length === 0) {
      this.#reserved = Buffer.allocUnsafeSlow(expected);
      this.#reserved.set(bytes);
      this.#chunks.push(this.#reserved);
    } else {
      this.#chunks.push(Buffer.from(bytes));
      if (++this.#loosePieces === maxLoosePieces) this.#joinLoosePieces();
    }
  }

  #takeKept(): Buffer {
    const kept = this.#reserved === null ? this.#join() : this.#reserved.subarray(0, this.bytesReceived);
    this.#chunks = [];
    this.#reserved = null;
    return kept;
  }

  #joinLoosePieces(): void {
    this.#chunks.push(Buffer.concat(this.#chunks.splice(-this.#loosePieces)));
    this.#loosePieces = 0;
  }

  #join(): Buffer {
    const chunks = this.#chunks;
    const first = chunks[0];
    if (first === undefined) return nothing;
    if (chunks.length === 1) return first;
    const body = Buffer.concat(chunks);
    this.#chunks = [body];
    return body;
  }
}
