import { hostname } from 'node:os';
import { formField, mediaType } from './form-fields.ts';
import { compileJsonPath } from './json-path.ts';
import type { RequestView } from './request-view.ts';

/** What a variable may hold; undefined (Lua's nil) when the request has no such thing. Only `post_arg.*` gives booleans and objects. */
export type VariableValue = string | number | boolean | object | undefined;

export type VariableGetter = (request: RequestView) => VariableValue;

/** Gives the getter of a name that is not known here (`consumer_name`, `llm_model`, ...), or null. */
export type ExtendVariables = (name: string) => VariableGetter | null;

interface VariableOptions {
  readonly extend?: ExtendVariables;
  /**
   * How `arg_<name>` reads the query. `decoded` (the default) is what APISIX gives to routes and plugins: name and value are
   * percent-decoded, `+` is a space, names are case-sensitive. `raw` is nginx's own variable, as access logs print it: nothing is
   * decoded, names are compared without case.
   */
  readonly arguments?: 'decoded' | 'raw';
}

const gatewayHostname = hostname();

const namedVariables: ReadonlyMap<string, VariableGetter> = new Map<string, VariableGetter>([
  ['uri', (request) => request.path],
  ['request_uri', (request) => request.requestUri],
  ['host', (request) => request.host],
  ['hostname', () => gatewayHostname],
  ['scheme', (request) => request.scheme],
  ['method', (request) => request.method],
  ['request_method', (request) => request.method],
  ['args', (request) => request.queryString],
  ['query_string', (request) => request.queryString],
  ['is_args', (request) => (request.queryString === '' ? '' : '?')],
  ['remote_addr', (request) => request.remoteAddress],
  ['remote_port', (request) => request.remotePort],
  ['server_addr', (request) => request.serverAddress],
  ['server_port', (request) => request.serverPort],
  // The name of APISIX's one catch-all server block.
  ['server_name', () => '_'],
  ['server_protocol', (request) => `HTTP/${request.httpVersion}`],
  ['content_type', (request) => request.header('content-type')],
  ['content_length', (request) => request.header('content-length')],
  ['consumer_name', (request) => request.consumer?.name],
  ['consumer_group_id', (request) => request.consumer?.groupId],
  ['credential_identifier', (request) => request.consumer?.credentialId],
]);

/**
 * Compiles a variable of nginx or APISIX to a function of the request.
 *
 * Knows the named ones (`uri`, `request_uri`, `host`, `remote_addr`, ...) and the families
 * - `http_<name>`: a header; `_` stands for `-`, no case;
 * - `arg_<name>`: the first query argument of that name, empty when it has no `=`;
 * - `cookie_<name>`: a cookie, case-sensitive, as sent;
 * - `post_arg_<name>`: a field of an urlencoded form;
 * - `post_arg.<path>`: by content type a JSON path into the body or a field of an urlencoded or multipart form;
 * - `uri_param_<name>`: a path parameter of the matched route.
 *
 * @param name - Without `$`.
 * @returns Null when the name is unknown, or the path behind `post_arg.` cannot be read (see compileJsonPath).
 */
export function compileVariable(name: string, options: VariableOptions = {}): VariableGetter | null {
  const named = namedVariables.get(name);
  if (named !== undefined) return named;
  if (name.startsWith('http_')) return compileHeader(name.slice('http_'.length));
  if (name.startsWith('arg_')) return compileArgument(name.slice('arg_'.length), options.arguments ?? 'decoded');
  if (name.startsWith('cookie_')) return compileCookie(name.slice('cookie_'.length));
  if (name.startsWith('post_arg_')) return compileFormField(name.slice('post_arg_'.length));
  if (name.startsWith('post_arg.')) return compileBodyPath(name.slice('post_arg.'.length));
  if (name.startsWith('uri_param_')) return compilePathParam(name.slice('uri_param_'.length));
  return options.extend?.(name) ?? null;
}

/** True when a variable is only there once the request body has been read. */
export function variableNeedsBody(name: string): boolean {
  return name.startsWith('post_arg_') || name.startsWith('post_arg.');
}

function compileHeader(name: string): VariableGetter {
  const headerName = name.toLowerCase().replaceAll('_', '-');
  return (request) => request.header(headerName);
}

function compileArgument(name: string, mode: 'decoded' | 'raw'): VariableGetter {
  if (mode === 'raw') {
    const lowerCaseName = name.toLowerCase();
    return (request) => findPair(request.queryString, '&', (key) => key.toLowerCase() === lowerCaseName);
  }
  const isName = (key: string): boolean => key === name || decodeArgument(key) === name;
  return (request) => {
    const value = findPair(request.queryString, '&', isName);
    return value === undefined ? undefined : decodeArgument(value);
  };
}

function compileCookie(name: string): VariableGetter {
  const isName = (key: string): boolean => key.trim() === name;
  return (request) => {
    const cookies = request.header('cookie');
    return cookies === undefined ? undefined : findPair(cookies, ';', isName)?.trim();
  };
}

function compileFormField(name: string): VariableGetter {
  return (request) =>
    mediaType(request.header('content-type') ?? '') === 'application/x-www-form-urlencoded'
      ? formField(request, name)
      : undefined;
}

function compileBodyPath(path: string): VariableGetter | null {
  const select = compileJsonPath(path);
  if (select === null) return null;
  return (request) => {
    if (request.body === null) return undefined;
    const type = mediaType(request.header('content-type') ?? '');
    if (type !== 'application/json' && !type.endsWith('+json')) return formField(request, path);
    const value = select(request.jsonBody());
    return isVariableValue(value) ? value : undefined;
  };
}

/** JSON's null is as good as absent. */
function isVariableValue(value: unknown): value is VariableValue {
  return value !== null;
}

function compilePathParam(name: string): VariableGetter {
  return ({ pathParams }) => (Object.hasOwn(pathParams, name) ? pathParams[name] : undefined);
}

/** The value of the first `key=value` with that key, empty without `=`. Reads the text once. */
function findPair(text: string, separator: string, isName: (key: string) => boolean): string | undefined {
  let start = 0;
  let equals = text.indexOf('=');
  while (start < text.length) {
    const nextSeparator = text.indexOf(separator, start);
    const end = nextSeparator === -1 ? text.length : nextSeparator;
    // Searched anew only once it has been passed, or a text without `=` would be read to its end for every pair.
    if (equals !== -1 && equals < start) equals = text.indexOf('=', start);
    const hasValue = equals !== -1 && equals < end;
    if (isName(text.slice(start, hasValue ? equals : end))) return hasValue ? text.slice(equals + 1, end) : '';
    start = end + 1;
  }
  return undefined;
}

/** Name or value of a query argument, decoded. Leaves what cannot be decoded as it is. */
export function decodeArgument(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  if (!spaced.includes('%')) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}
