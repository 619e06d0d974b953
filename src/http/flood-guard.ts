/** How often something may happen: so many times at once, and so many in a second on the whole. */
interface FloodLimit {
  readonly burst: number;
  readonly perSecond: number;
}

/** Counts what costs the gateway and is of use to nobody when it comes in masses: a leaky bucket. */
export class FloodGuard {
  readonly #limit: FloodLimit;
  #level = 0;
  #countedAt = 0;

  constructor(limit: FloodLimit) {
    this.#limit = limit;
  }

  /**
   * Counts once.
   *
   * @param now - In milliseconds.
   * @returns False when it is a flood.
   */
  admits(now: number): boolean {
    const drained = ((now - this.#countedAt) / 1000) * this.#limit.perSecond;
    this.#level = Math.max(0, this.#level - drained) + 1;
    this.#countedAt = now;
    return this.#level <= this.#limit.burst;
  }
}
