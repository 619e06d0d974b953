import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../../../base/log.ts';
import type { EtcdClient } from './etcd-client.ts';
import { EtcdError } from './etcd-error.ts';
import { type EtcdEntry, keyRange, toBase64, toEntry } from './etcd-keys.ts';
import { readRange } from './read-range.ts';

/** A change that etcd tells of. `entry` of a deletion has only its key and revision. */
export interface EtcdEvent {
  readonly deleted: boolean;
  readonly entry: EtcdEntry;
}

/** Times in ms. */
export interface EtcdTiming {
  /** How often an idle connection is tried, and how long its answer may take. */
  readonly heartbeatMs: number;
  readonly heartbeatTimeoutMs: number;
  /** First and longest pause before another try. */
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
}

export const defaultTiming: EtcdTiming = {
  heartbeatMs: 3000,
  heartbeatTimeoutMs: 3000,
  firstPauseMs: 50,
  longestPauseMs: 3000,
};

interface EtcdFollowerOptions {
  readonly client: EtcdClient;
  readonly prefix: string;
  readonly log: Log;
  readonly timing: EtcdTiming;
  /** Told of everything below the prefix: at first, and whenever events were missed. */
  readonly onLoad: (entries: readonly EtcdEntry[], revision: number) => void;
  /** Told of what changed since, in etcd's order; never of half a revision. */
  readonly onEvents: (events: readonly EtcdEvent[], revision: number) => void;
}

type Json = Readonly<Record<string, unknown>>;

/** How often a server that stays away is complained about. */
const reminderMs = 60_000;

/**
 * Follows a prefix of etcd: loads it, watches from that revision on, and comes back after every failure without losing a
 * change. A server that is there and does not answer counts as away.
 *
 * After a break everything is loaded anew. To watch on from the last revision would save that, and lose changes: an etcd that
 * was restored from a backup has another history under the same cluster id, and soon as many revisions.
 */
export class EtcdFollower {
  readonly #options: EtcdFollowerOptions;
  readonly #end = new AbortController();
  #isWatching = false;
  #pauseMs = 0;
  #wakeUp = new AbortController();
  #awaySince: number | null = null;
  #remindedAt = 0;

  constructor(options: EtcdFollowerOptions) {
    this.#options = options;
  }

  /** False from the first failure to follow etcd until it is followed again. */
  get isReachable(): boolean {
    return this.#awaySince === null;
  }

