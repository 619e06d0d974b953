import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** A key of the Admin API. An empty `key` opens nothing. */
export interface AdminKey {
  readonly name: string;
  readonly key: string;
  /** `viewer` may only GET. */
  readonly role: 'admin' | 'viewer';
}

/** Who is asking: taken from the query, the headers and the method of the request. */
interface Claim {
  readonly method: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
}

/**
 * Prepares the check of API keys. The key is looked for in the query (`api_key`), the header `X-API-KEY` and the cookie
 * `x_api_key`; the first one found counts.
 *
 * @returns A function that answers `null` for a request that may go on, else APISIX's `description` of the refusal.
 */
export function createAuthorizer(keys: readonly AdminKey[]): (claim: Claim) => string | null {
  const known = keys.filter(({ key }) => key !== '').map(({ key, role }) => ({ digest: digest(key), role }));
  return ({ method, query, headers }) => {
    const given = query.get('api_key') ?? headers['x-api-key'] ?? cookie(headers.cookie, 'x_api_key');
    if (given === undefined) return 'missing apikey';
    const givenDigest = digest(String(given));
    // Every key is compared, in constant time, so that timing tells nothing about any of them.
    const matching = known.filter((row) => timingSafeEqual(row.digest, givenDigest))[0];
    if (matching === undefined) return 'wrong apikey';
    if (matching.role === 'viewer' && method !== 'GET') return 'invalid method for role viewer';
    return null;
  };
}

/** Equal length for all keys, which `timingSafeEqual` asks for. */
function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

function cookie(header: string | undefined, name: string): string | undefined {
  for (const pair of header?.split(';') ?? []) {
    const equals = pair.indexOf('=');
    if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
  }
  return undefined;
}
