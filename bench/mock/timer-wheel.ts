/** Something that is called when its time has come. */
export interface Timed {
  /** Milliseconds of performance.now(). */
  dueMs: number;
  onDue(): void;
}

const slotCount = 4096;

/**
 * One timer for thousands of streams: a ring of slots of 1 ms each.
 *
 *     slots   [ ][a,b][ ][c][ ] ...   4096 of them; an entry that is due in a later turn stays in its slot
 *                 ^ position: all slots in front have been served
 *
 * Node's own timers round to whole milliseconds too, but each costs an object and a place in a list of its duration.
 */
export class TimerWheel {
  readonly #slots: Timed[][] = Array.from({ length: slotCount }, () => []);
  #position = Math.floor(performance.now());
  #size = 0;
  #isRunning = false;

  /** Calls `entry.onDue()` at `entry.dueMs` or up to about 2 ms later; at once, but not in this call, if that is past. */
  add(entry: Timed): void {
    if (!this.#isRunning) {
      this.#isRunning = true;
      this.#position = Math.floor(performance.now());
      setTimeout(this.#turn, 1);
    }
    const slot = Math.max(Math.ceil(entry.dueMs), this.#position + 1) % slotCount;
    this.#slots[slot]?.push(entry);
    this.#size++;
  }

  readonly #turn = (): void => {
    const now = Math.floor(performance.now());
    while (this.#position < now) {
      this.#position++;
      this.#serve(this.#position % slotCount);
    }
    if (this.#size > 0) setTimeout(this.#turn, 1);
    else this.#isRunning = false;
  };

  #serve(index: number): void {
    const entries = this.#slots[index];
    if (entries === undefined || entries.length === 0) return;
    this.#slots[index] = [];
    this.#size -= entries.length;
    for (const entry of entries) {
      // A turn of the wheel is 4 s: a longer pace comes round several times.
      if (entry.dueMs > this.#position) {
        this.#slots[index].push(entry);
        this.#size++;
      } else entry.onDue();
    }
  }
}
