import { consumerHeaderNames, credentialNames, hopByHopNames, isForwarded } from './header-rules.ts';

/** What is sent in place of, and what is withheld from, the client's header fields. One for each configured provider. */
export interface RequestHeaderRules {
  /** Field lines that are the same for every request: Host, Content-Type and `auth.header`; latin1. */
  readonly constantLines: string;
  readonly dropped: ReadonlySet<string>;
}

interface RequestHeaderSource {
  /** The value of the Host field. */
  readonly host: string;
  /** `auth.header`, checked by {@link checkHeader}. */
  readonly authHeader: Readonly<Record<string, string>>;
  /** `auth` configures a credential, here or in the query: the client's own key is for the gateway and stays here. */
  readonly hasCredential: boolean;
}

/**
 * Fields of the client that describe its own connection and message, or that it meant for the gateway alone. A coding of
 * the answer is never asked for: Weir has to read the answer, and it does not decompress.
 */
const neverForwarded = [
  ...hopByHopNames,
  'host',
  'content-length',
  'content-type',
  'accept-encoding',
  'expect',
  'cookie',
  // Which of its consumers a gateway serves is nothing that a provider needs to know.
  ...consumerHeaderNames,
];

const configurable: readonly string[] = ['cookie', ...consumerHeaderNames];

/** Fields that not even `auth.header` can set: they are Weir's part of the conversation. */
const notConfigurable = new Set(neverForwarded.filter((name) => !configurable.includes(name)));

/**
 * Computes, once, what no request changes.
 *
 * `auth.header` wins over the client's field of the same name. Host, Content-Type, Content-Length, Accept-Encoding and
 * the fields of the connection cannot be configured and are left out, as in APISIX.
 */
export function compileRequestHeaders(source: RequestHeaderSource): RequestHeaderRules {
  const dropped = new Set(neverForwarded);
  let constantLines = `host: ${source.host}\r\ncontent-type: application/json\r\n`;
  for (const [configuredName, value] of Object.entries(source.authHeader)) {
    const name = configuredName.toLowerCase();
    if (notConfigurable.has(name)) continue;
    dropped.add(name);
    constantLines += `${name}: ${value}\r\n`;
  }
  if (source.hasCredential) for (const name of credentialNames) dropped.add(name);
  return { constantLines, dropped };
}

/**
 * The header section of a request to a provider, without Content-Length and the empty line at its end.
 *
 * @param fields - The client's fields: name, value, name, value, …; names in lower case.
 * @returns Field lines, each with its CRLF; to be written as latin1.
 */
export function requestHeaderLines(rules: RequestHeaderRules, fields: readonly string[]): string {
  let lines = rules.constantLines;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if (isForwarded(name, rules.dropped)) lines += `${name}: ${fields[i + 1] ?? ''}\r\n`;
  }
  return lines;
}

/** What a conversion between protocols changes in header fields. */
interface HeaderConversion {
  /** Fields that mean nothing to the provider: beginnings of names, in lower case. */
  readonly droppedHeaderPrefixes: readonly string[];
  /** The key in `x-api-key` is sent as `authorization: Bearer`, unless there is an authorization. */
  readonly sendsApiKeyAsBearer: boolean;
}

/**
 * The client's fields as a client of the provider's protocol would send them. {@link requestHeaderLines} decides which of
 * them travel on: a key that is for the gateway does so under no name.
 *
 * @param fields - name, value, name, value, …; names in lower case.
 */
export function convertedFields(conversion: HeaderConversion, fields: readonly string[]): string[] {
  const { droppedHeaderPrefixes, sendsApiKeyAsBearer } = conversion;
  const converted: string[] = [];
  let apiKey: string | null = null;
  let isAuthorized = false;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    const value = fields[i + 1] ?? '';
    if (droppedHeaderPrefixes.some((prefix) => name.startsWith(prefix))) continue;
    if (sendsApiKeyAsBearer && name === 'x-api-key') {
      apiKey ??= value;
      continue;
    }
    if (name === 'authorization') isAuthorized = true;
    converted.push(name, value);
  }
  if (apiKey !== null && !isAuthorized) converted.push('authorization', `Bearer ${apiKey}`);
  return converted;
}

/**
 * Checks one configured header field.
 *
 * @returns What is wrong, without the value (it is a credential); null if it can be sent.
 */
export function checkHeader(name: string, value: unknown): string | null {
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) return 'is not a valid header name';
  if (typeof value !== 'string') return 'must be a string';
  // Anything else would end the field and begin another one, or could not be written as one byte.
  if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) return 'must not hold line breaks, control or non-Latin-1 characters';
  return null;
}
