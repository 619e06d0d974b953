import { WeirError } from '../base/errors.ts';
import type { Protocol } from './protocols/protocol.ts';
import { originOf, type Capability, type Provider, type ProviderConf } from './providers/define-provider.ts';

interface ParsedEndpoint {
  readonly scheme: 'http' | 'https';
  /** Lower case, internationalised names in their ASCII form, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** The value of the Host header: brackets around IPv6, `:port` only where it is not the scheme's default. */
  readonly hostHeader: string;
  /** As configured, its own percent-encoding kept; null if the URL names none. A lone slash is a path. */
  readonly path: string | null;
  /** Without the question mark; `''` if none. */
  readonly query: string;
}

/** Where the requests of one configured provider go. Immutable; everything that no request changes is computed. */
export interface CompiledEndpoint extends Omit<ParsedEndpoint, 'query'> {
  /** Request target by protocol name, for protocols with a fixed path. */
  readonly targets: Readonly<Record<string, string>>;
  /** How to find the path, by protocol name, for the others. */
  readonly computedPaths: Readonly<Record<string, ComputedPath>>;
  readonly providerConf: ProviderConf;
  readonly normalizePath: ((path: string) => string) | null;
  /** Query arguments of passthrough requests, unless the client names the same ones. */
  readonly query: readonly QueryArgument[];
  /** Names that clients cannot set: those of `auth.query`. */
  readonly lockedArguments: ReadonlySet<string>;
}

interface QueryArgument {
  /** Decoded. */
  readonly name: string;
  /** `name=value` as it is sent. */
  readonly text: string;
}

type ComputedPath = Exclude<Capability['path'], string>;

interface EndpointSource {
  readonly provider: Provider;
  /** `provider_conf`. */
  readonly providerConf?: ProviderConf | undefined;
  /** `override.endpoint`; undefined: the provider's public API. */
  readonly endpoint?: string | undefined;
  /** `auth.query`. */
  readonly authQuery?: Readonly<Record<string, string>> | undefined;
}

/**
 * Reads `override.endpoint`: `http(s)://host[:port][/path][?query]`. A fragment is dropped.
 *
 * @returns The parts, or a sentence that says what is wrong. The sentence does not repeat the URL, which may hold a key.
 */
export function parseEndpoint(text: string): ParsedEndpoint | string {
  const syntax = /^(https?):\/\/[^/?#\s\\]+(\/[^?#\s\\]*)?(?:[?#]\S*)?$/i.exec(text);
  if (syntax === null || !URL.canParse(text)) {
    return 'invalid endpoint: expected http(s)://host[:port][/path][?query]';
  }
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') {
    return 'invalid endpoint: credentials belong into auth.header or auth.query, not into the URL';
  }
  const scheme = url.protocol === 'https:' ? 'https' : 'http';
  const port = url.port === '' ? defaultPort(scheme) : Number(url.port);
  if (port === 0) return 'invalid endpoint: the port must be between 1 and 65535';
  return {
    scheme,
    port,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    hostHeader: url.host,
    path: syntax[2] === undefined ? null : url.pathname,
    query: url.search.slice(1),
  };
}

function defaultPort(scheme: 'http' | 'https'): number {
  return scheme === 'https' ? 443 : 80;
}

/**
 * Does, once, all of the endpoint's work that no request changes.
 *
 * @throws Error if there is neither a usable endpoint nor a provider origin; `checkAiProxy` refuses that earlier.
 */
export function compileEndpoint(source: EndpointSource): CompiledEndpoint {
  const { provider, providerConf = {}, endpoint, authQuery = {} } = source;
  const text = endpoint ?? originOf(provider, providerConf);
  if (text === null) throw new Error(`provider ${provider.name} needs an endpoint`);
  const parsed = parseEndpoint(text);
  if (typeof parsed === 'string') throw new Error(parsed);

  const own = queryArguments(parsed.query);
  const ownNames = new Set(own.map((argument) => argument.name));
  const added = Object.entries(authQuery)
    .filter(([name]) => !ownNames.has(name))
    .map(([name, value]) => ({ name, text: `${encodeArgument(name)}=${encodeArgument(value)}` }));
  const query = [...own, ...added];

  const normalizePath = provider.normalizePath ?? null;
  const path = parsed.path !== null && normalizePath !== null ? normalizePath(parsed.path) : parsed.path;
  const targets: Record<string, string> = {};
  const computedPaths: Record<string, ComputedPath> = {};
  for (const [protocol, capability] of Object.entries(provider.protocols)) {
    const fixed = path ?? capability.path;
    if (typeof fixed === 'string') targets[protocol] = joinTarget(fixed, query);
    else computedPaths[protocol] = fixed;
  }
  const lockedArguments = new Set(Object.keys(authQuery));
  return { ...parsed, path, targets, computedPaths, providerConf, normalizePath, query, lockedArguments };
}

/**
 * The request target (path and query) at the provider.
 *
 * @param clientTarget - Target of the client's request in origin form: `/path` or `/path?query`.
 * @param call - The model in effect (`''` if none), and whether a stream is asked for.
 * @returns null if the provider does not speak the protocol (the caller answers LLM_PROTOCOL_UNSUPPORTED); a WeirError
 *   (400, LLM_UPSTREAM_PATH) if the path needs a model and there is none.
 */
export function upstreamTarget(
  endpoint: CompiledEndpoint,
  protocol: Protocol,
  clientTarget: string,
  call: { readonly model: string; readonly stream: boolean },
): string | WeirError | null {
  if (protocol.keepsRequestLine) return passthroughTarget(endpoint, clientTarget);
  const fixed = endpoint.targets[protocol.name];
  if (fixed !== undefined) return fixed;
  const computedPath = endpoint.computedPaths[protocol.name];
  if (computedPath === undefined) return null;
  const path = computedPath({ conf: endpoint.providerConf, model: call.model, stream: call.stream });
  return path === null ? new WeirError('LLM_UPSTREAM_PATH') : joinTarget(path, endpoint.query);
}

function passthroughTarget(endpoint: CompiledEndpoint, clientTarget: string): string {
  const { normalizePath, query } = endpoint;
  if (endpoint.path === null && normalizePath === null && query.length === 0) return clientTarget;
  const mark = clientTarget.indexOf('?');
  const clientPath = mark === -1 ? clientTarget : clientTarget.slice(0, mark);
  const path = endpoint.path ?? (normalizePath === null ? clientPath : normalizePath(clientPath));
  if (mark === -1) return joinTarget(path, query);

  const clients = queryArguments(clientTarget.slice(mark + 1)).filter(
    (argument) => !endpoint.lockedArguments.has(argument.name),
  );
  const overridden = new Set(clients.map((argument) => argument.name));
  return joinTarget(path, [...query.filter((argument) => !overridden.has(argument.name)), ...clients]);
}

function joinTarget(path: string, query: readonly QueryArgument[]): string {
  return query.length === 0 ? path : `${path}?${query.map((argument) => argument.text).join('&')}`;
}

function queryArguments(query: string): QueryArgument[] {
  return query
    .split('&')
    .filter((text) => text !== '')
    .map((text) => ({ name: decodeName(text.split('=', 1)[0] ?? ''), text }));
}

function decodeName(name: string): string {
  const spaced = name.replaceAll('+', ' ');
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}

function encodeArgument(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}
