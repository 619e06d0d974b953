import { WeirError } from '../base/errors.ts';
import type { RequestHead } from './request-head.ts';
import type { ResponseHead } from './response-head.ts';

/** How the end of a body is found (RFC 9112, section 6.3). */
export type BodyFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'until-close' };

const none: BodyFraming = { kind: 'none' };
const chunked: BodyFraming = { kind: 'chunked' };
const untilClose: BodyFraming = { kind: 'until-close' };

interface FramingFields {
  readonly contentLength: number | undefined;
  readonly transferEncoding: string | undefined;
}

/**
 * Framing of a request body. Everything that two servers could read in two ways is refused: both Content-Length and
 * Transfer-Encoding, repeated ones, a coding beside chunked, chunked in HTTP/1.0.
 *
 * @throws WeirError BAD_REQUEST (400) or TRANSFER_CODING_UNSUPPORTED (501).
 */
export function frameRequestBody(head: RequestHead): BodyFraming {
  const { contentLength, transferEncoding } = readFramingFields(head.fields.flat);
  if (transferEncoding === undefined) {
    return contentLength === undefined || contentLength === 0 ? none : { kind: 'length', length: contentLength };
  }
  if (contentLength !== undefined) throw new WeirError('BAD_REQUEST', ['both Content-Length and Transfer-Encoding']);
  if (head.minorVersion === 0) throw new WeirError('BAD_REQUEST', ['Transfer-Encoding in HTTP/1.0']);
  if (transferEncoding.toLowerCase() === 'chunked') return chunked;
  throw new WeirError('TRANSFER_CODING_UNSUPPORTED', [transferEncoding.slice(0, 40)]);
}

/**
 * Framing of a response body.
 *
 * @param requestMethod - HEAD answers have no body whatever their fields say.
 * @throws WeirError UPSTREAM_INVALID_RESPONSE.
 */
export function frameResponseBody(head: ResponseHead, requestMethod: string): BodyFraming {
  let framing: FramingFields;
  try {
    framing = readFramingFields(head.fields.flat);
  } catch (error) {
    throw invalidResponse(error instanceof Error ? error.message : 'invalid framing');
  }
  const { contentLength, transferEncoding } = framing;
  if (contentLength !== undefined && transferEncoding !== undefined) {
    throw invalidResponse('both Content-Length and Transfer-Encoding');
  }
  if (requestMethod === 'HEAD' || head.status < 200 || head.status === 204 || head.status === 304) return none;
  if (transferEncoding !== undefined) {
    if (transferEncoding.toLowerCase() !== 'chunked') throw invalidResponse('unsupported Transfer-Encoding');
    return chunked;
  }
  if (contentLength === undefined) return untilClose;
  return contentLength === 0 ? none : { kind: 'length', length: contentLength };
}

function readFramingFields(flat: readonly string[]): FramingFields {
  let contentLength: number | undefined;
  let transferEncoding: string | undefined;
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i];
    if (name === 'content-length') {
      if (contentLength !== undefined) throw new WeirError('BAD_REQUEST', ['more than one Content-Length']);
      contentLength = parseContentLength(flat[i + 1] ?? '');
    } else if (name === 'transfer-encoding') {
      if (transferEncoding !== undefined) throw new WeirError('BAD_REQUEST', ['more than one Transfer-Encoding']);
      transferEncoding = flat[i + 1] ?? '';
      if (transferEncoding === '') throw new WeirError('BAD_REQUEST', ['empty Transfer-Encoding']);
    }
  }
  return { contentLength, transferEncoding };
}

function parseContentLength(value: string): number {
  // Number() would also take '', '1e3', '+5' and '0x10': each an old smuggling trick.
  let length = 0;
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    length = digit >= 0 && digit <= 9 ? length * 10 + digit : Number.NaN;
  }
  if (value === '' || value.length > 15 || Number.isNaN(length)) {
    throw new WeirError('BAD_REQUEST', ['invalid Content-Length']);
  }
  return length;
}

function invalidResponse(detail: string): WeirError {
  return new WeirError('UPSTREAM_INVALID_RESPONSE', [detail]);
}
