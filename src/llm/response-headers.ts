import { credentialNames, hopByHopNames, isForwarded } from './header-rules.ts';

/**
 * Fields of a provider's response that stay here:
 * - those of the connection, and Content-Length: the framing towards the client is Weir's own;
 * - Set-Cookie: a session between Weir and the provider would become one between strangers;
 * - what repeats a credential;
 * - Date and Server: Weir writes its own, as nginx does;
 * - what would speak about Weir's own origin if it came from there: other addresses of the service, transport
 *   security, clearing of site data, error reporting.
 * Everything else comes back: request ids, Retry-After, rate limits, Content-Encoding, WWW-Authenticate, ...
 */
const dropped: ReadonlySet<string> = new Set([
  ...hopByHopNames,
  ...credentialNames,
  'content-length',
  'set-cookie',
  'set-cookie2',
  'date',
  'server',
  'alt-svc',
  'strict-transport-security',
  'clear-site-data',
  'nel',
  'report-to',
  'reporting-endpoints',
]);

/** Fields about the body as the provider sent it: untrue of one that was made out of it. */
const aboutBytes: ReadonlySet<string> = new Set([
  'content-type',
  'content-encoding',
  'content-md5',
  'content-digest',
  'repr-digest',
  'digest',
  'etag',
  'last-modified',
  'accept-ranges',
  'content-range',
]);

/**
 * The fields of a response whose body Weir has converted.
 *
 * @param fields - Of {@link responseFields}.
 * @param contentType - Of the converted body.
 */
export function convertedResponseFields(fields: readonly string[], contentType: string): string[] {
  const kept = ['content-type', contentType];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if (!aboutBytes.has(name)) kept.push(name, fields[i + 1] ?? '');
  }
  return kept;
}

/**
 * The fields of a provider's response that its client gets.
 *
 * @param fields - name, value, name, value, …; names in lower case.
 * @param connection - Names listed in the response's Connection field, in lower case.
 * @returns The same form.
 */
export function responseFields(fields: readonly string[], connection: readonly string[]): string[] {
  const forwarded: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if (isForwarded(name, dropped, connection)) forwarded.push(name, fields[i + 1] ?? '');
  }
  return forwarded;
}

const pointers: ReadonlySet<string> = new Set(['location', 'content-location', 'link', 'refresh']);

/**
 * Fields without those that point to an address with one of these query arguments: a redirect repeats the query that it was
 * asked with, and with it the key of `auth.query`.
 *
 * @param names - Of query arguments, decoded.
 */
export function withoutArguments(fields: string[], names: ReadonlySet<string>): string[] {
  if (names.size === 0) return fields;
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const [name = '', value = ''] = fields.slice(i, i + 2);
    const repeats =
      pointers.has(name) && Array.from(names).some((secret) => value.includes(`${encodeURIComponent(secret)}=`));
    if (!repeats) kept.push(name, value);
  }
  return kept;
}
