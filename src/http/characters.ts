/** Byte classes of HTTP's grammar (RFC 9110, section 5.6.2 and 5.5; RFC 9112, section 3.2), one table for all. */

const TOKEN = 1;
const FIELD_VALUE = 2;
const TARGET = 4;
const HEX = 8;

const classes = new Uint8Array(256);

for (const character of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
  mark(character.charCodeAt(0), TOKEN);
}
for (const character of '0123456789abcdefABCDEF') mark(character.charCodeAt(0), HEX);
for (let byte = 0x20; byte < 0x100; byte++) if (byte !== 0x7f) mark(byte, FIELD_VALUE);
mark(0x09, FIELD_VALUE);
// A fragment is never sent (RFC 9112, section 3.2); other visible characters that URIs forbid are sent by real clients.
for (let byte = 0x21; byte < 0x7f; byte++) if (byte !== 0x23) mark(byte, TARGET);

function mark(byte: number, bit: number): void {
  classes[byte] = (classes[byte] ?? 0) | bit;
}

function has(byte: number, bit: number): boolean {
  return ((classes[byte] ?? 0) & bit) !== 0;
}

/** May the byte stand in a method or a field name? */
export function isTokenByte(byte: number): boolean {
  return has(byte, TOKEN);
}

/** May the byte stand in a field value? Visible ASCII, SP, HTAB and obs-text; no other control character. */
export function isFieldValueByte(byte: number): boolean {
  return has(byte, FIELD_VALUE);
}

/** May the byte stand in a request target? */
export function isTargetByte(byte: number): boolean {
  return has(byte, TARGET);
}

export function isHexDigit(byte: number): boolean {
  return has(byte, HEX);
}

export const CR = 0x0d;
export const LF = 0x0a;
export const SP = 0x20;
export const HTAB = 0x09;
export const COLON = 0x3a;

/** A field value without the spaces and tabs around it, which are no part of it (RFC 9110, section 5.5). */
export function withoutOuterSpaces(value: string): string {
  // Not by a regular expression: its time would be the square of the spaces inside the value.
  let start = 0;
  let end = value.length;
  while (start < end && isSpace(value.charCodeAt(start))) start++;
  while (end > start && isSpace(value.charCodeAt(end - 1))) end--;
  return value.substring(start, end);
}

function isSpace(byte: number): boolean {
  return byte === SP || byte === HTAB;
}
