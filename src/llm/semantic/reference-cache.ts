import { WeirError } from '../../base/errors.ts';
import { Backoff } from './backoff.ts';
import type { UnitVector } from './unit-vector.ts';

/** The embedded examples of each instance. */
export type References = readonly (readonly UnitVector[])[];

interface ReferenceCacheOptions {
  /** @throws WeirError */
  readonly fetch: () => Promise<References>;
  readonly onFailure: (error: unknown) => void;
  /** In milliseconds. Default: performance.now. */
  readonly now?: () => number;
}

const maxAgeMs = 3_600_000;
const minAgeMs = 60_000;

/**
 * The references of one configuration. They are fetched as soon as it is there, and anew when they are older than an hour;
 * the old ones serve until the new ones are here. Who asks while they come waits for the one fetch.
 */
export class ReferenceCache {
  readonly #options: ReferenceCacheOptions;
  readonly #now: () => number;
  readonly #backoff: Backoff;
  #references: References | null = null;
  #fetchedAt = -Infinity;
  #pending: Promise<References> | null = null;

  constructor(options: ReferenceCacheOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#backoff = new Backoff({ tolerated: 0, now: this.#now });
    void this.#startFetch();
  }

  /** @throws WeirError UPSTREAM_ANSWER: the last fetch has failed a short while ago. */
  get(): References | Promise<References> {
    const references = this.#references;
    if (references === null) return this.#startFetch();
    if (this.#now() - this.#fetchedAt >= maxAgeMs && !this.#backoff.isPaused) void this.#startFetch();
    return references;
  }

  /** They do not fit what the API answers now: they are fetched anew, but not more often than once a minute. */
  distrust(): void {
    if (this.#now() - this.#fetchedAt >= minAgeMs && !this.#backoff.isPaused) void this.#startFetch();
  }

  #startFetch(): Promise<References> {
    if (this.#pending !== null) return this.#pending;
    if (this.#backoff.isPaused) throw new WeirError('UPSTREAM_ANSWER', ['the examples could not be embedded']);
    const pending = this.#options.fetch();
    this.#pending = pending;
    pending.then(
      (references) => {
        this.#pending = null;
        this.#references = references;
        this.#fetchedAt = this.#now();
        this.#backoff.succeeded();
      },
      (error: unknown) => {
        this.#pending = null;
        this.#backoff.failed();
        this.#options.onFailure(error);
      },
    );
    return pending;
  }
}
