import { threadId } from 'node:worker_threads';
import type { Cell, NamedCells } from './named-cells.ts';

/** How much of something runs now. */
interface RunningCount {
  /** In all threads together. */
  load(): number;
  /** In this thread. */
  add(amount: number): void;
}

/** Threads that can count at the same time. Far more than a machine has cores. */
const maxSeats = 1023;
/** In place of a seat: how many of them have ever been taken. */
const seatsTaken = 0;

/** Bytes of the seats. */
export const seatBytes = 4 * (1 + maxSeats);

/**
 * Counts what runs now, by name, for all threads. Each thread has a seat and cells of its own, so that what runs in one
 * that dies is not counted for ever: its seat becomes free, and who takes it next begins at 0.
 *
 * ```
 * seats taken | seat 1 | seat 2 | ...: int32, 0 = free, else the id of its thread + 1
 * ```
 */
export class RunningCounts {
  readonly #seats: Int32Array;
  readonly #cells: NamedCells;
  readonly #counts = new Map<string, RunningCount>();
  #seat = 0;

  /** @param memory - Zeros at first, of {@link seatBytes}. */
  constructor(memory: SharedArrayBuffer, cells: NamedCells) {
    this.#seats = new Int32Array(memory);
    this.#cells = cells;
  }

  /** @throws RangeError when there are too many threads. */
  open(name: string): RunningCount {
    let count = this.#counts.get(name);
    if (count === undefined) {
      count = this.#create(name);
      this.#counts.set(name, count);
    }
    return count;
  }

  #create(name: string): RunningCount {
    if (this.#seat === 0) this.#seat = takeSeat(this.#seats);
    const cellOf = (seat: number): Cell => this.#cells.open(`${name} in thread ${seat}`);
    const own = cellOf(this.#seat);
    own.store(0);
    const cells: Cell[] = [];
    return {
      load: () => {
        let sum = 0;
        for (let seat = Atomics.load(this.#seats, seatsTaken); seat > 0; seat--) {
          if (Atomics.load(this.#seats, seat) !== 0) sum += (cells[seat] ??= cellOf(seat)).load();
        }
        return sum;
      },
      add: (amount) => void own.add(amount),
    };
  }
}

/** Makes the seats of a thread that has ended free. */
export function leaveSeats(memory: SharedArrayBuffer, endedThreadId: number): void {
  const seats = new Int32Array(memory);
  for (let seat = 1; seat <= maxSeats; seat++) Atomics.compareExchange(seats, seat, endedThreadId + 1, 0);
}

function takeSeat(seats: Int32Array): number {
  for (let seat = 1; seat <= maxSeats; seat++) {
    if (Atomics.compareExchange(seats, seat, 0, threadId + 1) !== 0) continue;
    for (let taken = Atomics.load(seats, seatsTaken); taken < seat;) {
      taken = Atomics.compareExchange(seats, seatsTaken, taken, seat);
    }
    return seat;
  }
  throw new RangeError(`more than ${maxSeats} threads`);
}
