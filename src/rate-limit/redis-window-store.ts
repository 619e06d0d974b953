import { hash } from 'node:crypto';
import type { Leak, LeakyBucket } from '../shared-memory/shared-counters.ts';
import type { RedisLink } from './redis-link.ts';
import { leakIntoBucket, readWindow, takeFromWindow } from './redis-script.ts';
import { WindowStoreError, type Take, type TakenWindow, type WindowState, type WindowStore } from './window-store.ts';

/** Windows and buckets in a Redis, exact for all gateways that use it: each decision is one script. */
export class RedisWindowStore implements WindowStore {
  readonly #link: RedisLink;

  constructor(link: RedisLink) {
    this.#link = link;
  }

  async read(key: string, windowMs: number): Promise<WindowState> {
    const [used, leftMs] = await this.#link.run({ script: readWindow, key: windowKey(key), args: [] });
    return toWindow(used, leftMs, windowMs);
  }

  async add(key: string, amount: number, windowMs: number): Promise<WindowState> {
    return this.take(key, { amount, limit: Infinity, windowMs });
  }

  async take(key: string, { amount, limit, windowMs }: Take): Promise<TakenWindow> {
    const args = [amount, limit === Infinity ? 'inf' : limit, Math.ceil(windowMs)];
    const [taken, used, leftMs] = await this.#link.run({ script: takeFromWindow, key: windowKey(key), args });
    return { taken: taken === 1, ...toWindow(used, leftMs, windowMs) };
  }

  async leak(key: string, { ratePerSecond, burst }: LeakyBucket): Promise<Leak> {
    const args = [ratePerSecond, burst];
    const [accepted, delay] = await this.#link.run({ script: leakIntoBucket, key: bucketKey(key), args });
    const delayMs = toNumber(delay);
    return { accepted: accepted === 1, delayMs, excess: (delayMs * ratePerSecond) / 1000 };
  }
}

function toWindow(used: unknown, leftMs: unknown, windowMs: number): WindowState {
  const left = toNumber(leftMs);
  return { used: toNumber(used), resetMs: left < 0 ? windowMs : left };
}

function toNumber(reply: unknown): number {
  const number = Number(reply);
  if (Number.isNaN(number)) throw new WindowStoreError(`expected a number of Redis, but it sent ${String(reply)}`);
  return number;
}

const windowKey = (key: string): string => `weir:${withoutRequest(key)}`;
const bucketKey = (key: string): string => `weir:${withoutRequest(key)}:bucket`;

/**
 * Plugin and resource, the first two parts of a key, can be read in Redis. Of the rest only a hash is written: what a
 * request brought may be a credential, or very long.
 */
function withoutRequest(key: string): string {
  const end = key.indexOf(':', key.indexOf(':') + 1) + 1;
  return key.slice(0, end) + hash('sha256', key.slice(end), 'base64url');
}
