import { isSecretReference } from '../config/secret-reference.ts';
import { BoundedPattern, compileSubstitute, replaceMatch } from '../router/bounded-pattern.ts';

/** A path that a pattern has matched. */
export interface RewrittenPath {
  readonly path: string;
  /** The groups of the match, the whole of it first. */
  readonly groups: readonly (string | undefined)[];
}

/**
 * Compiles `regex_uri`: patterns, each followed by what takes the place of its match. The first that matches counts.
 *
 * @param pairs - Has passed {@link checkRegexUri}.
 * @returns A function that gives null when none matches, and throws PatternTimeout.
 */
export function compileRegexUri(pairs: readonly string[]): (path: string) => RewrittenPath | null {
  const rules = toPairs(pairs).map(([pattern, substitute]) => {
    const compiled = new BoundedPattern(pattern);
    return { pattern: compiled, substitute: compileSubstitute(substitute, compiled.groupCount) };
  });
  return (path) => {
    for (const { pattern, substitute } of rules) {
      const match = pattern.exec(path);
      if (match !== null) return { path: replaceMatch(path, match, substitute), groups: match };
    }
    return null;
  };
}

/** @returns Null, or what is wrong. */
export function checkRegexUri(pairs: readonly string[]): string | null {
  if (pairs.length % 2 !== 0) {
    return 'property "regex_uri" validation failed: expected pairs of a pattern and what takes the place of its match';
  }
  for (const [pattern, substitute] of toPairs(pairs)) {
    const isKnown = ![pattern, substitute].some(isSecretReference);
    try {
      if (isKnown) compileSubstitute(substitute, new BoundedPattern(pattern).groupCount);
    } catch (error) {
      return `invalid regex_uri(${pattern}, ${substitute}): ${error instanceof Error ? error.message : String(error)}`;
    }
  }
  return null;
}

function toPairs(list: readonly string[]): readonly (readonly [string, string])[] {
  return Array.from({ length: Math.floor(list.length / 2) }, (_, index) => [
    list[2 * index] ?? '',
    list[2 * index + 1] ?? '',
  ]);
}
