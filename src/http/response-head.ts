import { WeirError } from '../base/errors.ts';
import { parseFieldLines } from './field-lines.ts';
import { Fields } from './fields.ts';

/** The head of a response, checked. Strings are latin1, one character a byte. */
export interface ResponseHead {
  /** 100 to 599. */
  readonly status: number;
  readonly minorVersion: 0 | 1;
  readonly fields: Fields;
}

// The space behind the status may be missing when there is no reason phrase: common, harmless, and Node accepts it.
const statusLine = /^HTTP\/1\.[01] [1-5][0-9][0-9](?: [\t\x20-\x7e\x80-\xff]*)?$/;
const usualStatusLine = 'HTTP/1.1 200 OK\r\n';

/**
 * Parses a complete response head.
 *
 * @param bytes - Holds the head from `start` to `end`, `end` just behind the blank line.
 * @throws WeirError UPSTREAM_INVALID_RESPONSE.
 */
export function parseResponseHead(bytes: Buffer, start: number, end: number): ResponseHead {
  const text = bytes.toString('latin1', start, end);
  const lineEnd = text.indexOf('\r\n');
  if (!text.startsWith(usualStatusLine) && !statusLine.test(text.substring(0, lineEnd))) {
    throw new WeirError('UPSTREAM_INVALID_RESPONSE', ['invalid status line']);
  }

  const fields = new Fields();
  try {
    parseFieldLines({ bytes, text, textStart: start }, start + lineEnd + 2, end - 2, fields.flat);
  } catch (error) {
    throw new WeirError('UPSTREAM_INVALID_RESPONSE', [error instanceof Error ? error.message : 'invalid head'], {
      cause: error,
    });
  }
  // `HTTP/1.1 200`: the digits stand where the pattern says.
  return { status: Number(text.substring(9, 12)), minorVersion: text[7] === '1' ? 1 : 0, fields };
}
