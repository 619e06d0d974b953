import { WeirError } from '../base/errors.ts';
import { addToNameHash, usualFieldName } from './field-names.ts';
import { COLON, CR, HTAB, LF, SP, isFieldValueByte, isTokenByte } from './characters.ts';

/** At most this many field lines in a head or a trailer section. */
export const maxFieldCount = 100;

/**
 * Parses field lines strictly (RFC 9112, section 5): no white space before the colon, no line folding, no bare CR or
 * LF, no control characters. What is not strict here is how requests get smuggled past the next server.
 *
 * @param bytes - The message; `text` is the same bytes as a latin1 string, so that values are substrings, not copies.
 * @param start - First byte of the first field line.
 * @param end - Just behind the CRLF of the last field line.
 * @param flat - Receives name (lower case), value, name, value, …
 * @throws WeirError BAD_REQUEST or HEAD_TOO_LARGE; the caller turns it into its own error when a response is read.
 */
export function parseFieldLines(
  source: { readonly bytes: Uint8Array; readonly text: string; readonly textStart: number },
  start: number,
  end: number,
  flat: string[],
): void {
  const { bytes, text, textStart } = source;
  let at = start;
  while (at < end) {
    const nameStart = at;
    let hash = 0;
    for (let byte = bytes[at] ?? 0; at < end && isTokenByte(byte); byte = bytes[++at] ?? 0) {
      hash = addToNameHash(hash, byte);
    }
    if (at === nameStart || bytes[at] !== COLON) throw new WeirError('BAD_REQUEST', ['invalid field name']);
    const nameEnd = at++;

    while (bytes[at] === SP || bytes[at] === HTAB) at++;
    const valueStart = at;
    while (at < end && isFieldValueByte(bytes[at] ?? 0)) at++;
    if (bytes[at] !== CR || bytes[at + 1] !== LF)
      throw new WeirError('BAD_REQUEST', ['invalid character in a field value']);
    let valueEnd = at;
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd--;
    at += 2;

    if (flat.length >= 2 * maxFieldCount) throw new WeirError('HEAD_TOO_LARGE', [`${maxFieldCount} fields`]);
    flat.push(
      usualFieldName(bytes, nameStart, nameEnd, hash) ??
        text.substring(nameStart - textStart, nameEnd - textStart).toLowerCase(),
      text.substring(valueStart - textStart, valueEnd - textStart),
    );
  }
}
