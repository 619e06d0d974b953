import type { Cell, NamedCells } from '../../shared-memory/named-cells.ts';
import type { HealthStatus } from './health-state.ts';

/**
 * How health lies in shared memory: the main thread writes, workers read.
 *
 * ```
 * ["health","<owner>","<instance>"]          bits: 1 = no address is usable, 2 = not all addresses are `healthy`
 * ["health","<owner>","<instance>","<ip>"]   index in `statuses`; made when that address is not `healthy` for the first time
 * ```
 *
 * A cell that nobody has written to holds 0: all is well.
 */
const statuses: readonly HealthStatus[] = ['healthy', 'mostly_healthy', 'mostly_unhealthy', 'unhealthy'];
const bits = { unusable: 1, mixed: 2 } as const;

/** As JSON, because an instance may have any name: no two lists of parts give the same text. */
function nameOf(...parts: readonly string[]): string {
  return JSON.stringify(['health', ...parts]);
}

/** The main thread's side: tells the workers how an instance is. */
export class HealthWriter {
  readonly #cells: NamedCells;
  readonly #owner: string;
  readonly #name: string;
  readonly #instance: Cell;
  readonly #addresses = new Map<string, Cell>();

  constructor(cells: NamedCells, owner: string, instance: string) {
    this.#cells = cells;
    this.#owner = owner;
    this.#name = instance;
    this.#instance = cells.open(nameOf(owner, instance));
  }

  writeAddress(ip: string, status: HealthStatus): void {
    let cell = this.#addresses.get(ip);
    if (cell === undefined) {
      if (status === 'healthy') return;
      cell = this.#cells.open(nameOf(this.#owner, this.#name, ip));
      this.#addresses.set(ip, cell);
    }
    cell.store(statuses.indexOf(status));
  }

  /** To be called after {@link writeAddress}: who sees the bit must find the address. */
  writeInstance(state: { readonly isUsable: boolean; readonly isMixed: boolean }): void {
    this.#instance.store((state.isUsable ? 0 : bits.unusable) | (state.isMixed ? bits.mixed : 0));
  }

  /** All is well, as far as anybody knows. */
  clear(): void {
    this.#instance.store(0);
    for (const cell of this.#addresses.values()) cell.store(0);
  }
}

/** A worker's side. */
export class HealthReader {
  readonly #cells: NamedCells;
  readonly #owner: string;
  readonly #name: string;
  readonly #instance: Cell;
  readonly #addresses = new Map<string, Cell>();

  constructor(cells: NamedCells, owner: string, instance: string) {
    this.#cells = cells;
    this.#owner = owner;
    this.#name = instance;
    this.#instance = cells.open(nameOf(owner, instance));
  }

  isUsable(): boolean {
    return (this.#instance.load() & bits.unusable) === 0;
  }

  /** `healthy` for an address that nobody watches. */
  statusOf(ip: string): HealthStatus {
    if ((this.#instance.load() & bits.mixed) === 0) return 'healthy';
    let cell = this.#addresses.get(ip) ?? null;
    if (cell === null) {
      cell = this.#cells.find(nameOf(this.#owner, this.#name, ip));
      if (cell === null) return 'healthy';
      this.#addresses.set(ip, cell);
    }
    return statuses[cell.load()] ?? 'healthy';
  }
}
