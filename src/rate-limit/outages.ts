import type { Log } from '../base/log.ts';

interface Outage {
  readonly reason: string;
  /** What the server is tried with. */
  readonly key: string;
  /** `performance.now()` when the attempt began that is still open; null: none is. */
  triedAt: number | null;
}

interface OutagesOptions {
  /** What is logged of the Redis: without credentials. */
  readonly name: string;
  /** Asks for a key without changing anything. Rejects when the server cannot be asked. */
  readonly probe: (key: string) => Promise<unknown>;
  readonly log: Log;
}

const probeIntervalMs = 200;
/** By then the connection itself has been given up, and an attempt over another one can be made. */
const probeTimeoutMs = 2000;

/**
 * The servers of a Redis that are away, so that nobody waits for them: they are tried in the background until they answer.
 * Every change is logged once, however many calls fail.
 */
export class Outages {
  readonly #options: OutagesOptions;
  readonly #outages = new Map<string, Outage>();
  /** Servers whose failure was logged and whose return was not. */
  readonly #failing = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: OutagesOptions) {
    this.#options = options;
  }

  /** Why a server is not to be asked; undefined: it may be. */
  reasonFor(server: string): string | undefined {
    return this.#outages.size === 0 ? undefined : this.#outages.get(server)?.reason;
  }

  /** @param key - What the server is tried with: it must lie on it. */
  begin(server: string, key: string, reason: string): void {
    this.failed(server, reason);
    if (this.#outages.has(server)) return;
    this.#outages.set(server, { reason, key, triedAt: null });
    this.#timer ??= setInterval(() => this.probe(), probeIntervalMs).unref();
  }

  /** A call failed, in a way that says nothing about the next one. */
  failed(server: string, reason: string): void {
    if (this.#failing.has(server)) return;
    this.#failing.add(server);
    this.#options.log.error('a Redis with counters of rate limits fails', { ...this.#factsOf(server), reason });
  }

  /** A call succeeded. */
  answered(server: string): void {
    if (this.#failing.size === 0) return;
    // Where one node answers, the cluster as a whole can be reached.
    for (const each of server === '' ? [''] : [server, '']) {
      this.#outages.delete(each);
      if (this.#failing.delete(each)) {
        // A warning as well: who reads of the failure in the log shall read of its end.
        this.#options.log.warn('a Redis with counters of rate limits answers again', this.#factsOf(each));
      }
    }
    if (this.#outages.size === 0) this.forget();
  }

  /** Tries the servers that are away, now. */
  probe(): void {
    const now = performance.now();
    for (const [server, outage] of this.#outages) {
      if (outage.triedAt !== null && now - outage.triedAt < probeTimeoutMs) continue;
      outage.triedAt = now;
      this.#options.probe(outage.key).then(
        () => this.answered(server),
        () => (outage.triedAt = null),
      );
    }
  }

  /** Nothing is away any more, as far as is known; what was logged is remembered. */
  forget(): void {
    this.#outages.clear();
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #factsOf(server: string): { readonly redis: string; readonly node?: string } {
    return { redis: this.#options.name, ...(server !== '' && { node: server }) };
  }
}
