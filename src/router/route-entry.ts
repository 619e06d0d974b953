import { compileIpMatcher } from '../base/ip.ts';
import { compileVars, type Expression } from './expression.ts';
import { isHostCovered, parseHostPattern, type HostPattern } from './host-pattern.ts';
import { compilePathPattern, type PathPattern } from './path-pattern.ts';
import { noPathParams, type RequestView } from './request-view.ts';

/**
 * APISIX's `apisix.router.http`. `radixtree_host_uri`: host first, then path. The others: path first, the host is one condition
 * of many. Only `radixtree_uri_with_parameter` knows `:name` in a uri; elsewhere it is plain text.
 */
export type RouterMode = 'radixtree_host_uri' | 'radixtree_uri' | 'radixtree_uri_with_parameter';

/** A route as the router takes it: plain data. An empty list of methods, hosts or addresses is as good as none. */
export interface RouteEntry<T> {
  /** Named in errors. */
  readonly id: string;
  /** What a match answers. */
  readonly value: T;
  /** See compilePathPattern. */
  readonly uris: readonly string[];
  readonly methods?: readonly string[] | undefined;
  /** See parseHostPattern. */
  readonly hosts?: readonly string[] | undefined;
  /** IP addresses and CIDR ranges. */
  readonly remoteAddresses?: readonly string[] | undefined;
  /** See compileVars. */
  readonly vars?: unknown;
  /** Among routes of one path the larger comes first. */
  readonly priority: number;
}

/** A compiled route, good for any number of routers of its mode. */
export interface CompiledEntry<T> {
  /** One for each uri. */
  readonly candidates: readonly Candidate<T>[];
  /** The hosts by which a router finds the candidates before it looks at the path; empty when hosts do not come first. */
  readonly hostsFirst: readonly HostPattern[];
}

/** One uri of a route, with all that a request must fulfil beside it. */
export interface Candidate<T> {
  readonly value: T;
  readonly path: PathPattern;
  /** The length of the uri as it was written. */
  readonly uriLength: number;
  readonly priority: number;
  readonly conditions: Conditions;
}

interface Conditions {
  readonly methods: ReadonlySet<string> | null;
  readonly hosts: readonly HostPattern[] | null;
  readonly isAddressCovered: ((address: string) => boolean) | null;
  readonly vars: Expression | null;
}

/**
 * Compiles a route for createRouter.
 *
 * @throws {TypeError} when an address or `vars` is invalid; the message names the route.
 */
export function compileEntry<T>(entry: RouteEntry<T>, mode: RouterMode): CompiledEntry<T> {
  const { value, priority, uris, hosts = [] } = entry;
  const patterns = hosts.map(parseHostPattern);
  const hostsFirst = mode === 'radixtree_host_uri' ? patterns : [];
  const conditions = compileConditions(entry, hostsFirst.length > 0 ? [] : patterns);
  const parameters = mode === 'radixtree_uri_with_parameter';
  const candidates = uris.map((uri) => {
    const path = compilePathPattern(uri, { parameters });
    return { value, path, uriLength: uri.length, priority, conditions };
  });
  return { candidates, hostsFirst };
}

function compileConditions(entry: RouteEntry<unknown>, hosts: readonly HostPattern[]): Conditions {
  const { id, methods = [], remoteAddresses = [], vars = [] } = entry;
  const isAlwaysTrue = Array.isArray(vars) && vars.length === 0;
  try {
    return {
      methods: methods.length === 0 ? null : new Set(methods),
      hosts: hosts.length === 0 ? null : hosts,
      isAddressCovered: remoteAddresses.length === 0 ? null : compileIpMatcher(remoteAddresses),
      vars: isAlwaysTrue ? null : compileVars(vars),
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TypeError(`route ${JSON.stringify(id)}: ${reason}`, { cause: error });
  }
}

/** Whether a request whose path begins as it must fulfils everything else. Leaves the path parameters on the request. */
export function isAccepted(candidate: Candidate<unknown>, request: RequestView): boolean {
  const { vars } = candidate.conditions;
  return isAcceptedBeforeVars(candidate, request) && (vars === null || vars.matches(request));
}

/** Like {@link isAccepted}, but conditions that need the body are taken as fulfilled. */
export function isAcceptedBeforeBody(candidate: Candidate<unknown>, request: RequestView): boolean {
  const { vars } = candidate.conditions;
  return isAcceptedBeforeVars(candidate, request) && (vars === null || vars.needsBody || vars.matches(request));
}

function isAcceptedBeforeVars({ conditions, path }: Candidate<unknown>, request: RequestView): boolean {
  const { methods, hosts, isAddressCovered } = conditions;
  if (methods !== null && !methods.has(request.method)) return false;
  if (hosts !== null && !isHostCovered(hosts, request.host)) return false;
  if (isAddressCovered !== null && !isAddressCovered(request.remoteAddress)) return false;
  const params = path.match === null ? noPathParams : path.match(request.path);
  if (params === null) return false;
  request.pathParams = params;
  return true;
}
