const kept = 8;
const everyMs = 1000;

/**
 * Keeps a few finished attempts, with all that they refer to, so that objects of each shape exist also while nobody asks:
 * at the first full collection that finds none of a shape, V8 throws away the optimised code that was made for it
 * (docs/decisions/0010). The last ones of different seconds, since traffic is not all of one kind.
 */
export class Specimens {
  readonly #kept: (object | null)[] = Array.from({ length: kept }, () => null);
  #next = 0;
  #dueAtMs = 0;

  /**
   * @param specimen - Without large bodies: it may be kept for hours.
   * @param nowMs - Of `performance.now()`.
   */
  offer(specimen: object, nowMs: number): void {
    if (nowMs < this.#dueAtMs) return;
    this.#dueAtMs = nowMs + everyMs;
    this.#kept[this.#next] = specimen;
    this.#next = (this.#next + 1) % kept;
  }
}
