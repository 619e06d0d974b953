/** In which order a request tries the instances. */
export interface Ranking {
  /** Indexes of all instances. */
  readonly order: readonly number[];
  /** How many of the first ones the request is like; those behind them stand in. */
  readonly matches: number;
}

/**
 * Puts instances in order for each request: those that it is like enough, the best first; then the fallback; then the
 * others, the best first. With equal scores the order of the configuration decides.
 */
export class SemanticRanking {
  readonly #thresholds: readonly number[];
  readonly #fallback: number;
  readonly #unknown: Ranking;

  /**
   * @param thresholds - Of each instance, the score from which on a request is like its examples.
   * @param fallback - Index of the instance that serves what is like none.
   */
  constructor(thresholds: readonly number[], fallback: number) {
    this.#thresholds = thresholds;
    this.#fallback = fallback;
    this.#unknown = { order: withFirst([...thresholds.keys()], fallback), matches: 0 };
  }

  /** @param scores - Of each instance; null: nobody knows. */
  of(scores: readonly number[] | null): Ranking {
    if (scores === null) return this.#unknown;
    const ranked = [...scores.keys()].sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0));
    const isMatch = (index: number): boolean => (scores[index] ?? -1) >= (this.#thresholds[index] ?? 0);
    const matching = ranked.filter(isMatch);
    const others = ranked.filter((index) => !isMatch(index));
    const rest = matching.includes(this.#fallback) ? others : withFirst(others, this.#fallback);
    return { order: [...matching, ...rest], matches: matching.length };
  }
}

function withFirst(indexes: readonly number[], first: number): number[] {
  return [first, ...indexes.filter((index) => index !== first)];
}
