import type { ImmediateBalancer, Picker } from './balancer.ts';

/** How long a candidate takes, for all workers. */
export interface LatencyCells {
  /** The average in microseconds; 0: nothing is known yet. */
  readonly average: SharedNumber;
  /** When that was written: {@link clockMask}ed milliseconds. */
  readonly writtenAt: SharedNumber;
}

interface SharedNumber {
  load(): number;
  store(value: number): void;
}

interface Chances {
  /** From 0 up to 1. */
  readonly random: () => number;
  /** Milliseconds of a clock that all workers share. */
  readonly now: () => number;
}

/** What happened this long ago counts a third of what happens now. The same as in APISIX and ingress-nginx. */
const decayMs = 10_000;
/** Cells hold 31 bits; the clock runs around in 24 days. */
const clockMask = 0x7fffffff;
const maxMicroseconds = 0x7fffffff;

/**
 * Picks the faster one of two candidates drawn at random, by a moving average of how long answers take, in which older
 * ones fade (exponentially weighted). A candidate that nobody asked for a while gets faster in this way, so it is tried again.
 * Weights play no part. https://github.com/apache/apisix/blob/master/apisix/balancer/ewma.lua
 */
export class MovingAverage implements ImmediateBalancer {
  readonly #cells: readonly LatencyCells[];
  readonly #chances: Chances;

  /** @param cells - Of each candidate. */
  constructor(cells: readonly LatencyCells[], chances: Chances) {
    this.#cells = cells;
    this.#chances = chances;
  }

  begin(): Picker {
    return {
      next: (excluded) => this.#next(excluded),
      release: (index, elapsedMs) => this.#learn(index, elapsedMs),
    };
  }

  #next(excluded: ReadonlySet<number>): number {
    const left = [...this.#cells.keys()].filter((index) => !excluded.has(index));
    const first = this.#draw(left);
    const second = this.#draw(left);
    if (first === undefined) return -1;
    return second !== undefined && this.#score(second) < this.#score(first) ? second : first;
  }

  #draw(left: number[]): number | undefined {
    return left.splice(Math.floor(this.#chances.random() * left.length), 1)[0];
  }

  #score(index: number): number {
    const cells = this.#cells[index];
    return cells === undefined ? 0 : cells.average.load() * this.#fading(cells);
  }

  #learn(index: number, elapsedMs: number): void {
    const cells = this.#cells[index];
    if (cells === undefined) return;
    const fading = this.#fading(cells);
    // Two workers at once: one of them is not heard, which an average bears.
    const average = cells.average.load() * fading + elapsedMs * 1000 * (1 - fading);
    cells.average.store(Math.min(maxMicroseconds, Math.round(average)));
    cells.writtenAt.store(this.#chances.now() & clockMask);
  }

  /** What is left of a value by now: 1 of a new one, 0 of one that is very old. */
  #fading({ writtenAt }: LatencyCells): number {
    const passedMs = (this.#chances.now() - writtenAt.load()) & clockMask;
    return Math.exp(-passedMs / decayMs);
  }
}
