import { createSecureContext } from 'node:tls';
import { type ConfigPath, type ConfigSource, configError } from './config-source.ts';
import type { GatewayConfig } from './gateway-config.ts';
import { listensCollide, type NodeListen, toNodeListens, toTlsListens } from './listen.ts';
import { configProvider, servesAdmin, servesClients } from './role.ts';
import { toBytes } from './size-and-time.ts';
import { toTlsVersions } from './tls-versions.ts';

/** The admin key that APISIX published as its default for years. https://nvd.nist.gov/vuln/detail/CVE-2020-13945 */
const publishedAdminKey = 'edd1c9f034335f136f87ad84b625c8f1';

const keyringPath = ['apisix', 'data_encryption', 'keyring'];
/** Below, a few hundred clients would fill it; above, a typing error is more probable than a wish. */
const sharedCountersBytes = { min: 64 * 1024, max: 4 * 1024 ** 3 };

type Warn = (path: ConfigPath, message: string) => void;

/**
 * Checks what no schema can say: rules between keys.
 *
 * @throws ConfigFileError when the gateway could not start or would be unsafe with it.
 */
export function checkConfig(source: ConfigSource, config: GatewayConfig, warn: Warn): void {
  checkListens(source, config);
  checkAdminKeys(source, config, warn);
  checkStore(source, config, warn);
  checkSharedCounters(source, config);
  checkBuckets(source, config);
  checkTls(source, config);
}

function checkListens(source: ConfigSource, config: GatewayConfig): void {
  const { enable_control, control, node_listen, ssl, status } = config.apisix;
  const seen: NodeListen[] = [];
  for (const [index, listen] of toNodeListens(node_listen).entries()) {
    const path = ['apisix', 'node_listen', ...(typeof node_listen === 'number' ? [] : [index])];
    if (seen.some((other) => listensCollide(listen, other))) {
      throw configError(source, path, {
        expected: 'each address and port once',
        got: `${listen.ip}:${listen.port} again`,
      });
    }
    seen.push(listen);
  }
  for (const [index, listen] of toTlsListens(ssl).entries()) {
    if (seen.some((other) => listensCollide(listen, other))) {
      const problem = { expected: 'a port that nothing else here uses', got: `${listen.ip}:${listen.port}` };
      throw configError(source, ['apisix', 'ssl', 'listen', index, 'port'], problem);
    }
    seen.push(listen);
  }
  const admin = config.deployment.admin.admin_listen;
  if (servesAdmin(config) && servesClients(config) && seen.some((listen) => listensCollide(admin, listen))) {
    const problem = { expected: 'a port that apisix.node_listen does not use', got: `${admin.ip}:${admin.port}` };
    throw configError(source, ['deployment', 'admin', 'admin_listen', 'port'], problem);
  }
  if (servesAdmin(config)) seen.push(admin);
  if (enable_control && seen.some((listen) => listensCollide(control, listen))) {
    const problem = { expected: 'a port that nothing else here uses', got: `${control.ip}:${control.port}` };
    throw configError(source, ['apisix', 'control', 'port'], problem);
  }
  if (enable_control) seen.push(control);
  if (status !== undefined && seen.some((listen) => listensCollide(status, listen))) {
    const problem = { expected: 'a port that nothing else here uses', got: `${status.ip}:${status.port}` };
    throw configError(source, ['apisix', 'status', 'port'], problem);
  }
}

function checkTls(source: ConfigSource, { apisix: { ssl } }: GatewayConfig): void {
  const versions = toTlsVersions(ssl.ssl_protocols);
  if (versions === null) {
    const problem = {
      expected: 'TLSv1.1, TLSv1.2 and TLSv1.3, with spaces between',
      got: JSON.stringify(ssl.ssl_protocols),
    };
    throw configError(source, ['apisix', 'ssl', 'ssl_protocols'], problem);
  }
  try {
    createSecureContext({ ciphers: ssl.ssl_ciphers });
  } catch {
    const problem = { expected: 'ciphers in the notation of OpenSSL', got: JSON.stringify(ssl.ssl_ciphers) };
    throw configError(source, ['apisix', 'ssl', 'ssl_ciphers'], problem);
  }
}

function checkBuckets(source: ConfigSource, { plugin_attr: { prometheus } }: GatewayConfig): void {
  for (const field of [
    'default_buckets',
    'llm_latency_buckets',
    'llm_prompt_tokens_buckets',
    'llm_completion_tokens_buckets',
  ] as const) {
    const bounds = prometheus[field];
    if (bounds.every((bound, index) => index === 0 || bound > (bounds[index - 1] ?? bound))) continue;
    throw configError(source, ['plugin_attr', 'prometheus', field], {
      expected: 'rising numbers',
      got: JSON.stringify(bounds),
    });
  }
}

function checkSharedCounters(source: ConfigSource, { weir: { shared_counters } }: GatewayConfig): void {
  const bytes = toBytes(shared_counters);
  if (bytes >= sharedCountersBytes.min && bytes <= sharedCountersBytes.max) return;
  throw configError(source, ['weir', 'shared_counters'], {
    expected: 'a size from 64k to 4g',
    got: JSON.stringify(shared_counters),
  });
}

function checkAdminKeys(source: ConfigSource, config: GatewayConfig, warn: Warn): void {
  const seen = new Set<string>();
  for (const [index, { key }] of config.deployment.admin.admin_key.entries()) {
    const path = ['deployment', 'admin', 'admin_key', index, 'key'];
    if (key === '' && index > 0) {
      throw configError(source, path, {
        expected: 'a key (only that of the first entry may be left empty)',
        got: '""',
      });
    }
    if (seen.has(key))
      throw configError(source, path, { expected: 'another key for each entry', got: 'one that is taken' });
    seen.add(key);
    if (key === publishedAdminKey) {
      warn(
        path,
        'THIS ADMIN KEY IS PUBLIC: it was the default of APISIX for years, and whoever reaches the Admin API can use it. Replace it, or leave it empty to have one generated',
      );
    }
  }
  const { admin_key_required, allow_admin } = config.deployment.admin;
  if (servesAdmin(config) && !admin_key_required && allow_admin === null) {
    warn(
      ['deployment', 'admin', 'admin_key_required'],
      'the Admin API asks for no key and allow_admin lets everybody in: whoever reaches it can change everything',
    );
  }
}

function checkStore(source: ConfigSource, config: GatewayConfig, warn: Warn): void {
  const { etcd } = config.deployment;
  const provider = configProvider(config);
  if (provider !== 'etcd') {
    if (source.document.hasIn(['deployment', 'etcd'])) {
      warn(
        ['deployment', 'etcd'],
        `it has no effect, because the config_provider of the role ${config.deployment.role} is ${provider}, not etcd`,
      );
    }
    return;
  }
  for (const [one, other] of [
    ['cert', 'key'],
    ['key', 'cert'],
  ] as const) {
    if (etcd.tls[one] !== undefined && etcd.tls[other] === undefined) {
      const path = ['deployment', 'etcd', 'tls', other];
      throw configError(source, path, { expected: `a file, because tls.${one} is given`, got: 'nothing' });
    }
  }
  if (config.apisix.data_encryption.enable_encrypt_fields && !source.document.hasIn(keyringPath)) {
    warn(
      keyringPath,
      'credentials in etcd are encrypted with the keys that APISIX publishes: whoever reads etcd can read them',
    );
  }
  if (etcd.user !== undefined && etcd.password === undefined) {
    const problem = { expected: 'a password, because user is given', got: 'nothing' };
    throw configError(source, ['deployment', 'etcd', 'password'], problem);
  }
}
