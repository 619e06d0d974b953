const firstPauseMs = 1000;
const longestPauseMs = 30_000;

interface BackoffOptions {
  /** Failures in a row after which there is no pause yet. */
  readonly tolerated: number;
  /** In milliseconds. Default: performance.now. */
  readonly now?: () => number;
}

/** Says when a service that fails is to be left alone: for 1 s at first, twice as long each time, 30 s at most. */
export class Backoff {
  readonly #tolerated: number;
  readonly #now: () => number;
  #failures = 0;
  #pausedUntil = -Infinity;

  constructor({ tolerated, now = () => performance.now() }: BackoffOptions) {
    this.#tolerated = tolerated;
    this.#now = now;
  }

  get isPaused(): boolean {
    return this.#now() < this.#pausedUntil;
  }

  failed(): void {
    // Calls that were on their way when the pause began say nothing new.
    if (this.isPaused) return;
    const pauses = ++this.#failures - this.#tolerated;
    if (pauses > 0) this.#pausedUntil = this.#now() + Math.min(firstPauseMs * 2 ** (pauses - 1), longestPauseMs);
  }

  succeeded(): void {
    this.#failures = 0;
    this.#pausedUntil = -Infinity;
  }
}
