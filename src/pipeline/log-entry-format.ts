import { redactFields, redactText } from '../observability/redact.ts';
import { redactQuery, redactUri } from '../observability/redact-uri.ts';
import type { RequestContext } from './context.ts';
import { decodeBytes, type LoggedBodies } from './log-entry.ts';
import { resolveLogVariable } from './variables.ts';

/** Reads one member of an entry; undefined leaves it out. */
type Member = (ctx: RequestContext, bodies: LoggedBodies) => unknown;

/** APISIX leaves out what lies deeper. */
const maxDepth = 5;

/** Variables whose values hold a request target, a request line or a query. */
const uriVariables = new Set(['request_uri', 'request', 'request_line', 'upstream_uri', 'http_referer']);
const queryVariables = new Set(['args', 'query_string']);

/** A custom `log_format`, compiled. */
export interface LogEntryFormat {
  readonly entry: (ctx: RequestContext, bodies: LoggedBodies) => Record<string, unknown>;
  /** It prints a body, whatever `include_req_body` and `include_resp_body` say. */
  readonly usesRequestBody: boolean;
  /** Variables that do not exist, with `$`: left out of every entry, as in APISIX. */
  readonly unknownVariables: readonly string[];
}

/**
 * Compiles a `log_format`: an object whose texts that begin with `$` are variables of the access log, or `$request_body`
 * and `$resp_body`; objects in it are read likewise, up to five levels; every other value is printed as it is. Values
 * that are credentials by the name of their variable, or look like one, are redacted.
 */
export function compileLogEntryFormat(format: Readonly<Record<string, unknown>>): LogEntryFormat {
  const found = new Set<string>();
  const unknown = new Set<string>();
  const compile = (object: Readonly<Record<string, unknown>>, depth: number): LogEntryFormat['entry'] => {
    const members: [string, Member][] = [];
    for (const [key, value] of Object.entries(object)) {
      if (typeof value === 'string' && value.startsWith('$')) {
        const name = value.slice(1);
        const member = compileVariable(name);
        found.add(name);
        if (member === null) unknown.add(value);
        else members.push([key, member]);
      } else if (!isObject(value)) members.push([key, () => value]);
      else if (depth < maxDepth) members.push([key, compile(value, depth + 1)]);
    }
    return (ctx, bodies) => Object.fromEntries(members.map(([key, read]) => [key, read(ctx, bodies)]));
  };
  const entry = compile(format, 1);
  return { entry, usesRequestBody: found.has('request_body'), unknownVariables: [...unknown] };
}

function compileVariable(name: string): Member | null {
  if (name === 'request_body') return (_ctx, bodies) => bodies.request;
  if (name === 'resp_body') return (_ctx, bodies) => bodies.response ?? '';
  const read = resolveLogVariable(name);
  if (read === null) return null;
  // What the client or the model has written is printed as it is, like a body.
  if (name === 'llm_response_text') return (ctx) => asText(read(ctx));
  if (name.startsWith('arg_')) return (ctx) => redactArgument(name.slice('arg_'.length), asText(read(ctx)));
  const credential = credentialName(name);
  const redact = redactionOf(name);
  return (ctx) => {
    const value = asText(read(ctx));
    if (typeof value !== 'string') return value;
    return credential === null ? redact(value) : Object.values(redactFields({ [credential]: value }))[0];
  };
}

function redactArgument(name: string, value: string | number | undefined): string | number | undefined {
  // As in a query, so that both hide the same.
  return typeof value === 'string' ? redactQuery(`${name}=${value}`).slice(name.length + 1) : value;
}

/** The name of the header, cookie, argument or field that a variable prints, if it is one; null otherwise. */
function credentialName(variable: string): string | null {
  if (variable.startsWith('cookie_')) return 'cookie';
  return /^(?:sent_http_|http_|arg_|post_arg[._])(.+)$/.exec(variable)?.[1] ?? null;
}

function redactionOf(variable: string): (text: string) => string {
  if (uriVariables.has(variable)) return redactUri;
  return queryVariables.has(variable) ? redactQuery : redactText;
}

function asText(value: string | number | undefined): string | number | undefined {
  return typeof value === 'string' ? decodeBytes(value) : value;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
