import { EntryTable } from './entry-table.ts';
import type { KeyedHash } from './keyed-hash.ts';

/** A fixed window of one key: it begins with the first amount that is added, and ends after its length. */
export interface WindowState {
  /** What was added since the window began; 0 when none is open. */
  readonly used: number;
  /** Until the window ends; its whole length when none is open. */
  readonly resetMs: number;
}

/** What is to be taken from a window. */
export interface Take {
  readonly amount: number;
  readonly limit: number;
  readonly windowMs: number;
}

export interface TakenWindow extends WindowState {
  readonly taken: boolean;
}

/** A bucket that leaks at a constant rate. */
export interface LeakyBucket {
  /** Above 0. */
  readonly ratePerSecond: number;
  /** How many requests may be ahead of the rate. */
  readonly burst: number;
}

export interface Leak {
  /** False: it was more than `burst` ahead, and has changed nothing. */
  readonly accepted: boolean;
  /** How many requests this one is ahead of the rate. */
  readonly excess: number;
  /** How long the request has to wait to keep to the rate. */
  readonly delayMs: number;
}

export interface SharedCountersOptions {
  readonly hash: KeyedHash;
  /** Called once for the memory: it is full, and from now on the counters that end first are lost. */
  readonly onEvict: () => void;
  /** Milliseconds that never go back and are the same in all threads. Default: since the start of the process. */
  readonly now?: () => number;
}

const windowPrefix = 'w';
const bucketPrefix = 'b';
/** Half of a thousandth of a request, which is the unit of nginx: times are not exact to the last bit. */
const excessTolerance = 0.0005;

/**
 * In Node one for all threads, https://nodejs.org/api/perf_hooks.html#performancenow, and setting the machine's clock does
 * not move it: no limit lasts for hours, or ends at once, because of that.
 */
const processTime = (): number => performance.now();

/**
 * Counters by key that are exact across the threads that share the memory. Windows and buckets have their own keys.
 * Amounts are finite numbers, fractions as well. Nothing is lost as long as the memory is not full.
 */
export class SharedCounters {
  readonly #entries: EntryTable;
  readonly #now: () => number;

  /** @param memory - Zeros at first, of the size that `entryTableBytes` tells. */
  constructor(memory: SharedArrayBuffer, { hash, onEvict, now = processTime }: SharedCountersOptions) {
    this.#entries = new EntryTable(memory, hash, onEvict);
    this.#now = now;
  }

  /** Changes nothing. */
  read(key: string, windowMs: number): WindowState {
    const now = this.#now();
    const entries = this.#entries;
    entries.open(windowPrefix + key, now);
    const { value: used, end } = entries;
    entries.close();
    return { used, resetMs: end > now ? end - now : windowMs };
  }

  /** Adds whatever the limit is: what was used cannot be given back. */
  add(key: string, amount: number, windowMs: number): WindowState {
    return this.take(key, { amount, limit: Infinity, windowMs });
  }

  /** Adds only if the amount fits in the limit, in one step with looking. */
  take(key: string, { amount, limit, windowMs }: Take): TakenWindow {
    const now = this.#now();
    const entries = this.#entries;
    for (;;) {
      entries.open(windowPrefix + key, now);
      const used = entries.value;
      const end = entries.end > now ? entries.end : now + windowMs;
      if (used + amount > limit) {
        entries.close();
        return { taken: false, used, resetMs: end - now };
      }
      if (entries.write(used + amount, end)) return { taken: true, used: used + amount, resetMs: end - now };
    }
  }

  /**
   * One request runs into a leaky bucket, as in nginx: https://nginx.org/en/docs/http/ngx_http_limit_req_module.html
   *
   * What is kept is the moment at which the bucket is empty; how full it is follows from that.
   */
  leak(key: string, { ratePerSecond, burst }: LeakyBucket): Leak {
    const now = this.#now();
    const entries = this.#entries;
    for (;;) {
      entries.open(bucketPrefix + key, now);
      const turn = Math.max(entries.end, now);
      const delayMs = turn - now;
      const excess = (delayMs * ratePerSecond) / 1000;
      if (excess > burst + excessTolerance) {
        entries.close();
        return { accepted: false, excess, delayMs };
      }
      if (entries.write(0, turn + 1000 / ratePerSecond)) return { accepted: true, excess, delayMs };
    }
  }
}
