/**
 * Makes another body of a whole one; null: it stays as it is. What it changes in the head's fields is still sent.
 * Must not throw.
 */
export type BodyRewrite = (body: Buffer, head: AnswerHead) => Buffer | null;

/** An answer before anything of it is sent: who filters it may change the status, the fields and the body. */
export class AnswerHead {
  /** 200 to 599. */
  status: number;
  /** name, value, name, value, … without framing and Date. Replace the list, never change it. */
  fields: readonly string[];
  #replacement: Buffer | null = null;
  #waitsForEnd = false;
  #rewrites: BodyRewrite[] = [];

  constructor(status: number, fields: readonly string[]) {
    this.status = status;
    this.fields = fields;
  }

  /** Sent in place of the body; null: the body is not replaced. */
  get replacement(): Buffer | null {
    return this.#replacement;
  }

  /** The replacement is sent when the body that it replaces has ended. */
  get waitsForEnd(): boolean {
    return this.#waitsForEnd;
  }

  /** What is done to the body once it is complete, in order. */
  get rewrites(): readonly BodyRewrite[] {
    return this.#rewrites;
  }

  /** @param name - In lower case. @returns The first value, or undefined. */
  field(name: string): string | undefined {
    for (let i = 0; i < this.fields.length; i += 2) {
      if (this.fields[i]?.toLowerCase() === name) return this.fields[i + 1];
    }
    return undefined;
  }

  /**
   * Sends this in place of the body, whatever that is.
   *
   * @param options.waitsForEnd - Only when that has ended: a client that has its answer may leave, and what the rest of
   *   the body says would not be read. Default false: at once.
   */
  replaceBody(body: Buffer, { waitsForEnd = false }: { readonly waitsForEnd?: boolean } = {}): void {
    this.#replacement = body;
    this.#waitsForEnd = waitsForEnd;
    this.#rewrites = [];
  }

  /** Holds the body back until it is complete, and rewrites it. One that grows too large passes unchanged. */
  rewriteBody(rewrite: BodyRewrite): void {
    if (this.#replacement === null) this.#rewrites.push(rewrite);
    else this.#replacement = rewrite(this.#replacement, this) ?? this.#replacement;
  }
}

/** Looks at an answer before anything of it is sent. Must not throw. */
export type AnswerFilter = (head: AnswerHead) => void;

/** A body that waits for its end, to be rewritten or replaced. */
export class HeldBody {
  readonly head: AnswerHead;
  /** Of the body as it was announced; undefined: not known. */
  readonly length: number | undefined;
  #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(head: AnswerHead, length: number | undefined) {
    this.head = head;
    this.length = length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @param bytes - Copied. */
  add(bytes: Buffer): void {
    if (this.head.replacement !== null) return;
    this.#bytes += bytes.length;
    this.#pieces.push(Buffer.from(bytes));
    // As a list of views a body in pieces of one byte would take a hundred times its size.
    if (this.#pieces.length === maxLoosePieces) this.#pieces = [Buffer.concat(this.#pieces)];
  }

  whole(last: Buffer): Buffer {
    return this.#pieces.length === 0 ? last : Buffer.concat([...this.#pieces, last]);
  }

  rewritten(last: Buffer): Buffer {
    if (this.head.replacement !== null) return this.head.replacement;
    let body = this.whole(last);
    for (const rewrite of this.head.rewrites) body = rewrite(body, this.head) ?? body;
    return body;
  }
}

const maxLoosePieces = 1024;
