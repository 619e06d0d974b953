import { isIP } from 'node:net';
import type { Pool, PoolKey, Pools } from '../upstream/pool.ts';

/** Finds the pool for requests with this Host header. */
export type PoolByName = (hostHeader: string) => Pool;

/**
 * The pools of one node. Without TLS there is one. With TLS the node is asked, as by APISIX, for the name in the Host
 * header: connections for different names are never mixed up, because an upstream may show each another certificate.
 */
export function createNodePools(pools: Pools, key: PoolKey): PoolByName {
  if (key.origin.scheme === 'http') {
    const pool = pools.get(key);
    return () => pool;
  }
  let latest: { readonly hostHeader: string; readonly pool: Pool } | null = null;
  return (hostHeader) => {
    // Names that clients make up may have pushed it out.
    if (latest?.hostHeader === hostHeader && !latest.pool.closed) return latest.pool;
    const servername = nameIn(hostHeader);
    const pool = pools.getNamed(servername === '' ? key : { ...key, servername });
    latest = { hostHeader, pool };
    return pool;
  };
}

/** The host without its port; '' for one that TLS has no name for. */
function nameIn(hostHeader: string): string {
  const name = hostHeader.replace(/:\d*$/, '').toLowerCase();
  return isIP(name) !== 0 || !/^[0-9a-z._-]+$/.test(name) ? '' : name;
}
