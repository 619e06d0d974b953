import type { LookupAddress } from 'node:dns';
import { lookup as systemLookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Log } from '../base/log.ts';
import { LruMap } from './lru-map.ts';

/** Asks for all addresses of a name; rejects with an error that has a `code` (`ENOTFOUND`, `EAI_AGAIN`, …). */
export type Lookup = (host: string) => Promise<readonly LookupAddress[]>;

export interface ResolverOptions {
  readonly log: Log;
  /** Default: the operating system's resolver. */
  readonly lookup?: Lookup;
  /** Names remembered at most, default 1000; the least recently used goes first. */
  readonly maxEntries?: number;
  /** How long an answer is fresh, default 30 s. */
  readonly ttlMs?: number;
  /** How long a failed lookup is not repeated, default 1 s. */
  readonly negativeTtlMs?: number;
  /** How old an answer may be and still serve while lookups fail, default 10 min. */
  readonly maxStaleMs?: number;
}

export interface Resolver {
  /**
   * All addresses of a host, at least one, in the order of preference of the operating system.
   * Rejects with the lookup's error (`code` `ENOTFOUND`, `ENODATA`, `EAI_AGAIN`, …).
   */
  resolve(host: string): Promise<readonly LookupAddress[]>;
}

interface Entry {
  readonly host: string;
  /** The last good answer, null before the first. */
  addresses: readonly LookupAddress[] | null;
  answeredAt: number;
  /** Why the last lookup failed, null when it did not. */
  failure: unknown;
  nextLookupAt: number;
  /** The one lookup that is under way for this name. */
  pending: Promise<readonly LookupAddress[]> | null;
}

const loopback: readonly LookupAddress[] = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
];

/**
 * Turns names into addresses and remembers the answers.
 *
 * It asks getaddrinfo rather than speaking DNS itself, because only getaddrinfo sees /etc/hosts, nsswitch.conf and the search
 * domains that short Kubernetes names depend on. The price: the record's TTL is not known, hence a fixed time (as `valid` of
 * nginx's `resolver`), and each lookup occupies a libuv thread, hence at most one lookup per name at a time.
 *
 * Life of an answer: up to `ttlMs` it is served as it is; up to twice that it is still served while a lookup renews it; older, the
 * caller waits for the lookup. Once a lookup has failed, the old answer serves on until `maxStaleMs`, and the log says so.
 * IP literals and `localhost` need no lookup.
 */
export function createResolver(options: ResolverOptions): Resolver {
  const { log, lookup = lookupAll, maxEntries = 1000 } = options;
  const { ttlMs = 30_000, negativeTtlMs = 1000, maxStaleMs = 600_000 } = options;
  const names = new LruMap<string, Entry>(maxEntries);

  function resolve(host: string): Promise<readonly LookupAddress[]> {
    const family = isIP(host);
    if (family !== 0) return Promise.resolve([{ address: host, family }]);
    if (host === 'localhost') return Promise.resolve(loopback);

    const entry = entryFor(host);
    const now = performance.now();
    if (entry.pending === null && now >= entry.nextLookupAt) startLookup(entry);
    if (entry.addresses !== null) {
      const age = now - entry.answeredAt;
      // While lookups fail, waiting for the next one would delay every connection by the name server's own timeout.
      const serveAnyway = entry.failure !== null && age < maxStaleMs;
      if (age < 2 * ttlMs || serveAnyway) return Promise.resolve(entry.addresses);
    }
    return entry.pending ?? Promise.reject(entry.failure);
  }

  function entryFor(host: string): Entry {
    let entry = names.get(host);
    if (entry === undefined) {
      entry = { host, addresses: null, answeredAt: 0, failure: null, nextLookupAt: 0, pending: null };
      names.set(host, entry);
    }
    return entry;
  }

  function startLookup(entry: Entry): void {
    entry.pending = renew(entry);
    // Nobody may be waiting: the failure of a renewal in the background must not become an unhandled rejection.
    entry.pending.catch(() => {});
  }

  async function renew(entry: Entry): Promise<readonly LookupAddress[]> {
    try {
      const addresses = await lookup(entry.host);
      if (addresses.length === 0) throw Object.assign(new Error(`${entry.host} has no address`), { code: 'ENODATA' });
      return accept(entry, addresses);
    } catch (error) {
      return endure(entry, error);
    } finally {
      entry.pending = null;
    }
  }

  function accept(entry: Entry, addresses: readonly LookupAddress[]): readonly LookupAddress[] {
    if (entry.failure !== null && entry.addresses !== null) log.notice(`${entry.host} resolves again`);
    entry.addresses = addresses;
    entry.answeredAt = performance.now();
    entry.failure = null;
    entry.nextLookupAt = entry.answeredAt + ttlMs;
    return addresses;
  }

  function endure(entry: Entry, error: unknown): readonly LookupAddress[] {
    const now = performance.now();
    const firstFailure = entry.failure === null;
    entry.failure = error;
    entry.nextLookupAt = now + negativeTtlMs;
    if (entry.addresses === null || now - entry.answeredAt >= maxStaleMs) throw error;
    if (firstFailure) {
      log.warn(`${entry.host} does not resolve any more; its last known addresses are used for the time being`, {
        error: error instanceof Error ? error.message : String(error),
        addresses: entry.addresses.map(({ address }) => address),
      });
    }
    return entry.addresses;
  }

  return { resolve };
}

function lookupAll(host: string): Promise<readonly LookupAddress[]> {
  return systemLookup(host, { all: true, order: 'verbatim' });
}
