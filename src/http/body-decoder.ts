import type { BodyFraming } from './body-framing.ts';
import { ChunkedDecoder, type BodySink } from './chunked-decoder.ts';

/** Takes a body out of a stream of reads, whatever its framing. */
export interface BodyDecoder {
  /** True once the last byte was seen. A body that lasts until close is never done by itself. */
  readonly done: boolean;
  /** @returns The offset behind the last byte that belongs to the body. */
  feed(bytes: Buffer, start: number, sink: BodySink): number;
}

const noBody: BodyDecoder = { done: true, feed: (_bytes, start) => start };

export function createBodyDecoder(framing: BodyFraming): BodyDecoder {
  switch (framing.kind) {
    case 'none':
      return noBody;
    case 'length':
      return new LengthDecoder(framing.length);
    case 'chunked':
      return new ChunkedDecoder();
    case 'until-close':
      return new LengthDecoder(Number.POSITIVE_INFINITY);
  }
}

class LengthDecoder implements BodyDecoder {
  #left: number;

  constructor(length: number) {
    this.#left = length;
  }

  get done(): boolean {
    return this.#left === 0;
  }

  feed(bytes: Buffer, start: number, sink: BodySink): number {
    if (start === bytes.length || this.#left === 0) return start;
    const end = Math.min(bytes.length, start + this.#left);
    this.#left -= end - start;
    sink(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end));
    return end;
  }
}
