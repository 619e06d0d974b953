import { crc32 } from 'node:zlib';
import type { StreamEvent } from './stream-event.ts';

/** What {@link AwsEventSplitter} puts in front of the type of an exception to make the name of its event. */
export const awsExceptionPrefix = 'exception:';

const minFrameBytes = 16;
// Of a frame, so also of what is kept until the rest of a frame arrives.
const maxFrameBytes = 16 * 1024 * 1024;
const preludeBytes = 12;
const checksumBytes = 4;
const stringHeader = 7;
/** Bytes of a header's value by its type; -1: the first two bytes of the value say how many follow. */
const headerValueBytes = [0, 0, 1, 2, 4, 8, -1, -1, 8, 16];
const nothing = Buffer.alloc(0);

/**
 * Cuts a byte stream into the frames of `application/vnd.amazon.eventstream`. Chunks may be split anywhere.
 * https://smithy.io/2.0/aws/amazon-eventstream.html
 *
 *     | total length u32 | headers length u32 | crc32 of these 8 | headers | payload | crc32 of all before |
 *     header: | name length u8 | name | type u8 | value |
 *
 * The name of an event is its `:event-type`; for an exception {@link awsExceptionPrefix} and its `:exception-type` (or the
 * `:error-code` of an error that the service's model does not know). Its data is the payload as text.
 */
export class AwsEventSplitter {
  /** Why the bytes cannot be read any further; null while they can. Whatever is pushed later is ignored. */
  failure: string | null = null;

  readonly #onEvent: (event: StreamEvent) => void;
  // The beginning of a frame, in a buffer that grows by doubling: tiny chunks cost no more than large ones.
  #held = nothing;
  #heldBytes = 0;
  // So many bytes must be here before it makes sense to look at them again.
  #wantedBytes = preludeBytes;

  constructor(onEvent: (event: StreamEvent) => void) {
    this.#onEvent = onEvent;
  }

  /** Every byte so far belongs to a whole frame, so that another frame may follow. */
  get betweenEvents(): boolean {
    return this.#heldBytes === 0 && this.failure === null;
  }

  /** @param chunk - Free for reuse when the call returns. */
  push(chunk: Uint8Array): void {
    if (this.failure !== null) return;
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (this.#heldBytes === 0) {
      this.#hold(this.#readFrames(bytes));
      return;
    }
    this.#hold(bytes);
    if (this.#heldBytes < this.#wantedBytes) return;
    const held = this.#held.subarray(0, this.#heldBytes);
    this.#held = nothing;
    this.#heldBytes = 0;
    this.#hold(this.#readFrames(held));
  }

  /** The stream is over. */
  end(): void {
    if (this.#heldBytes > 0) this.#fail('the stream ended in the middle of a frame');
  }

  /** @returns What is left after the last whole frame; nothing after a failure. */
  #readFrames(bytes: Buffer): Buffer {
    let rest = bytes;
    while (rest.length >= preludeBytes) {
      const preludeChecksum = crc32(rest.subarray(0, 8));
      if (preludeChecksum !== rest.readUInt32BE(8)) return this.#fail('the checksum of a frame prelude is wrong');
      const frameBytes = rest.readUInt32BE(0);
      if (frameBytes < minFrameBytes || frameBytes > maxFrameBytes) {
        return this.#fail(`a frame of ${frameBytes} bytes, expected ${minFrameBytes} to ${maxFrameBytes}`);
      }
      this.#wantedBytes = frameBytes;
      if (rest.length < frameBytes) return rest;
      this.#readFrame(rest.subarray(0, frameBytes), preludeChecksum);
      if (this.failure !== null) return nothing;
      rest = rest.subarray(frameBytes);
    }
    this.#wantedBytes = preludeBytes;
    return rest;
  }

  #readFrame(frame: Buffer, preludeChecksum: number): void {
    const payloadEnd = frame.length - checksumBytes;
    if (crc32(frame.subarray(8, payloadEnd), preludeChecksum) !== frame.readUInt32BE(payloadEnd)) {
      this.#fail('the checksum of a frame is wrong');
      return;
    }
    const headersEnd = preludeBytes + frame.readUInt32BE(4);
    const headers = headersEnd > payloadEnd ? null : readStringHeaders(frame.subarray(preludeBytes, headersEnd));
    if (headers === null) {
      this.#fail('the headers of a frame are malformed');
      return;
    }
    this.#onEvent({ event: eventName(headers), data: frame.toString('utf8', headersEnd, payloadEnd) });
  }

