/** Lets so many jobs run at the same time; the others wait for their turn. */
export class ConcurrencyLimit {
  /** At least 1. A change counts for jobs that begin from then on. */
  max: number;
  #running = 0;
  readonly #waiting = new Set<() => void>();

  constructor(max: number) {
    this.max = max;
  }

  /**
   * @param start - Begins the job, now or later, and is given what to call at its end.
   * @returns Calls the job off while it waits. No effect later.
   */
  run(start: (release: () => void) => void): () => void {
    const begin = (): void => {
      this.#running++;
      let released = false;
      start(() => {
        if (released) return;
        released = true;
        this.#running--;
        this.#next();
      });
    };
    if (this.#running < this.max) begin();
    else this.#waiting.add(begin);
    return () => this.#waiting.delete(begin);
  }

  #next(): void {
    for (const begin of this.#waiting) {
      if (this.#running >= this.max) return;
      this.#waiting.delete(begin);
      begin();
    }
  }
}
