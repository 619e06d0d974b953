import { WeirError } from '../base/errors.ts';
import { CR, LF, isTokenByte } from './characters.ts';

/** Largest message head in bytes, the blank line included. */
export const maxHeadBytes = 32 * 1024;
/** Longest request line in bytes. */
export const maxRequestLineBytes = 16 * 1024;

/**
 * Finds the end of a head. In steps of four: where a byte is neither CR nor LF, no blank line ends in the next four. For
 * heads of the usual size that is faster than `Buffer.indexOf`, whose call out of JavaScript costs more than its search.
 *
 * @returns The offset just behind the blank line, or -1 when more bytes are needed.
 */
export function findHeadEnd(bytes: Buffer, start: number): number {
  const { length } = bytes;
  let at = start + 3;
  while (at < length) {
    const byte = bytes[at];
    if (byte === LF && bytes[at - 1] === CR && bytes[at - 2] === LF && bytes[at - 3] === CR) return at + 1;
    at += byte === LF || byte === CR ? 1 : 4;
  }
  return -1;
}

/**
 * Looks at a head that is incomplete or too long and says what is wrong with it already, so that a peer that will
 * never finish properly is answered now instead of at a timeout, and equally however its bytes were split.
 *
 * @returns The error to answer, or null when the bytes may still become a good head.
 */
export function diagnoseUnfinishedHead(bytes: Buffer, start: number): WeirError | null {
  if (bytes.length > start && !isTokenByte(bytes[start] ?? 0)) {
    return new WeirError('BAD_REQUEST', ['this is not HTTP']);
  }
  // What stands first counts, whatever follows it.
  const bareAt = findBareLineEnd(bytes, start) - start;
  const firstLineEnd = bytes.indexOf(LF, start);
  const firstLineBytes = (firstLineEnd === -1 ? bytes.length : firstLineEnd) - start;
  if (firstLineBytes > maxRequestLineBytes && bareAt >= maxRequestLineBytes) {
    return new WeirError('URI_TOO_LONG', [maxRequestLineBytes]);
  }
  if (bareAt < maxHeadBytes) return new WeirError('BAD_REQUEST', ['bare CR or LF in the head']);
  if (bytes.length - start > maxHeadBytes) return new WeirError('HEAD_TOO_LARGE', [`${maxHeadBytes} bytes`]);
  return null;
}

/** @returns The offset of the first CR or LF that is not part of a CRLF, or Infinity. */
function findBareLineEnd(bytes: Buffer, start: number): number {
  let at = start;
  for (;;) {
    const lf = bytes.indexOf(LF, at);
    const cr = bytes.indexOf(CR, at);
    if (cr === -1) return lf === -1 ? Infinity : lf;
    if (lf !== cr + 1) {
      // A CR at the very end may still get its LF.
      if (lf === -1) return cr === bytes.length - 1 ? Infinity : cr;
      return Math.min(cr, lf);
    }
    at = lf + 1;
  }
}
