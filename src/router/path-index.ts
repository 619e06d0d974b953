import { createPrefixIndex, type PrefixMatch } from './prefix-index.ts';
import type { RequestView } from './request-view.ts';
import type { Candidate } from './route-entry.ts';

/** Candidates by path, each list in the order in which they are tried. */
export interface PathIndex<T> {
  readonly exact: ReadonlyMap<string, readonly Candidate<T>[]>;
  readonly longestPrefix: (path: string) => PrefixMatch<readonly Candidate<T>[]> | null;
}

/** @param candidates - In configuration order, which decides between equals. */
export function createPathIndex<T>(candidates: readonly Candidate<T>[]): PathIndex<T> {
  const exact = new Map<string, Candidate<T>[]>();
  const prefixes = new Map<string, Candidate<T>[]>();
  for (const candidate of candidates) {
    const { path } = candidate;
    pushTo(path.exact ? exact : prefixes, path.literal, candidate);
  }
  for (const list of [...exact.values(), ...prefixes.values()]) list.sort(compareCandidates);
  return { exact, longestPrefix: createPrefixIndex(prefixes) };
}

/** Appends to the list of a key, which is made when it is missing. */
export function pushTo<V>(lists: Map<string, V[]>, key: string, ...values: readonly V[]): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [...values]);
  else list.push(...values);
}

function compareCandidates(left: Candidate<unknown>, right: Candidate<unknown>): number {
  return right.priority - left.priority || right.uriLength - left.uriLength;
}

/** The first accepted candidate: exact paths first, then from the longest prefix to the shortest. */
export function findCandidate<T>(
  index: PathIndex<T>,
  request: RequestView,
  accepts: (candidate: Candidate<T>, request: RequestView) => boolean,
): Candidate<T> | null {
  const exact = index.exact.get(request.path);
  if (exact !== undefined) {
    for (const candidate of exact) {
      if (accepts(candidate, request)) return candidate;
    }
  }
  for (let prefix = index.longestPrefix(request.path); prefix !== null; prefix = prefix.shorter) {
    for (const candidate of prefix.value) {
      if (accepts(candidate, request)) return candidate;
    }
  }
  return null;
}
