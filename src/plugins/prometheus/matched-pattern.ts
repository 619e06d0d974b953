import type { RouteFacts } from '../../pipeline/context.ts';
import { isHostCovered, parseHostPattern } from '../../router/host-pattern.ts';
import { compilePathPattern } from '../../router/path-pattern.ts';

/** Which of the uris and hosts of its route a request has matched, as they are configured: never what the client sent. */
interface MatchedPattern {
  uri(path: string): string;
  /** '' for a route without hosts. */
  host(host: string): string;
}

export function compileMatchedPattern({ uris, hosts }: Pick<RouteFacts, 'uris' | 'hosts'>): MatchedPattern {
  const [onlyUri = ''] = uris;
  const [onlyHost = ''] = hosts;
  // The router tries an exact path first, then the longest.
  const paths = uris
    .map((uri) => ({ uri, path: compilePathPattern(uri, { parameters: uri.includes('/:') }) }))
    .sort((a, b) => Number(b.path.exact) - Number(a.path.exact) || b.uri.length - a.uri.length);
  const hostPatterns = hosts.map((host) => ({ host, patterns: [parseHostPattern(host)] }));
  return {
    uri(path) {
      if (uris.length <= 1) return onlyUri;
      const found = paths.find(({ path: { literal, exact, match } }) =>
        exact ? path === literal : path.startsWith(literal) && (match === null || match(path) !== null),
      );
      return found?.uri ?? onlyUri;
    },
    host(host) {
      if (hosts.length <= 1) return onlyHost;
      return hostPatterns.find(({ patterns }) => isHostCovered(patterns, host))?.host ?? onlyHost;
    },
  };
}
