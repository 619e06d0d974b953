import type { Leak, LeakyBucket, Take, TakenWindow, WindowState } from '../shared-memory/shared-counters.ts';

export type { Take, TakenWindow, WindowState };

/**
 * Where windows and leaky buckets are kept: the memory that the workers of this machine share, or a Redis. The former
 * answers at once, the latter with a Promise, which rejects with a {@link WindowStoreError} within the time that is
 * configured. Windows and buckets have their own keys. Amounts may be fractions.
 *
 * Keys begin with the plugin and the resource that limits, see `counterScope`.
 */
export interface WindowStore {
  /** Changes nothing. */
  read(key: string, windowMs: number): WindowState | Promise<WindowState>;
  /** Adds whatever the limit is: what was used cannot be given back. */
  add(key: string, amount: number, windowMs: number): WindowState | Promise<WindowState>;
  /** Adds only if the amount fits in the limit, in one step with looking. */
  take(key: string, take: Take): TakenWindow | Promise<TakenWindow>;
  /** One request runs into a leaky bucket; see `SharedCounters.leak`. */
  leak(key: string, bucket: LeakyBucket): Leak | Promise<Leak>;
}

/** The store cannot be asked: it is away, too slow, or refuses. The message names it, without any password. */
export class WindowStoreError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'WindowStoreError';
  }
}
