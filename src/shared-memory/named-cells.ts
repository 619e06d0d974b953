import { int32At, type KeyedHash } from './keyed-hash.ts';

/** An int32 that threads share. It wraps around like one. */
export interface Cell {
  load(): number;
  store(value: number): void;
  /** @returns The value before. */
  add(amount: number): number;
}

export interface NamedCellsOptions {
  readonly hash: KeyedHash;
  /** Called once for the memory: it has no room for another name. */
  readonly onFull: () => void;
}

const headerBytes = 64;
const bytesPerSlot = 12;
const fullTold = 0;
/** A name whose first 256 places are taken finds no room. Below four fifths of all that does not happen. */
const maxProbes = 256;

/** Bytes of a table with this many names. */
export function namedCellsBytes(slots: number): number {
  return headerBytes + slots * bytesPerSlot;
}

/**
 * Cells that threads find by a name, such as the position of a balancer. A name keeps its cell as long as the memory
 * lives, so names come from the configuration, never from clients.
 *
 * ```
 * header | tags: 64 bits of the name's hash, 0 = free | cells: int32
 * ```
 */
export class NamedCells {
  readonly #header: Int32Array;
  readonly #tags: BigUint64Array;
  readonly #values: Int32Array;
  readonly #hash: KeyedHash;
  readonly #onFull: () => void;
  /** Of names for which there was no room: known to this thread alone. */
  readonly #private = new Map<string, Cell>();

  /** @param memory - Zeros at first, of the size that {@link namedCellsBytes} tells. */
  constructor(memory: SharedArrayBuffer, { hash, onFull }: NamedCellsOptions) {
    const slots = Math.floor((memory.byteLength - headerBytes) / bytesPerSlot);
    this.#header = new Int32Array(memory, 0, headerBytes / 4);
    this.#tags = new BigUint64Array(memory, headerBytes, slots);
    this.#values = new Int32Array(memory, headerBytes + slots * 8, slots);
    this.#hash = hash;
    this.#onFull = onFull;
  }

  /**
   * The cell of this name, which holds 0 until somebody writes. When there is no room for another name, a cell that
   * only this thread sees.
   */
  open(name: string): Cell {
    return this.#search(name, true) ?? this.#openPrivate(name);
  }

  /** The cell of a name that some thread has opened, or null. */
  find(name: string): Cell | null {
    return this.#search(name, false) ?? this.#private.get(name) ?? null;
  }

  #search(name: string, claims: boolean): Cell | null {
    const bytes = this.#hash(name);
    const tag = BigInt.asUintN(64, (BigInt(int32At(bytes, 0)) << 32n) | BigInt(int32At(bytes, 4) >>> 0)) || 1n;
    const slots = this.#tags.length;
    const home = (int32At(bytes, 8) >>> 0) % slots;
    for (let probe = 0; probe < Math.min(maxProbes, slots); probe++) {
      const slot = (home + probe) % slots;
      // The whole tag in one step: of two threads that claim a slot at once, the second sees the tag of the first.
      const found = claims ? Atomics.compareExchange(this.#tags, slot, 0n, tag) : Atomics.load(this.#tags, slot);
      if (found === tag || (found === 0n && claims)) return new AtomicCell(this.#values, slot);
      if (found === 0n) return null;
    }
    return null;
  }

  #openPrivate(name: string): Cell {
    let cell = this.#private.get(name);
    if (cell === undefined) {
      cell = new AtomicCell(new Int32Array(1), 0);
      this.#private.set(name, cell);
      if (Atomics.exchange(this.#header, fullTold, 1) === 0) this.#onFull();
    }
    return cell;
  }
}

class AtomicCell implements Cell {
  readonly #values: Int32Array;
  readonly #index: number;

  constructor(values: Int32Array, index: number) {
    this.#values = values;
    this.#index = index;
  }

  load(): number {
    return Atomics.load(this.#values, this.#index);
  }

  store(value: number): void {
    Atomics.store(this.#values, this.#index, value);
  }

  add(amount: number): number {
    return Atomics.add(this.#values, this.#index, amount);
  }
}
