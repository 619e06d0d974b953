import { threadId } from 'node:worker_threads';

/** Looks at a lock before the thread sleeps: some 10 us, while a holder needs less than one. */
const spins = 500;
const napMs = 1;
/**
 * About two seconds. Naps, not a time: when the machine holds the whole process up, they are held up as well. On a machine
 * with ten threads a core, a living holder was seen to wait for a core through 250 of them.
 */
const defaultPatienceNaps = 2000;
const sequenceBits = 11;
const owners = 2 ** (31 - sequenceBits) - 1;

/** How often this thread has taken a lock; of all tables, so that no two holds of it are the same. */
let sequence = 0;

/**
 * Locks that threads hold for less than a microsecond, one int32 each: 0 is free, anything else names the thread and
 * which of its holds it is.
 *
 * ```
 * | 0 | thread: 20 bits | sequence: 11 bits |
 * ```
 *
 * A worker thread may be terminated between any two instructions and leaves its locks closed. Whoever sees it end calls
 * {@link releaseAllOf}. Should that not happen, a thread that has seen the very same hold for two seconds takes it over.
 * For the case that the holder lives after all, it asks {@link isHeld} directly before it writes.
 */
export class SpinLocks {
  readonly #words: Int32Array;
  readonly #patienceNaps: number;

  /** @param words - One for each lock, in memory that the threads share. Zeros at first. */
  constructor(words: Int32Array, patienceNaps = defaultPatienceNaps) {
    this.#words = words;
    this.#patienceNaps = patienceNaps;
  }

  /** Blocks the thread until it holds the lock. @returns The hold, for the other methods. */
  acquire(index: number): number {
    sequence = (sequence + 1) % 2 ** sequenceBits;
    const hold = (ownerOf(threadId) << sequenceBits) | sequence;
    if (!this.#replace(index, 0, hold)) this.#wait(index, hold);
    return hold;
  }

  isHeld(index: number, hold: number): boolean {
    return Atomics.load(this.#words, index) === hold;
  }

  /** Does nothing when another thread has taken the lock over. */
  release(index: number, hold: number): void {
    this.#replace(index, hold, 0);
  }

  /** Opens all locks of a thread that has ended. */
  releaseAllOf(thread: number): void {
    const owner = ownerOf(thread);
    for (let index = 0; index < this.#words.length; index++) {
      const word = Atomics.load(this.#words, index);
      if (word >> sequenceBits === owner) this.#replace(index, word, 0);
    }
  }

  #wait(index: number, hold: number): void {
    for (let spin = 0; spin < spins; spin++) {
      Atomics.pause();
      if (this.#replace(index, 0, hold)) return;
    }
    let seen = 0;
    let naps = 0;
    for (;;) {
      const word = Atomics.load(this.#words, index);
      naps = word === seen ? naps + 1 : 0;
      seen = word;
      if ((word === 0 || naps > this.#patienceNaps) && this.#replace(index, word, hold)) return;
      // Nobody wakes it: the timeout ends the nap, so that no wake-up can be missed.
      Atomics.wait(this.#words, index, word, napMs);
    }
  }

  #replace(index: number, word: number, hold: number): boolean {
    return Atomics.compareExchange(this.#words, index, word, hold) === word;
  }
}

/** From 1 on: the main thread is 0 for Node. */
function ownerOf(thread: number): number {
  return (thread % owners) + 1;
}
