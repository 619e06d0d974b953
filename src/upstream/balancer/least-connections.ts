import type { Candidate, ImmediateBalancer, Picker } from './balancer.ts';
import type { RoundRobin } from './round-robin.ts';

/** How many requests a candidate has. */
export interface RunningCount {
  /** In all workers together. */
  load(): number;
  /** In this worker. */
  add(amount: number): void;
}

/**
 * Picks the candidate with the fewest running requests for its weight, the one that is picked included:
 * `(running + 1) / weight`. Between equals the turn decides.
 */
export class LeastConnections implements ImmediateBalancer {
  readonly #weights: readonly number[];
  readonly #running: readonly RunningCount[];
  readonly #turns: RoundRobin;

  /**
   * @param candidates - With weights above 0.
   * @param running - Of each of them.
   * @param turns - Over the same candidates.
   */
  constructor(candidates: readonly Candidate[], running: readonly RunningCount[], turns: RoundRobin) {
    this.#weights = candidates.map(({ weight }) => weight);
    this.#running = running;
    this.#turns = turns;
  }

  begin(): Picker {
    const turn = this.#turns.begin();
    return {
      next: (excluded) => {
        const index = turn.next(this.#allButIdlest(excluded));
        this.#running[index]?.add(1);
        return index;
      },
      release: (index) => this.#running[index]?.add(-1),
    };
  }

  /** Those that are excluded, and those that are busier than others. */
  #allButIdlest(excluded: ReadonlySet<number>): ReadonlySet<number> {
    const loads = this.#weights.map((weight, index) =>
      excluded.has(index) ? Infinity : ((this.#running[index]?.load() ?? 0) + 1) / weight,
    );
    const least = Math.min(...loads);
    const busier = new Set(excluded);
    for (const [index, load] of loads.entries()) if (load > least) busier.add(index);
    return busier;
  }
}
