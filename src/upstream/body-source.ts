import type { WeirError } from '../base/errors.ts';

/** Where the pieces of a request body go. */
export interface BodySink {
  /** @param bytes - Copied. @returns False: no more before {@link BodySource.resume}. */
  write(bytes: Buffer): boolean;
  /** The body is complete. */
  end(): void;
  /** It will never be: the request is given up, and this is why. */
  fail(error: WeirError): void;
}

/** The body of a request that is sent while it still comes in. Its request can be sent only once. */
export interface BodySource {
  /** Its size is not known beforehand, so it is sent in chunks. */
  readonly isChunked: boolean;
  /** The head was sent. Called once; the sink may be used at once. */
  start(sink: BodySink): void;
  /** The sink takes more again. */
  resume(): void;
}

/** A piece of a chunked body on the wire. */
export function chunkOf(bytes: Buffer): Buffer {
  const size = `${bytes.length.toString(16)}\r\n`;
  const chunk = Buffer.allocUnsafe(size.length + bytes.length + 2);
  chunk.write(size, 0, 'latin1');
  chunk.set(bytes, size.length);
  chunk.write('\r\n', size.length + bytes.length, 'latin1');
  return chunk;
}

export const lastChunk = '0\r\n\r\n';
