import { randomBytes } from 'node:crypto';
import { type Log, silentLog } from '../base/log.ts';
import { entryTableBytes, locksOf } from './entry-table.ts';
import { createKeyedHash } from './keyed-hash.ts';
import { NamedCells, namedCellsBytes } from './named-cells.ts';
import { leaveSeats, RunningCounts, seatBytes } from './running-counts.ts';
import { SharedCounters } from './shared-counters.ts';

/** Memory that all threads of the process see, as plain data for `workerData`. It outlives reloads and dead workers. */
export interface SharedRegion {
  /** Random: makes hashes of keys unpredictable to clients. */
  readonly seed: string;
  readonly cells: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  readonly seats: SharedArrayBuffer;
}

interface SharedRegionOptions {
  /** Bytes for counters, 32 each, of which three quarters can be in use at once. Default 8 MiB. */
  readonly counterBytes?: number;
  /**
   * How many names cells can have, 12 bytes each. Default 1,048,576. Names of deleted routes are not given back, so it is
   * far more than routes need at one time; the system gives the memory only for what is used.
   */
  readonly cellSlots?: number;
}

/** @throws RangeError when the machine does not give that much memory. */
export function createSharedRegion(options: SharedRegionOptions = {}): SharedRegion {
  const { counterBytes = 8 * 1024 * 1024, cellSlots = 1_048_576 } = options;
  return {
    seed: randomBytes(16).toString('hex'),
    cells: new SharedArrayBuffer(namedCellsBytes(cellSlots)),
    counters: new SharedArrayBuffer(entryTableBytes(counterBytes)),
    seats: new SharedArrayBuffer(seatBytes),
  };
}

/**
 * For the main thread, when a worker has ended: what ran in it does so no more, and had it been in the middle of counting,
 * the others would wait for it for two seconds.
 *
 * @param threadId - That Node had given to the worker.
 */
export function forgetThread(region: SharedRegion, threadId: number): void {
  locksOf(region.counters).releaseAllOf(threadId);
  leaveSeats(region.seats, threadId);
}

interface SharedMemoryOptions {
  /** Is told once when one of the memories is full. Default: nobody is. */
  readonly log?: Pick<Log, 'warn'>;
  /** The clock of the counters, in milliseconds. Default: since the start of the process. */
  readonly now?: () => number;
}

/** One thread's view of a {@link SharedRegion}. */
export class SharedMemory {
  readonly cells: NamedCells;
  readonly running: RunningCounts;
  readonly counters: SharedCounters;

  constructor(region: SharedRegion, { log = silentLog, now }: SharedMemoryOptions = {}) {
    const hash = createKeyedHash(region.seed);
    this.cells = new NamedCells(region.cells, {
      hash,
      onFull: () =>
        log.warn(
          'the shared memory is full of names of routes, deleted ones too: for routes that are new or changed from now on workers do not see which of their instances are unhealthy, and each worker takes turns of round robin by itself; restart the gateway',
        ),
    });
    this.running = new RunningCounts(region.seats, this.cells);
    this.counters = new SharedCounters(region.counters, {
      hash,
      onEvict: () =>
        log.warn('the memory for rate limits is full: counters that end soon are lost; raise weir.shared_counters'),
      ...(now && { now }),
    });
  }
}