  #hold(bytes: Buffer): void {
    const length = this.#heldBytes + bytes.length;
    if (length > this.#held.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#held.length));
      this.#held.copy(larger, 0, 0, this.#heldBytes);
      this.#held = larger;
    }
    bytes.copy(this.#held, this.#heldBytes);
    this.#heldBytes = length;
  }

  #fail(reason: string): Buffer {
    this.failure = reason;
    this.#held = nothing;
    this.#heldBytes = 0;
    return nothing;
  }
}

/** @returns The headers that hold text, or null if the bytes are no headers. */
function readStringHeaders(bytes: Buffer): Map<string, string> | null {
  const headers = new Map<string, string>();
  for (let at = 0; at < bytes.length;) {
    const nameEnd = at + 1 + bytes.readUInt8(at);
    // Out of range, or a type that does not exist: undefined.
    const type = bytes[nameEnd] ?? -1;
    let valueBytes = headerValueBytes[type];
    if (valueBytes === undefined) return null;
    let valueStart = nameEnd + 1;
    if (valueBytes === -1) {
      valueStart += 2;
      if (valueStart > bytes.length) return null;
      valueBytes = bytes.readUInt16BE(valueStart - 2);
    }
    const valueEnd = valueStart + valueBytes;
    if (valueEnd > bytes.length) return null;
    if (type === stringHeader) {
      headers.set(bytes.toString('utf8', at + 1, nameEnd), bytes.toString('utf8', valueStart, valueEnd));
    }
    at = valueEnd;
  }
  return headers;
}

function eventName(headers: ReadonlyMap<string, string>): string {
  const messageType = headers.get(':message-type');
  if (messageType === 'exception' || messageType === 'error') {
    return awsExceptionPrefix + (headers.get(':exception-type') ?? headers.get(':error-code') ?? '');
  }
  return headers.get(':event-type') ?? 'message';
}

/** One message to be framed. */
export interface AwsEvent {
  /** Names of at most 255 bytes; values, all of them sent as text, of at most 65535. */
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: string | Uint8Array;
}

/**
 * Writes one frame of `application/vnd.amazon.eventstream`.
 *
 * @throws RangeError for a header that is too long.
 */
export function encodeAwsEvent({ headers, payload }: AwsEvent): Buffer {
  const parts = Object.entries(headers).flatMap(([name, value]) => {
    const nameBytes = Buffer.from(name);
    const valueBytes = Buffer.from(value);
    const nameLength = Buffer.alloc(1);
    nameLength.writeUInt8(nameBytes.length);
    const typeAndLength = Buffer.from([stringHeader, 0, 0]);
    typeAndLength.writeUInt16BE(valueBytes.length, 1);
    return [nameLength, nameBytes, typeAndLength, valueBytes];
  });
  const headersBytes = parts.reduce((sum, part) => sum + part.length, 0);
  const payloadBytes = Buffer.from(payload);

  const prelude = Buffer.alloc(preludeBytes);
  prelude.writeUInt32BE(preludeBytes + headersBytes + payloadBytes.length + checksumBytes, 0);
  prelude.writeUInt32BE(headersBytes, 4);
  prelude.writeUInt32BE(crc32(prelude.subarray(0, 8)), 8);
  const checksum = Buffer.alloc(checksumBytes);
  const frame = Buffer.concat([prelude, ...parts, payloadBytes, checksum]);
  frame.writeUInt32BE(crc32(frame.subarray(0, -checksumBytes)), frame.length - checksumBytes);
  return frame;
}
