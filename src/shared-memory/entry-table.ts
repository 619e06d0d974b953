import { int32At, type KeyedHash } from './keyed-hash.ts';
import { SpinLocks } from './spin-locks.ts';

const entriesPerGroup = 128;
const tagWords = 4;
const headerBytes = 64;
const bytesPerEntry = 8 + 8 + tagWords * 4;
const bytesPerLock = 4;
const bytesPerGroup = entriesPerGroup * bytesPerEntry + bytesPerLock;
/** The word of the header that says whether an eviction was reported. */
const evictionTold = 0;
/** Not the zeros of memory that was never used. */
const endOfNone = -1;
const none = -1;

/** Bytes of a table of about this size: a whole number of groups, at least one. */
export function entryTableBytes(wantedBytes: number): number {
  const groups = Math.max(1, Math.floor((wantedBytes - headerBytes) / bytesPerGroup));
  return headerBytes + groups * bytesPerGroup;
}

/** The locks of a table, one for each group. */
export function locksOf(memory: SharedArrayBuffer): SpinLocks {
  const groups = groupsIn(memory);
  const locksAt = headerBytes + groups * entriesPerGroup * bytesPerEntry;
  return new SpinLocks(new Int32Array(memory, locksAt, groups));
}

function groupsIn(memory: SharedArrayBuffer): number {
  return Math.floor((memory.byteLength - headerBytes) / bytesPerGroup);
}

/**
 * A number with an end in time for each key, in memory of a fixed size that threads share.
 *
 * ```
 * header | values: float64 | ends: float64 | tags: 4 x int32 | locks: int32
 *          `-- one for each entry, 128 entries a group --'     one a group
 * ```
 *
 * The hash of a key tells its group, the place in it where the search begins, and the tag: 128 bits by which the key is
 * recognized, as keys themselves may be of any length. An entry is free when it has ended. When all of a group are in
 * use, which happens from about three quarters of the whole memory on, the one that ends first is given up.
 *
 * One key is open at a time: `open`, look at `value` and `end`, then `close` or `write`.
 */
export class EntryTable {
  readonly #header: Int32Array;
  readonly #values: Float64Array;
  readonly #ends: Float64Array;
  readonly #tags: Int32Array;
  readonly #groups: number;
  readonly #locks: SpinLocks;
  readonly #hash: KeyedHash;
  readonly #onEvict: () => void;
  // The key that is open.
  #tag0 = 0;
  #tag1 = 0;
  #tag2 = 0;
  #tag3 = 0;
  #group = 0;
  #hold = 0;
  #entry = none;
  #now = 0;

  /**
   * @param memory - Zeros at first, of the size that {@link entryTableBytes} tells.
   * @param onEvict - Called once for the memory, by the thread that is the first to give up an entry in use.
   */
  constructor(memory: SharedArrayBuffer, hash: KeyedHash, onEvict: () => void) {
    const groups = groupsIn(memory);
    const entries = groups * entriesPerGroup;
    const endsAt = headerBytes + entries * 8;
    const tagsAt = endsAt + entries * 8;
    this.#header = new Int32Array(memory, 0, headerBytes / 4);
    this.#values = new Float64Array(memory, headerBytes, entries);
    this.#ends = new Float64Array(memory, endsAt, entries);
    this.#tags = new Int32Array(memory, tagsAt, entries * tagWords);
    this.#groups = groups;
    this.#locks = locksOf(memory);
    this.#hash = hash;
    this.#onEvict = onEvict;
  }

  /** Finds the key and keeps the other threads from its group until `close` or `write`. */
  open(key: string, now: number): void {
    const bytes = this.#hash(key);
    // Zero stands for memory that was never used.
    this.#tag0 = int32At(bytes, 0) || 1;
    this.#tag1 = int32At(bytes, 4);
    this.#tag2 = int32At(bytes, 8);
    this.#tag3 = int32At(bytes, 12);
    this.#group = (int32At(bytes, 16) >>> 0) % this.#groups;
    this.#now = now;
    this.#hold = this.#locks.acquire(this.#group);
    this.#entry = this.#find();
  }

  /** Of the open key; 0 when it has no entry or its entry has ended. */
  get value(): number {
    return this.#isInUse() ? (this.#values[this.#entry] ?? 0) : 0;
  }

  /** When the entry of the open key ends; -1 when it has none or it has ended. */
  get end(): number {
    return this.#isInUse() ? (this.#ends[this.#entry] ?? endOfNone) : endOfNone;
  }

  /** Lets the others in; nothing has changed. */
  close(): void {
    this.#locks.release(this.#group, this.#hold);
  }

  /**
   * Puts the value in, and lets the others in. Of an entry in use, change the value or the end, not both.
   *
   * @returns False when another thread has meanwhile taken over the lock, because this one slept: then nothing is
   *   written, and all has to be done again from `open` on.
   */
  write(value: number, end: number): boolean {
    const isKnown = this.#entry !== none;
    const entry = isKnown ? this.#entry : this.#vacancy();
    const evicts = !isKnown && (this.#ends[entry] ?? endOfNone) > this.#now;
    if (!this.#locks.isHeld(this.#group, this.#hold)) return false;
    // The thread may be terminated anywhere in here. An entry that was not in use stays so until its end is there, which
    // comes last; of one that was, only one of the two changes.
    if (!isKnown) this.#claim(entry);
    this.#values[entry] = value;
    this.#ends[entry] = end;
    this.#locks.release(this.#group, this.#hold);
    if (evicts && Atomics.exchange(this.#header, evictionTold, 1) === 0) this.#onEvict();
    return true;
  }

  #claim(entry: number): void {
    this.#ends[entry] = endOfNone;
    const at = entry * tagWords;
    this.#tags[at] = this.#tag0;
    this.#tags[at + 1] = this.#tag1;
    this.#tags[at + 2] = this.#tag2;
    this.#tags[at + 3] = this.#tag3;
  }

  #isInUse(): boolean {
    return this.#entry !== none && (this.#ends[this.#entry] ?? endOfNone) > this.#now;
  }

  #find(): number {
    const first = this.#group * entriesPerGroup;
    for (let step = 0; step < entriesPerGroup; step++) {
      const entry = first + ((this.#tag1 + step) & (entriesPerGroup - 1));
      const at = entry * tagWords;
      const tag0 = this.#tags[at];
      if (
        tag0 === this.#tag0 &&
        this.#tags[at + 1] === this.#tag1 &&
        this.#tags[at + 2] === this.#tag2 &&
        this.#tags[at + 3] === this.#tag3
      ) {
        return entry;
      }
      // Entries are taken in this order, and one that was used once keeps a tag for ever.
      if (tag0 === 0) return none;
    }
    return none;
  }

  /** The first entry of the group that has ended, or else the one that ends first. */
  #vacancy(): number {
    const first = this.#group * entriesPerGroup;
    let best = first;
    let bestEnd = Infinity;
    for (let step = 0; step < entriesPerGroup; step++) {
      const entry = first + ((this.#tag1 + step) & (entriesPerGroup - 1));
      const end = this.#ends[entry] ?? endOfNone;
      if (end <= this.#now) return entry;
      if (end < bestEnd) {
        best = entry;
        bestEnd = end;
      }
    }
    return best;
  }
}
