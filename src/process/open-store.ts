import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { join, resolve } from 'node:path';
import type { Log } from '../base/log.ts';
import type { PluginCatalogue } from '../config/plugin-catalogue.ts';
import { resources } from '../config/resources.ts';
import type { GatewayConfig } from '../config/static/gateway-config.ts';
import { configProvider } from '../config/static/role.ts';
import { openEmbeddedStore } from '../config/store/embedded.ts';
import { EtcdClient, type EtcdTls } from '../config/store/etcd/etcd-client.ts';
import { openEtcdStore } from '../config/store/etcd/etcd-store.ts';
import { createFieldEncryption } from '../config/store/etcd/field-encryption.ts';
import { LastGoodFile } from '../config/store/last-good.ts';
import { createResourceCheck } from '../config/store/resource-check.ts';
import { openStandaloneApi, type StandaloneConfigs } from '../config/store/standalone-api.ts';
import { openStandaloneFile } from '../config/store/standalone-file.ts';
import { StoreError, type WritableStore } from '../config/store/store.ts';

interface OpenStoreOptions {
  readonly config: GatewayConfig;
  /** Absolute path: `data/` and `conf/` lie under it. */
  readonly prefix: string;
  /** The plugins that may be used, given the list of config.yaml (undefined: all). */
  readonly catalogue: (enabled: readonly string[] | undefined) => PluginCatalogue;
  /** Checks a `vars` expression of a route: `null`, or what is wrong. */
  readonly checkVars: (vars: unknown) => string | null;
  readonly log: Log;
}

export interface OpenedStore {
  readonly store: WritableStore;
  /** The configuration as a whole, when that is how this gateway takes it. */
  readonly configs?: StandaloneConfigs;
}

/**
 * Opens the store that `deployment.role` and its `config_provider` choose. Resolves when there is a configuration to serve,
 * which may be the last good one of an earlier run; without any it waits for the store, and says so in the log.
 *
 * @throws StoreError when it can never be opened.
 */
export async function openStore(options: OpenStoreOptions): Promise<OpenedStore> {
  const { config, prefix, log, checkVars } = options;
  const catalogue = options.catalogue(config.plugins);
  const check = createResourceCheck({ resources, catalogue, checkVars, log });
  const provider = configProvider(config);
  const lastGoodFile = join(prefix, 'data', 'last-good.json');
  if (provider === 'embedded') {
    return { store: await openEmbeddedStore({ file: join(prefix, 'data', 'weir.db'), log }) };
  }
  if (provider === 'etcd') return { store: await openEtcd({ config, prefix, log, check, catalogue, lastGoodFile }) };
  if (config.deployment.role === 'traditional') {
    const kept = new LastGoodFile({ file: join(prefix, 'data', 'standalone.json'), source: 'standalone', log });
    return openStandaloneApi({ check, kept, log });
  }
  const file = join(prefix, 'conf', `apisix.${provider}`);
  const lastGood = new LastGoodFile({ file: lastGoodFile, source: `apisix.${provider}`, log });
  return {
    store: await openStandaloneFile({ file, format: provider, check, environment: process.env, lastGood, log }),
  };
}

/** Says so when a new config.yaml asks for another store than the one that is open, which only a restart can give. */
export function warnAboutOtherStore(log: Log, open: GatewayConfig, wanted: GatewayConfig): void {
  if (isDeepStrictEqual(storeSettings(open), storeSettings(wanted))) return;
  log.warn(
    'deployment.role, its config_provider, deployment.etcd or apisix.data_encryption changed: the store stays as it is until a restart',
  );
}

function storeSettings({ apisix, deployment }: GatewayConfig): unknown {
  const { admin: _, ...store } = deployment;
  return [store, apisix.data_encryption];
}

function openEtcd(options: {
  readonly config: GatewayConfig;
  readonly prefix: string;
  readonly log: Log;
  readonly check: ReturnType<typeof createResourceCheck>;
  readonly catalogue: PluginCatalogue;
  readonly lastGoodFile: string;
}): Promise<WritableStore> {
  const { config, log, check, catalogue } = options;
  const { prefix } = config.deployment.etcd;
  const { enable_encrypt_fields: encryptFields } = config.apisix.data_encryption;
  let hasWarned = false;
  const onUnopened = (kind: string, { id, username }: Readonly<Record<string, unknown>>): void => {
    if (hasWarned) return;
    hasWarned = true;
    log.warn(
      'a credential in etcd looks encrypted, and no key of apisix.data_encryption.keyring opens it: it is used as it is, like others that this does not name',
      { resource: kind, id: id ?? username },
    );
  };
  const codec = createFieldEncryption({ encryptFields, keyring: keyringOf(config), catalogue, onUnopened });
  const client = createEtcdClient(config, options.prefix);
  const lastGood = new LastGoodFile({ file: options.lastGoodFile, source: `etcd ${prefix}`, log, codec });
  return openEtcdStore({ client, prefix, codec, check, lastGood, log });
}

/**
 * A client of the cluster in `deployment.etcd`.
 *
 * @param prefix - Folder that relative paths lie under.
 * @throws StoreError when a certificate cannot be read.
 */
export function createEtcdClient(config: GatewayConfig, prefix: string): EtcdClient {
  const { host, timeout, user, password } = config.deployment.etcd;
  return new EtcdClient({
    endpoints: host,
    timeoutMs: timeout * 1000,
    user: user === undefined || password === undefined ? undefined : { name: user, password },
    tls: readTls(prefix, config),
  });
}

/** The keys of `apisix.data_encryption.keyring`. */
export function keyringOf({ apisix }: GatewayConfig): readonly string[] {
  const { keyring } = apisix.data_encryption;
  return typeof keyring === 'string' ? [keyring] : keyring;
}

function readTls(prefix: string, { apisix, deployment }: GatewayConfig): EtcdTls {
  const { cert, key, verify, sni } = deployment.etcd.tls;
  const { ssl_trusted_certificate } = apisix.ssl;
  const read = (setting: string, path: string): Buffer => {
    try {
      return readFileSync(resolve(prefix, path));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new StoreError('unavailable', `${setting}: the file cannot be read: ${reason}`, { cause: error });
    }
  };
  return {
    verify,
    servername: sni,
    ca:
      ssl_trusted_certificate === 'system'
        ? undefined
        : read('apisix.ssl.ssl_trusted_certificate', ssl_trusted_certificate),
    cert: cert === undefined ? undefined : read('deployment.etcd.tls.cert', cert),
    key: key === undefined ? undefined : read('deployment.etcd.tls.key', key),
  };
}
