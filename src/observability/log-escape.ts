import { isUtf8 } from 'node:buffer';

/** The values of `access_log_format_escape`. */
export type LogEscape = 'default' | 'json' | 'none';

/** How one escape mode writes values. */
interface EscapeMode {
  /** What stands for a variable that has no value. */
  readonly missing: string;
  /** Makes a value safe to stand in a line. */
  readonly escape: (value: string) => string;
}

const DELETE = 0x7f;
const needsDefaultEscape = /[^\x20\x21\x23-\x5b\x5d-\x7e]/;
const needsJsonEscape = /["\\\x00-\x1f]/;
const needsJsonEscapeAll = /["\\\x00-\x1f]/g;
const notAscii = /[^\x00-\x7f]/;
const widerThanByte = /[^\x00-\xff]/;

const hexByte = (byte: number): string => byte.toString(16).toUpperCase().padStart(2, '0');

/** For each byte what nginx's default escape writes. */
const defaultEscapes: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte < 0x20 || byte >= DELETE || byte === 0x22 || byte === 0x5c ? `\\x${hexByte(byte)}` : String.fromCharCode(byte),
);

const jsonEscapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\b': '\\b',
  '\f': '\\f',
};

function escapeDefault(value: string): string {
  if (!needsDefaultEscape.test(value)) return value;
  let escaped = '';
  for (const byte of Buffer.from(value, widerThanByte.test(value) ? 'utf8' : 'latin1')) {
    escaped += defaultEscapes[byte];
  }
  return escaped;
}

/** Text of a value that may hold one char per byte: bytes that are UTF-8 become the characters they mean. */
function decodeBytes(value: string): string {
  if (!notAscii.test(value) || widerThanByte.test(value)) return value;
  const bytes = Buffer.from(value, 'latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : value;
}

function escapeJson(value: string): string {
  const text = decodeBytes(value);
  if (!needsJsonEscape.test(text)) return text;
  return text.replace(needsJsonEscapeAll, (char) => jsonEscapes[char] ?? `\\u00${hexByte(char.charCodeAt(0))}`);
}

/**
 * nginx's escape modes (documented at `log_format` of ngx_http_log_module).
 *
 * Values come in two kinds that a string does not tell apart: header values and the request line hold one char per byte as
 * they arrived (latin1), model names from JSON are Unicode text. So:
 * - `default` writes `"`, `\`, bytes below 32 and above 126 as `\xXX`, byte by byte. A value with a char above 0xFF is Unicode text
 *   and is encoded to UTF-8 first; every other value is taken for bytes. A missing value is `-`.
 * - `json` and `none` write bytes that are valid UTF-8 as the characters they mean, other bytes as latin1, so that the file is
 *   always valid UTF-8. A missing value is empty. `none` changes nothing else: a value may then break the line.
 */
export const logEscapes: Readonly<Record<LogEscape, EscapeMode>> = {
  default: { missing: '-', escape: escapeDefault },
  json: { missing: '', escape: escapeJson },
  none: { missing: '', escape: decodeBytes },
};