  /** Runs until {@link close}. */
  async run(): Promise<void> {
    const { client } = this.#options;
    while (!this.#end.signal.aborted) {
      try {
        await this.#findMember();
      } catch (error) {
        if (!this.#end.signal.aborted) this.#onFailure(error, '');
        await this.#pause();
        continue;
      }
      const { endpoint } = client;
      try {
        await this.#follow();
        throw new EtcdError(`etcd at ${endpoint}: it ended the watch`, {});
      } catch (error) {
        if (!this.#end.signal.aborted) this.#onFailure(error, endpoint);
      }
      await this.#pause();
    }
  }

  /** Does not wait any longer before the next try: somebody has just reached etcd. */
  wakeUp(): void {
    this.#wakeUp.abort();
  }

  close(): void {
    this.#end.abort(new Error('the store is closed'));
  }

  async #follow(): Promise<void> {
    const { client, prefix, onLoad, timing } = this.#options;
    const { entries, revision } = await readRange(client, prefix);
    onLoad(entries, revision);
    this.#isWatching = false;
    const startedAt = performance.now();
    const connection = new AbortController();
    const heartbeat = this.#beat(connection);
    try {
      await client.stream('watch', {
        body: { create_request: { ...keyRange(prefix), start_revision: String(revision + 1) } },
        onMessage: (message) => this.#onWatchMessage(message),
        signal: AbortSignal.any([connection.signal, this.#end.signal]),
      });
    } finally {
      connection.abort();
      await heartbeat;
      // Not as soon as it begins: where something cuts it at once, each turn loads everything.
      if (performance.now() - startedAt > timing.longestPauseMs) this.#pauseMs = 0;
    }
  }

  /** Goes to a member that answers: loading from one that hangs would take much longer to fail. */
  async #findMember(): Promise<void> {
    const { client, timing } = this.#options;
    await client.call('kv/range', this.#probe(), { timeoutMs: timing.heartbeatTimeoutMs });
  }

  #onWatchMessage(message: Json): void {
    const { created, canceled, cancel_reason, events } = message;
    if (canceled === true) {
      const reason = typeof cancel_reason === 'string' ? cancel_reason : 'it canceled the watch';
      throw new EtcdError(`etcd at ${this.#options.client.endpoint}: ${reason}`, {});
    }
    if (created === true) {
      this.#isWatching = true;
      this.#onBack();
    }
    if (!Array.isArray(events) || events.length === 0) return;
    const changes = events.map((event): EtcdEvent => {
      const { type, kv } = toObject(event);
      return { deleted: type === 'DELETE', entry: toEntry(kv) };
    });
    // They come in order.
    this.#options.onEvents(changes, changes.at(-1)?.entry.modRevision ?? 0);
  }

  /** Ends the connection when its member does not answer: a process that hangs keeps its sockets open. */
  async #beat(connection: AbortController): Promise<void> {
    const { client, timing } = this.#options;
    const signal = AbortSignal.any([connection.signal, this.#end.signal]);
    const { endpoint } = client;
    try {
      for (;;) {
        await delay(timing.heartbeatMs, undefined, { signal, ref: false });
        await client.call('kv/range', this.#probe(), { timeoutMs: timing.heartbeatTimeoutMs });
        if (client.endpoint !== endpoint) throw new EtcdError(`etcd at ${endpoint}: it does not answer`, {});
        // A proxy in between that collects answers would keep all changes to itself.
        if (!this.#isWatching) throw new EtcdError(`etcd at ${endpoint}: the watch does not begin`, {});
      }
    } catch (error) {
      if (!signal.aborted) connection.abort(error);
    }
  }

  /** The cheapest question that only a member with a working cluster can answer. */
  #probe(): Json {
    return { key: toBase64(`${this.#options.prefix}/`), count_only: true };
  }

  #onFailure(error: unknown, endpoint: string): void {
    const { client, log } = this.#options;
    // Also when it refuses something, such as a token that only another member knows.
    client.moveOn(endpoint);
    const { firstPauseMs, longestPauseMs } = this.#options.timing;
    this.#pauseMs = this.#pauseMs === 0 ? firstPauseMs : Math.min(this.#pauseMs * 2, longestPauseMs);
    const reason = error instanceof Error ? error.message : String(error);
    const now = Date.now();
    if (this.#awaySince === null) {
      this.#awaySince = now;
      this.#remindedAt = now;
      log.error('etcd cannot be followed; the configuration stays as it was, and it is tried again', { reason });
    } else if (now - this.#remindedAt >= reminderMs) {
      this.#remindedAt = now;
      log.error('etcd still cannot be followed', { reason, seconds: Math.round((now - this.#awaySince) / 1000) });
    }
  }

  #onBack(): void {
    if (this.#awaySince === null) return;
    const seconds = Math.round((Date.now() - this.#awaySince) / 1000);
    this.#awaySince = null;
    // A warning, because its counterpart is one that people see.
    this.#options.log.warn('etcd is followed again', { endpoint: this.#options.client.endpoint, seconds });
  }

  async #pause(): Promise<void> {
    this.#wakeUp = new AbortController();
    const signal = AbortSignal.any([this.#wakeUp.signal, this.#end.signal]);
    // A fleet whose etcd was restarted must not come back in the same instant.
    const jittered = this.#pauseMs * (0.5 + Math.random() / 2);
    await delay(jittered, undefined, { signal }).catch(() => {});
  }
}

function toObject(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {};
}
