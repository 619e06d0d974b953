import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Log } from '../base/log.ts';
import { createConnector, type Connector } from './connector.ts';
import { createResolver, type Resolver } from './resolver.ts';

/** The part of config.yaml that says which authorities upstreams are trusted by, and how long their names are believed. */
export interface NetworkConfig {
  readonly apisix: {
    /** A file, or `system` for no further authorities. */
    readonly ssl: { readonly ssl_trusted_certificate: string };
    /** In seconds. Not set: the resolver's own time. */
    readonly dns_resolver_valid?: number | undefined;
  };
}

interface NetworkOptions {
  /** Relative paths of config.yaml lie under it. */
  readonly prefix: string;
  /** `weir.connect_to`: `host:port` -> `host:port` to connect to instead. */
  readonly connectTo: Readonly<Record<string, string>>;
  readonly log: Log;
}

/** How upstreams are reached. */
interface Network {
  readonly resolver: Resolver;
  readonly connector: Connector;
}

/** @throws Error when the certificates cannot be read, or `connectTo` cannot be understood. */
export function createNetwork(config: NetworkConfig, { prefix, connectTo, log }: NetworkOptions): Network {
  const { dns_resolver_valid: validSeconds } = config.apisix;
  const trustedCa = readTrustedCa(config, prefix);
  const resolver = createResolver({ log, ...(validSeconds !== undefined && { ttlMs: validSeconds * 1000 }) });
  const connector = createConnector({
    resolver,
    connectTo: new Map(Object.entries(connectTo)),
    ...(trustedCa !== undefined && { trustedCa }),
    log,
  });
  return { resolver, connector };
}

/**
 * Reads the authorities that are trusted beside those of Node and of the operating system.
 *
 * @returns PEM; undefined: there are no others.
 * @throws Error of the system when there is no such file.
 */
export function readTrustedCa({ apisix: { ssl } }: NetworkConfig, prefix: string): string | undefined {
  if (ssl.ssl_trusted_certificate === 'system') return undefined;
  return readFileSync(resolve(prefix, ssl.ssl_trusted_certificate), 'utf8');
}
