import type { Log } from '../base/log.ts';
import { RepeatedLog } from '../base/repeated-log.ts';

/** Why a server is not asked. */
interface OutageCause {
  /** What the server is tried with: it must lie on it. */
  readonly key: string;
  readonly reason: string;
  /** It may answer, but does not count: only what it has written proves that it does again. */
  readonly refusesWrites: boolean;
}

interface Outage extends OutageCause {
  /** `performance.now()` when the attempt began that is still open; null: none is. */
  triedAt: number | null;
}

interface OutagesOptions {
  /** What is logged of the Redis: without credentials. */
  readonly name: string;
  /** Asks for a key, or writes to it, without changing anything. Rejects when the server cannot be asked. */
  readonly probe: (key: string, refusesWrites: boolean) => Promise<unknown>;
  readonly log: Log;
}

const probeIntervalMs = 200;
/** By then the connection itself has been given up, and an attempt over another one can be made. */
const probeTimeoutMs = 2000;
const failureMessage = 'a Redis with counters of rate limits fails';

/**
 * The servers of a Redis that are away, so that nobody waits for them: they are tried in the background until they answer.
 * Every change is logged once, however many calls fail.
 */
export class Outages {
  readonly #options: OutagesOptions;
  readonly #refusalLog: RepeatedLog;
  readonly #outages = new Map<string, Outage>();
  /** Servers whose failure was logged and whose return was not. */
  readonly #failing = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: OutagesOptions) {
    this.#options = options;
    this.#refusalLog = new RepeatedLog(options.log);
  }

  /** Why a server is not to be asked; undefined: it may be. */
  reasonFor(server: string): string | undefined {
    return this.#outages.size === 0 ? undefined : this.#outages.get(server)?.reason;
  }

  begin(server: string, cause: OutageCause): void {
    this.failed(server, cause.reason);
    if (this.#outages.has(server)) return;
    this.#outages.set(server, { ...cause, triedAt: null });
    this.#timer ??= setInterval(() => this.probe(), probeIntervalMs).unref();
  }

  /** A call failed, in a way that says nothing about the next one. */
  failed(server: string, reason: string): void {
    if (this.#failing.has(server)) return;
    this.#failing.add(server);
    this.#options.log.error(failureMessage, { ...this.#factsOf(server), reason });
  }

  /** A call failed, in a way that says nothing about calls for other keys. */
  refused(server: string, reason: string): void {
    if (this.#failing.has(server) || this.#failing.has('')) return;
    this.#refusalLog.write(server, {
      level: 'error',
      message: failureMessage,
      fields: { ...this.#factsOf(server), reason },
    });
  }

  /** A call succeeded. */
  answered(server: string, hasWritten: boolean): void {
    if (this.#failing.size === 0) return;
    // Where one node answers, the cluster as a whole can be reached.
    for (const each of server === '' ? [''] : [server, '']) {
      if (this.#outages.get(each)?.refusesWrites === true && !hasWritten) continue;
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
      this.#options.probe(outage.key, outage.refusesWrites).then(
        () => this.answered(server, outage.refusesWrites),
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
