import { WeirError } from '../base/errors.ts';
import { isFieldValueByte, isTargetByte, isTokenByte, withoutOuterSpaces } from './characters.ts';
import { maxFieldCount } from './field-lines.ts';
import { Fields } from './fields.ts';
import { maxHeadBytes, maxRequestLineBytes } from './head-boundary.ts';
import { hostNameOf, isAuthority, knownMethods, type RequestHead } from './request-head.ts';

/** Fields about a connection: HTTP/2 has none (RFC 9113, section 8.2.2). Only a request may have `te`, as `te: trailers`. */
export const connectionFields: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

interface PseudoFields {
  ':method'?: string;
  ':path'?: string;
  ':scheme'?: string;
  ':authority'?: string;
}

/** A head that could not be read, for the log line of its refusal. */
export const unreadableHttp2Head: RequestHead = {
  method: '-',
  target: '-',
  requestLine: '-',
  version: '2.0',
  minorVersion: 1,
  fields: new Fields(),
  host: '',
  byteLength: 0,
};

/**
 * Makes the head of an HTTP/2 request what it would be in HTTP/1.1. It is checked as strictly as one of HTTP/1.1: what
 * cannot be written as HTTP/1.1 must not reach an upstream that speaks it.
 *
 * @param raw - name, value, name, value, … as they came, pseudo fields first; one character a byte.
 * @throws WeirError with the status to answer: 400, 414, 431.
 * @see https://www.rfc-editor.org/rfc/rfc9113#section-8.3
 */
export function toRequestHead(raw: readonly string[]): RequestHead {
  const pseudo: PseudoFields = {};
  const flat: string[] = [];
  let cookies: string | undefined;
  let byteLength = 0;
  if (raw.length > 2 * (maxFieldCount + 4)) throw new WeirError('HEAD_TOO_LARGE', [`${maxFieldCount} fields`]);
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] ?? '';
    const value = checkedValue(raw[i + 1] ?? '');
    byteLength += name.length + value.length + 4;
    if (name.startsWith(':')) {
      takePseudoField(pseudo, name, value);
    } else if (name === 'cookie') {
      // They may come one by one, for better compression (RFC 9113, section 8.2.3).
      cookies = cookies === undefined ? value : `${cookies}; ${value}`;
    } else {
      checkName(name, value);
      flat.push(name, value);
    }
  }
  if (cookies !== undefined) flat.push('cookie', cookies);
  if (flat.length > 2 * maxFieldCount) throw new WeirError('HEAD_TOO_LARGE', [`${maxFieldCount} fields`]);
  if (byteLength > maxHeadBytes) throw new WeirError('HEAD_TOO_LARGE', [`${maxHeadBytes} bytes`]);

  const method = checkedMethod(pseudo);
  const target = checkedTarget(pseudo, method);
  const authority = takeAuthority(pseudo, flat);
  const requestLine = `${method} ${target} HTTP/2.0`;
  if (requestLine.length > maxRequestLineBytes) throw new WeirError('URI_TOO_LONG', [maxRequestLineBytes]);
  return {
    method,
    target,
    requestLine,
    version: '2.0',
    minorVersion: 1,
    fields: new Fields(flat),
    host: hostNameOf(authority),
    byteLength,
  };
}

function takePseudoField(pseudo: PseudoFields, name: string, value: string): void {
  if (name !== ':method' && name !== ':path' && name !== ':scheme' && name !== ':authority') {
    throw new WeirError('BAD_REQUEST', ['a pseudo field that is not supported']);
  }
  if (pseudo[name] !== undefined) throw new WeirError('BAD_REQUEST', [`more than one ${name}`]);
  pseudo[name] = value;
}

function checkedMethod({ ':method': method = '', ':scheme': scheme = '' }: PseudoFields): string {
  // A gateway is no tunnel, and WebSocket over HTTP/2 (RFC 8441) is not offered.
  if (method === 'CONNECT') throw new WeirError('BAD_REQUEST', ['CONNECT is not supported']);
  if (!knownMethods.has(method)) throw new WeirError('BAD_REQUEST', ['invalid method']);
  if (scheme !== 'http' && scheme !== 'https') throw new WeirError('BAD_REQUEST', ['invalid :scheme']);
  return method;
}

function checkedTarget({ ':path': path = '' }: PseudoFields, method: string): string {
  const isUsual = path.startsWith('/') && everyByte(path, isTargetByte);
  if (isUsual || (path === '*' && method === 'OPTIONS')) return path;
  throw new WeirError('BAD_REQUEST', ['invalid request target']);
}

/** Puts the authority where HTTP/1.1 has it: the first field is Host. */
function takeAuthority({ ':authority': authority }: PseudoFields, flat: string[]): string {
  let host = authority;
  for (let i = flat.length - 2; i >= 0; i -= 2) {
    if (flat[i] !== 'host') continue;
    const [, given = ''] = flat.splice(i, 2);
    if (host !== undefined && host.toLowerCase() !== given.toLowerCase()) {
      throw new WeirError('BAD_REQUEST', ['Host differs from :authority']);
    }
    host = given;
  }
  if (host === undefined) throw new WeirError('BAD_REQUEST', ['missing :authority']);
  if (!isAuthority(host)) throw new WeirError('BAD_REQUEST', ['invalid :authority']);
  flat.unshift('host', host);
  return host;
}

function checkName(name: string, value: string): void {
  if (name === '' || !everyByte(name, isTokenByte) || name !== name.toLowerCase()) {
    throw new WeirError('BAD_REQUEST', ['invalid field name']);
  }
  if (connectionFields.has(name) && !(name === 'te' && value.toLowerCase() === 'trailers')) {
    throw new WeirError('BAD_REQUEST', ['a field about the connection']);
  }
}

function checkedValue(value: string): string {
  if (!everyByte(value, isFieldValueByte)) throw new WeirError('BAD_REQUEST', ['invalid character in a field value']);
  return withoutOuterSpaces(value);
}

function everyByte(text: string, isAllowed: (byte: number) => boolean): boolean {
  for (let i = 0; i < text.length; i++) if (!isAllowed(text.charCodeAt(i))) return false;
  return true;
}
