import { LruMap } from '../upstream/lru-map.ts';
import { requestToken, type ServiceAccount } from './google-token.ts';

const maxTokens = 4096;
/** So often a failing token endpoint is asked again; callers in between get the last failure. */
const retryAfterMs = 1000;
const maxRenewAheadMs = 60_000;

/** How long a token is used, and how it is asked for. */
export interface TokenPolicy {
  /** Stop using a token so long before it expires. */
  readonly expireEarlySeconds: number;
  /** Never use one for longer than this; null: as long as it is valid. */
  readonly maxTtlSeconds: number | null;
  readonly verifyTls: boolean;
}

/**
 * ```
 *  granted             renewFrom      goodUntil
 *  |--- token as it is ---|--- token, ---|--- wait for a new one
 *                            renewed in the background
 * ```
 * Times are in ms since 1970.
 */
interface Entry {
  token: string;
  renewFrom: number;
  goodUntil: number;
  /** The grant under way, which everybody shares. */
  grant: Promise<string> | null;
  failure: unknown;
  retryFrom: number;
}

/** Access tokens of service accounts, each granted once and used until it is about to expire. */
export class GoogleTokens {
  readonly #entries = new LruMap<string, Entry>(maxTokens);
  readonly #now: () => number;

  /** @param now - Wall clock, in ms since 1970. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /**
   * @returns The token; at once if there is one that may be used.
   * @throws CredentialError, also as a rejection, when there is none to be had.
   */
  get(account: ServiceAccount, policy: TokenPolicy): string | Promise<string> {
    const entry = this.#entryOf(account, policy);
    const now = this.#now();
    const isGood = now < entry.goodUntil;
    if (isGood && now < entry.renewFrom) return entry.token;

    if (entry.grant === null && now >= entry.retryFrom) {
      entry.grant = this.#renew(entry, account, policy);
      // With a good token at hand nobody waits for this one; its failure is kept in the entry.
      entry.grant.catch(() => undefined);
    }
    if (isGood) return entry.token;
    if (entry.grant === null) throw entry.failure;
    return entry.grant;
  }

  #entryOf(account: ServiceAccount, policy: TokenPolicy): Entry {
    const key = `${account.digest} ${policy.expireEarlySeconds} ${policy.maxTtlSeconds} ${policy.verifyTls}`;
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const entry: Entry = { token: '', renewFrom: 0, goodUntil: 0, grant: null, failure: null, retryFrom: 0 };
    this.#entries.set(key, entry);
    return entry;
  }

  async #renew(entry: Entry, account: ServiceAccount, policy: TokenPolicy): Promise<string> {
    try {
      const options = { now: this.#now(), verifyTls: policy.verifyTls };
      const { token, expiresInSeconds } = await requestToken(account, options);
      const ttlMs = 1000 * usableSeconds(expiresInSeconds, policy);
      entry.token = token;
      entry.goodUntil = this.#now() + ttlMs;
      entry.renewFrom = entry.goodUntil - Math.min(maxRenewAheadMs, ttlMs / 10);
      return token;
    } catch (error) {
      entry.failure = error;
      entry.retryFrom = this.#now() + retryAfterMs;
      throw error;
    } finally {
      entry.grant = null;
    }
  }
}

/** At least a second, or an `expire_early_secs` beyond the token's life would mean a grant for every request. */
function usableSeconds(expiresInSeconds: number, policy: TokenPolicy): number {
  const seconds = expiresInSeconds - policy.expireEarlySeconds;
  return Math.max(1, Math.min(seconds, policy.maxTtlSeconds ?? Infinity));
}

/** The tokens of this worker. */
export const googleTokens = new GoogleTokens();
