import { METHODS } from 'node:http';
import { WeirError } from '../base/errors.ts';
import { SP, isTargetByte, isTokenByte } from './characters.ts';
import { parseFieldLines } from './field-lines.ts';
import { Fields } from './fields.ts';

/** The head of a request, checked. Strings are latin1, one character a byte. */
export interface RequestHead {
  readonly method: string;
  /** Origin form (`/path?query`) or `*`; of an absolute form only this part is kept, like nginx's `$request_uri`. */
  readonly target: string;
  /** The request line as received, without CRLF: nginx's `$request`. */
  readonly requestLine: string;
  readonly version: '1.0' | '1.1' | '2.0';
  /** 1 for HTTP/1.1, 0 for HTTP/1.0. HTTP/2 is passed on as HTTP/1.1. */
  readonly minorVersion: 0 | 1;
  readonly fields: Fields;
  /**
   * Lower case, without port and without a dot at its end; of the absolute form if there is one (RFC 9112, section 3.2.2),
   * else of Host; may be ''.
   */
  readonly host: string;
  /** Size of the head on the wire, the blank line included. */
  readonly byteLength: number;
}

/** Node's parser refuses methods that it does not know; whatever it refuses is refused here too. */
export const knownMethods: ReadonlySet<string> = new Set(METHODS);
const hostPattern = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%!$&'()*+,;=]*)(?::[0-9]*)?$/;
const absoluteForm = /^https?:\/\/([^/?]*)(.*)$/i;

/**
 * Parses a complete request head.
 *
 * @param bytes - Holds the head from `start` to `end`, `end` just behind the blank line.
 * @throws WeirError with the status to answer (400, 431, 505); the connection cannot be used any more.
 */
export function parseRequestHead(bytes: Buffer, start: number, end: number): RequestHead {
  const text = bytes.toString('latin1', start, end);
  const lineEnd = start + text.indexOf('\r\n');

  let at = start;
  while (isTokenByte(bytes[at] ?? 0)) at++;
  const method = text.substring(0, at - start);
  if (bytes[at] !== SP || !knownMethods.has(method)) throw new WeirError('BAD_REQUEST', ['invalid method']);

  const targetStart = ++at;
  while (isTargetByte(bytes[at] ?? 0)) at++;
  if (at === targetStart || bytes[at] !== SP) throw new WeirError('BAD_REQUEST', ['invalid request target']);
  const rawTarget = text.substring(targetStart - start, at - start);
  const minorVersion = parseVersion(text.substring(at + 1 - start, lineEnd - start));

  const fields = new Fields();
  parseFieldLines({ bytes, text, textStart: start }, lineEnd + 2, end - 2, fields.flat);

  const { target, authority } = resolveTarget(method, rawTarget);
  const hostField = hostOf(fields, minorVersion);
  return {
    method,
    target,
    requestLine: text.substring(0, lineEnd - start),
    version: minorVersion === 1 ? '1.1' : '1.0',
    minorVersion,
    fields,
    host: hostNameOf(authority ?? hostField),
    byteLength: end - start,
  };
}

function parseVersion(text: string): 0 | 1 {
  if (text === 'HTTP/1.1') return 1;
  if (text === 'HTTP/1.0') return 0;
  if (/^HTTP\/[0-9]\.[0-9]$/.test(text)) throw new WeirError('HTTP_VERSION_UNSUPPORTED', [text]);
  throw new WeirError('BAD_REQUEST', ['invalid HTTP version']);
}

function resolveTarget(method: string, raw: string): { target: string; authority: string | undefined } {
  // A gateway is no tunnel; CONNECT is the only method that has the authority form.
  if (method === 'CONNECT') throw new WeirError('BAD_REQUEST', ['CONNECT is not supported']);
  if (raw.charCodeAt(0) === 0x2f) return { target: raw, authority: undefined };
  if (raw === '*' && method === 'OPTIONS') return { target: raw, authority: undefined };
  const parts = absoluteForm.exec(raw);
  const authority = parts?.[1];
  if (!authority || !isAuthority(authority)) throw new WeirError('BAD_REQUEST', ['invalid request target']);
  const rest = parts?.[2] ?? '';
  return { target: rest.startsWith('/') ? rest : `/${rest}`, authority };
}

function hostOf(fields: Fields, minorVersion: 0 | 1): string {
  const flat = fields.flat;
  let host: string | undefined;
  for (let i = 0; i < flat.length; i += 2) {
    if (flat[i] !== 'host') continue;
    if (host !== undefined) throw new WeirError('BAD_REQUEST', ['more than one Host field']);
    host = flat[i + 1] ?? '';
  }
  if (host === undefined) {
    if (minorVersion === 1) throw new WeirError('BAD_REQUEST', ['missing Host field']);
    return '';
  }
  if (!isAuthority(host)) throw new WeirError('BAD_REQUEST', ['invalid Host field']);
  return host;
}

/** Whether a text is a host with or without a port, and nothing else; '' passes. */
export function isAuthority(text: string): boolean {
  return hostPattern.test(text);
}

/** The host of an authority, in lower case, without the dot that ends an absolute name: it means the same host. */
export function hostNameOf(authority: string): string {
  const colon = authority.startsWith('[') ? authority.indexOf(':', authority.indexOf(']')) : authority.indexOf(':');
  const end = colon === -1 ? authority.length : colon;
  return authority.substring(0, authority[end - 1] === '.' ? end - 1 : end).toLowerCase();
}
