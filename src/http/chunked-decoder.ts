import { WeirError } from '../base/errors.ts';
import { CR, LF, isFieldValueByte, isHexDigit } from './characters.ts';
import { parseFieldLines } from './field-lines.ts';
import { Fields } from './fields.ts';

/** Receives body bytes while a message is decoded. They are a view of the socket's read, gone when it returns. */
export type BodySink = (bytes: Buffer) => void;

// 13 hex digits stay below 2^53; nobody sends a longer chunk in good faith.
const maxSizeDigits = 13;
// Longer than any read.
const maxShortDigits = 5;
// RFC 9112, section 7.1.1, without the white space that it calls bad; every character was looked at before.
const extensions = /^(?:;[!#$%&'*+\-.^`|~\w]+(?:=(?:[!#$%&'*+\-.^`|~\w]+|"(?:[^"\\]|\\.)*"))?)+$/;
/** Chunk extensions and trailers are read over, so their total is bounded or they would be a way to send for ever. */
const maxOverheadBytes = 16 * 1024;

// RFC 9110, section 6.5.1: whoever takes a trailer for part of the head would read another message by these.
const headOnlyFields = ['content-length', 'transfer-encoding', 'connection'] as const;

const states = { size: 0, extension: 1, sizeLf: 2, data: 3, dataCr: 4, dataLf: 5, trailer: 6, done: 7 } as const;

/**
 * Decodes the chunked transfer coding (RFC 9112, section 7.1), fed with whatever a socket read gives.
 * Extensions are ignored; trailers are checked and dropped.
 *
 * ```
 * 5;ext=1 CRLF  hello CRLF  0 CRLF  trailer: x CRLF  CRLF
 * size…extension  data      size    trailer……………………
 * ```
 */
export class ChunkedDecoder {
  #state: number = states.size;
  #size = 0;
  #digits = 0;
  #overhead = 0;
  #extension = '';
  #trailer = '';
  #lastTrailerByte = 0;

  get done(): boolean {
    return this.#state === states.done;
  }

  /**
   * @returns The offset behind the last byte that belongs to the body; less than `bytes.length` only when done.
   * @throws WeirError BAD_REQUEST on anything that is not exactly the grammar.
   */
  feed(bytes: Buffer, start: number, sink: BodySink): number {
    let at = start;
    while (at < bytes.length && this.#state !== states.done) {
      if (this.#state === states.data) {
        at = this.#readData(bytes, at, sink);
        continue;
      }
      const end = this.#state === states.size && this.#digits === 0 ? readWholeChunk(bytes, at, sink) : -1;
      at = end === -1 ? this.#readFrame(bytes, at) : end;
    }
    return at;
  }

  #readData(bytes: Buffer, at: number, sink: BodySink): number {
    const end = Math.min(bytes.length, at + this.#size);
    sink(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end));
    this.#size -= end - at;
    if (this.#size === 0) this.#state = states.dataCr;
    return end;
  }

  #readFrame(bytes: Buffer, at: number): number {
    const byte = bytes[at] ?? 0;
    switch (this.#state) {
      case states.size:
        this.#readSizeByte(byte);
        break;
      case states.extension:
        this.#readExtensionByte(byte);
        break;
      case states.sizeLf:
        this.#expect(byte, LF);
        this.#state = this.#size === 0 ? states.trailer : states.data;
        this.#digits = 0;
        break;
      case states.dataCr:
        this.#expect(byte, CR);
        this.#state = states.dataLf;
        break;
      case states.dataLf:
        this.#expect(byte, LF);
        this.#state = states.size;
        break;
      default:
        this.#readTrailerByte(byte);
    }
    return at + 1;
  }

  #readSizeByte(byte: number): void {
    if (isHexDigit(byte)) {
      if (++this.#digits > maxSizeDigits) throw invalid('chunk size too large');
      this.#size = this.#size * 16 + hexValue(byte);
      return;
    }
    if (this.#digits === 0) throw invalid('invalid chunk size');
    if (byte === CR) this.#state = states.sizeLf;
    else if (byte === 0x3b) {
      this.#state = states.extension;
      this.#extension = ';';
    } else throw invalid('invalid chunk size');
  }

  #readExtensionByte(byte: number): void {
    this.#countOverhead();
    if (byte === CR) {
      if (!extensions.test(this.#extension)) throw invalid('invalid chunk extension');
      this.#state = states.sizeLf;
    } else if (isFieldValueByte(byte)) this.#extension += String.fromCharCode(byte);
    else throw invalid('invalid chunk extension');
  }

  #readTrailerByte(byte: number): void {
    this.#countOverhead();
    // Not read off the text: that would join it anew for each byte.
    const afterCr = this.#lastTrailerByte === CR;
    if (afterCr !== (byte === LF)) throw invalid('bare CR or LF in the trailer section');
    this.#lastTrailerByte = byte;
    this.#trailer += String.fromCharCode(byte);
    if (byte !== LF) return;
    if (this.#trailer === '\r\n') {
      this.#state = states.done;
    } else if (this.#trailer.endsWith('\r\n\r\n')) {
      this.#checkTrailer();
      this.#state = states.done;
    }
  }

  #checkTrailer(): void {
    const section = Buffer.from(this.#trailer, 'latin1');
    const fields = new Fields();
    parseFieldLines({ bytes: section, text: this.#trailer, textStart: 0 }, 0, section.length - 2, fields.flat);
    for (const name of headOnlyFields) if (fields.has(name)) throw invalid(`${name} in the trailer section`);
  }

  #expect(byte: number, expected: number): void {
    if (byte !== expected) throw invalid('chunk is not followed by CRLF');
  }

  #countOverhead(): void {
    if (++this.#overhead > maxOverheadBytes) throw invalid('chunk extensions and trailers too large');
  }
}

/**
 * The common case: a chunk that lies whole in one read, with nothing but its size in front, is not taken apart byte by
 * byte. Everything else, and all that is wrong, is left to the states.
 *
 * @returns The offset behind the chunk; -1 if it is not such a one.
 */
function readWholeChunk(bytes: Buffer, start: number, sink: BodySink): number {
  let size = 0;
  let at = start;
  for (; at < start + maxShortDigits; at++) {
    const byte = bytes[at] ?? 0;
    if (!isHexDigit(byte)) break;
    size = size * 16 + hexValue(byte);
  }
  const dataStart = at + 2;
  const end = dataStart + size;
  if (size === 0 || bytes[at] !== CR || bytes[at + 1] !== LF || bytes[end] !== CR || bytes[end + 1] !== LF) return -1;
  sink(bytes.subarray(dataStart, end));
  return end + 2;
}

function hexValue(digit: number): number {
  return digit <= 0x39 ? digit - 0x30 : (digit | 0x20) - 0x57;
}

function invalid(detail: string): WeirError {
  return new WeirError('BAD_REQUEST', [detail]);
}
