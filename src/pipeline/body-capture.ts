import { StringDecoder } from 'node:string_decoder';

/** Keeps the beginning of a body that passes by, for loggers. */
export class BodyCapture {
  readonly #pieces: Buffer[] = [];
  #bytesLeft: number;

  /** @param maxBytes - What lies beyond is not kept. */
  constructor(maxBytes: number) {
    this.#bytesLeft = maxBytes;
  }

  /** @param bytes - Free for reuse when the call returns. */
  readonly add = (bytes: Buffer): void => {
    if (this.#bytesLeft === 0) return;
    const kept = Buffer.from(bytes.subarray(0, this.#bytesLeft));
    this.#bytesLeft -= kept.length;
    this.#pieces.push(kept);
  };

  /** What was kept, at most `maxBytes` of it, as {@link bodyText} gives it. */
  text(maxBytes: number): string {
    return bodyText(Buffer.concat(this.#pieces), maxBytes);
  }
}

/** The beginning of a body as text, without half a character at its end. */
export function bodyText(body: Buffer, maxBytes: number): string {
  return new StringDecoder('utf8').write(body.subarray(0, maxBytes));
}
