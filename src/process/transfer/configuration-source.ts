import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { silentLog } from '../../base/log.ts';
import type { GatewayConfig } from '../../config/static/gateway-config.ts';
import { configProvider } from '../../config/static/role.ts';
import { LastGoodFile } from '../../config/store/last-good.ts';
import { CommandError, UsageError } from '../command-error.ts';
import { type GatewayPaths, readConfiguration, shippedConfiguration } from '../configuration.ts';
import { createEtcdClient, keyringOf } from '../open-store.ts';
import type { GatewayParts } from '../supervisor.ts';
import { AdminClient } from './admin-client.ts';
import { createFieldOpener, type FieldOpener } from './field-opener.ts';
import { readAdmin } from './read-admin.ts';
import { readDocumentFile } from './read-document-file.ts';
import { readEmbedded } from './read-embedded.ts';
import { readEtcd } from './read-etcd.ts';
import type { Reading } from './reading.ts';

/** Where to read from, as the command line says it. At most one of the first three. */
export interface SourceOptions {
  readonly fromAdmin?: string;
  /** URLs with commas between them. */
  readonly fromEtcd?: string;
  readonly fromYaml?: string;
  readonly fromKey?: string;
  readonly etcdPrefix?: string;
  readonly etcdUser?: string;
  readonly etcdPassword?: string;
  readonly etcdCa?: string;
  readonly etcdCert?: string;
  readonly etcdCertKey?: string;
  /** Keys with commas between them. */
  readonly keyring?: string;
}

/** The gateway that the command line names with -p and -c. */
export interface LocalGateway {
  readonly paths: GatewayPaths;
  readonly parts: Pick<GatewayParts, 'catalogue' | 'checkVars' | 'checkAccessLogFormat'>;
}

/**
 * Reads a configuration from where the options say, or else from the gateway's own store.
 *
 * @throws CommandError, ConfigFileError, StoreError: each has a message for the user.
 */
export async function readSource(options: SourceOptions, gateway: LocalGateway): Promise<Reading> {
  const { fromAdmin, fromEtcd, fromYaml, fromKey } = options;
  if ([fromAdmin, fromEtcd, fromYaml].filter((source) => source !== undefined).length > 1) {
    throw new UsageError('name one source: a file, --from-admin, --from-etcd or --from-yaml');
  }
  if (fromYaml !== undefined) return readDocumentFile(fromYaml);
  const config = withKeyring(localConfiguration(gateway), options.keyring);
  if (fromAdmin !== undefined) {
    return readAdmin(new AdminClient({ url: fromAdmin, key: fromKey }), createPrivateKeyOpener(config, gateway));
  }
  if (fromEtcd !== undefined) return readConfiguredEtcd(withEtcdOptions(config, options), gateway);
  return readOwnStore(config, gateway);
}

/** For what an Admin API tells: fields of plugins are decrypted there, private keys are not. */
export function createPrivateKeyOpener(config: GatewayConfig, { parts }: LocalGateway): FieldOpener {
  return createFieldOpener({ encryptFields: false, keyring: keyringOf(config), catalogue: parts.catalogue(undefined) });
}

/** config.yaml of the prefix; where there is none, its defaults. @throws ConfigFileError */
export function localConfiguration({ paths, parts }: LocalGateway): GatewayConfig {
  const shipped = { ...paths, configFile: fileURLToPath(shippedConfiguration) };
  return readConfiguration(existsSync(paths.configFile) ? paths : shipped, parts.checkAccessLogFormat).config;
}

async function readOwnStore(config: GatewayConfig, gateway: LocalGateway): Promise<Reading> {
  const { prefix } = gateway.paths;
  const provider = configProvider(config);
  if (provider === 'embedded') return readEmbedded(join(prefix, 'data', 'weir.db'));
  if (provider === 'etcd') return readConfiguredEtcd(config, gateway);
  if (config.deployment.role === 'data_plane') return readDocumentFile(join(prefix, 'conf', `apisix.${provider}`));
  const file = join(prefix, 'data', 'standalone.json');
  const kept = new LastGoodFile({ file, source: 'standalone', log: silentLog }).read();
  if (kept === null) throw new CommandError(`there is no configuration in ${file}`);
  return { items: kept.state.resources, problems: [], notes: [] };
}

function readConfiguredEtcd(config: GatewayConfig, { paths, parts }: LocalGateway): Promise<Reading> {
  return readEtcd({
    client: createEtcdClient(config, paths.prefix),
    prefix: config.deployment.etcd.prefix,
    encryptFields: config.apisix.data_encryption.enable_encrypt_fields,
    keyring: keyringOf(config),
    catalogue: parts.catalogue(undefined),
  });
}

function withKeyring(config: GatewayConfig, keyring: string | undefined): GatewayConfig {
  if (keyring === undefined) return config;
  const keys = keyring.split(',');
  if (keys.some((key) => ![16, 32].includes(Buffer.byteLength(key)))) {
    throw new UsageError('--keyring takes keys of 16 or 32 bytes with commas between them');
  }
  const { apisix } = config;
  return { ...config, apisix: { ...apisix, data_encryption: { ...apisix.data_encryption, keyring: keys } } };
}

/** What the command line says of etcd goes before what config.yaml says. */
function withEtcdOptions(config: GatewayConfig, options: SourceOptions): GatewayConfig {
  const { etcd } = config.deployment;
  const { fromEtcd = '', etcdPrefix, etcdUser, etcdPassword, etcdCa, etcdCert, etcdCertKey } = options;
  const host = fromEtcd.split(',').map((url) => url.trim());
  if (!host.every((url) => URL.canParse(url) && /^https?:\/\//.test(url))) {
    throw new UsageError('--from-etcd takes URLs with commas between them, such as http://10.0.0.1:2379');
  }
  return {
    ...config,
    apisix: {
      ...config.apisix,
      ssl: { ...config.apisix.ssl, ...(etcdCa !== undefined && { ssl_trusted_certificate: resolve(etcdCa) }) },
    },
    deployment: {
      ...config.deployment,
      etcd: {
        ...etcd,
        host,
        prefix: (etcdPrefix ?? etcd.prefix).replace(/\/+$/, ''),
        ...(etcdUser !== undefined && { user: etcdUser }),
        ...(etcdPassword !== undefined && { password: etcdPassword }),
        tls: {
          ...etcd.tls,
          ...(etcdCert !== undefined && { cert: resolve(etcdCert) }),
          ...(etcdCertKey !== undefined && { key: resolve(etcdCertKey) }),
        },
      },
    },
  };
}
