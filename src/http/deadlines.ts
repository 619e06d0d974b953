/** Something that ends when its time is up. */
export interface Expirable {
  /** Milliseconds of {@link Deadlines.now}; 0 means no deadline. Written directly: setting one costs an assignment. */
  deadline: number;
  /** Called once the deadline has passed; has been reset to 0 by then. */
  onDeadline(): void;
}

/** How late a deadline may be noticed, in milliseconds. */
export const deadlineResolutionMs = 50;

/**
 * Deadlines of many connections, watched by one timer: a request changes its deadline several times, and a timer for
 * each would cost more than the parsing. The sweep touches every connection, which is cheap (10,000 in under 0.1 ms).
 */
export class Deadlines {
  #items = new Set<Expirable>();
  #timer: NodeJS.Timeout | null = null;

  add(item: Expirable): void {
    this.#items.add(item);
    // Kept alive by the connections themselves; an idle gateway has no timer at all.
    this.#timer ??= setInterval(() => this.#sweep(), deadlineResolutionMs).unref();
  }

  remove(item: Expirable): void {
    this.#items.delete(item);
    if (this.#items.size === 0 && this.#timer !== null) {
      clearInterval(this.#timer);
      this.#timer = null;
    }
  }

  /** The clock that deadlines are set by, in milliseconds. */
  now(): number {
    return performance.now();
  }

  #sweep(): void {
    const now = performance.now();
    for (const item of this.#items) {
      if (item.deadline !== 0 && item.deadline <= now) {
        item.deadline = 0;
        item.onDeadline();
      }
    }
  }
}
