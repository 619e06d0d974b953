import { createPathIndex, findCandidate, pushTo, type PathIndex } from './path-index.ts';
import { createPrefixIndex, type PrefixMatch } from './prefix-index.ts';
import { noPathParams, type RequestView } from './request-view.ts';
import { isAccepted, isAcceptedBeforeBody, type Candidate, type CompiledEntry } from './route-entry.ts';

/** Finds the route of a request. Immutable: a new configuration makes a new router. */
export interface Router<T> {
  /**
   * The value of the route that wins, null when there is none. Leaves the parameters of its path in `request.pathParams`.
   * When {@link needsBody} said so, the body must have been read: without it `post_arg` variables are absent.
   */
  match(request: RequestView): T | null;
  /** Whether the choice depends on the body, because a route with `post_arg` conditions could win. */
  needsBody(request: RequestView): boolean;
}

/** Candidates by host; `anyHost` holds those that are not found by one. */
interface HostIndex<T> {
  readonly exact: ReadonlyMap<string, PathIndex<T>>;
  /** By the end of the host, read backwards; null when no host has a star. */
  readonly longestSuffix: ((reversedHost: string) => PrefixMatch<PathIndex<T>> | null) | null;
  readonly anyHost: PathIndex<T>;
}

/**
 * Puts compiled routes together to a router whose cost does not depend on how many there are.
 *
 * Which of several fitting routes wins: an exact path before a prefix, a longer prefix before a shorter one, on the same path the
 * larger priority, then the longer uri (`/x/*rest` before `/x/*`), then the earlier entry. A route whose other conditions do not
 * hold is passed over. In `radixtree_host_uri` all this is done first for the exact host, then for hosts with a star from the
 * longest to the shortest, at last for routes without hosts.
 *
 * @param entries - Enabled routes, all compiled for one mode, the one created first in front.
 */
export function createRouter<T>(entries: readonly CompiledEntry<T>[]): Router<T> {
  const index = createHostIndex(entries);
  const anyNeedsBody = entries.some(({ candidates: [first] }) => first?.conditions.vars?.needsBody === true);
  return {
    match(request) {
      const candidate = findByHost(index, request, isAccepted);
      if (candidate !== null) return candidate.value;
      request.pathParams = noPathParams;
      return null;
    },
    needsBody(request) {
      return anyNeedsBody && findByHost(index, request, isAcceptedBeforeBody)?.conditions.vars?.needsBody === true;
    },
  };
}

function createHostIndex<T>(entries: readonly CompiledEntry<T>[]): HostIndex<T> {
  const exact = new Map<string, Candidate<T>[]>();
  const suffixes = new Map<string, Candidate<T>[]>();
  const anyHost: Candidate<T>[] = [];
  for (const { candidates, hostsFirst } of entries) {
    if (hostsFirst.length === 0) anyHost.push(...candidates);
    for (const { text, suffix } of hostsFirst) {
      if (suffix) pushTo(suffixes, reverse(text), ...candidates);
      else pushTo(exact, text, ...candidates);
    }
  }
  return {
    exact: mapValues(exact, createPathIndex),
    longestSuffix: suffixes.size === 0 ? null : createPrefixIndex(mapValues(suffixes, createPathIndex)),
    anyHost: createPathIndex(anyHost),
  };
}

function mapValues<V, W>(map: ReadonlyMap<string, V>, transform: (value: V) => W): Map<string, W> {
  return new Map(Array.from(map, ([key, value]) => [key, transform(value)]));
}

function reverse(text: string): string {
  let reversed = '';
  for (let index = text.length - 1; index >= 0; index--) reversed += text.charAt(index);
  return reversed;
}

function findByHost<T>(
  index: HostIndex<T>,
  request: RequestView,
  accepts: (candidate: Candidate<T>, request: RequestView) => boolean,
): Candidate<T> | null {
  const exact = index.exact.get(request.host);
  const found = exact === undefined ? null : findCandidate(exact, request, accepts);
  if (found !== null) return found;
  if (index.longestSuffix !== null) {
    for (let match = index.longestSuffix(reverse(request.host)); match !== null; match = match.shorter) {
      const covered = findCandidate(match.value, request, accepts);
      if (covered !== null) return covered;
    }
  }
  return findCandidate(index.anyHost, request, accepts);
}
