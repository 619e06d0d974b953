import type { Log } from '../base/log.ts';
import { policyFields, type PolicyConf } from './policy-schema.ts';
import { redisServer, type ReadTrustedCa } from './redis-client.ts';
import { RedisLink } from './redis-link.ts';
import { RedisWindowStore } from './redis-window-store.ts';
import type { WindowStore } from './window-store.ts';

interface WindowStoresOptions {
  /** The store of the policy `local`. */
  readonly local: WindowStore;
  readonly trustedCa: ReadTrustedCa;
  readonly log: Log;
}

/** What decides whether two configurations mean the same connection. */
const connectionFields = (Object.keys(policyFields) as (keyof PolicyConf)[]).filter(
  (name) => name !== 'allow_degradation',
);

/** The stores of a worker. Configurations with the same settings have the same one, and with it its connections. */
export class WindowStores {
  readonly #options: WindowStoresOptions;
  // Nobody tells when a configuration is gone. Its connections close when they are not used, and what stays is small.
  readonly #links = new Map<string, RedisLink>();

  constructor(options: WindowStoresOptions) {
    this.#options = options;
  }

  /** @param conf - Has passed `checkPolicy`. */
  get(conf: PolicyConf): WindowStore {
    if (conf.policy === 'local') return this.#options.local;
    const identity = JSON.stringify(connectionFields.map((name) => conf[name]));
    let link = this.#links.get(identity);
    if (link === undefined) {
      link = new RedisLink(redisServer(conf, this.#options.trustedCa), this.#options.log);
      this.#links.set(identity, link);
    }
    return new RedisWindowStore(link);
  }

  /** Ends all connections. What is asked from now on fails. */
  close(): void {
    for (const link of this.#links.values()) link.close();
  }
}
