import { hash } from 'node:crypto';
import type { PolicyConf } from './policy-schema.ts';

/**
 * What the keys of a plugin's counters begin with, so that a changed configuration begins to count anew.
 *
 * Gateways with the same configuration share counters in a Redis, in whatever order its members were written.
 *
 * @param owner - The resource in whose `plugins` the configuration stands.
 * @param conf - Its credentials do not matter: a new password resets no limit, and the hash tells nothing about it.
 */
export function counterScope(plugin: string, owner: string, conf: PolicyConf): string {
  const { redis_password: _redis, sentinel_password: _sentinel, ...rest } = conf;
  return `${plugin}:${owner}:${hash('sha256', JSON.stringify(rest, withSortedKeys)).slice(0, 16)}`;
}

function withSortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
