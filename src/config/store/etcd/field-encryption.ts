import { createCipheriv, createDecipheriv } from 'node:crypto';
import { changeAt, type Change } from '../../change-at.ts';
import { encryptedFields, type PluginCatalogue } from '../../plugin-catalogue.ts';
import type { ValueCodec } from '../last-good.ts';

type Value = Readonly<Record<string, unknown>>;

interface FieldEncryptionOptions {
  /** Whether fields of plugins are encrypted; keys of certificates always are. */
  readonly encryptFields: boolean;
  /** Keys of 16 or 32 bytes: the first one encrypts, all are tried to decrypt. */
  readonly keyring: readonly string[];
  readonly catalogue: PluginCatalogue;
  /** Told of the resource for each text in it that looks encrypted and that no key opens, when values are decrypted. */
  readonly onUnopened?: (kind: string, value: Value) => void;
}

/** Private keys in PEM format, which APISIX encrypts whatever `enable_encrypt_fields` says. */
const privateKeys: Readonly<Record<string, readonly string[]>> = {
  ssls: ['key', 'keys'],
  upstreams: ['tls.client_key'],
  routes: ['upstream.tls.client_key'],
  services: ['upstream.tls.client_key'],
};

/** Kinds whose plugins recognize a consumer. */
const consumerKinds: ReadonlySet<string> = new Set(['consumers', 'credentials']);

const pemStart = '---';

/**
 * Encrypts the credentials of resources as APISIX does in etcd, so that both can read them: AES-CBC with the key as its
 * own initialization vector (of 32 bytes the first 16), in base64. Which fields, say `encrypt_fields` of the plugins' schemas.
 * Resources of the kind `secrets` are not encrypted, there neither.
 * https://apisix.apache.org/docs/apisix/plugin-develop/#encrypted-storage-fields
 * https://github.com/apache/apisix/blob/master/apisix/core/data_encryption.lua
 */
export function createFieldEncryption(options: FieldEncryptionOptions): ValueCodec {
  const { encryptFields, keyring, catalogue, onUnopened = () => {} } = options;
  const [first = ''] = keyring;
  const encryptPem: Change = (text) => (text.startsWith(pemStart) ? encrypt(text, first) : text);

  function convert(kind: string, value: Value, changes: { fields: Change; pem: Change }): Value {
    let converted = value;
    for (const path of privateKeys[kind] ?? []) converted = changeAt(converted, path.split('.'), changes.pem);
    const { plugins } = converted;
    if (!encryptFields || !isObject(plugins)) return converted;
    const entries = Object.entries(plugins).map(([name, conf]): [string, unknown] => [
      name,
      encryptedFields(catalogue.get(name), consumerKinds.has(kind) ? 'consumer' : 'route').reduce(
        (changed, path) => changeAt(changed, path.split('.'), changes.fields),
        conf,
      ),
    ]);
    return { ...converted, plugins: Object.fromEntries(entries) };
  }

  return {
    encode: (kind, value) => convert(kind, value, { fields: (text) => encrypt(text, first), pem: encryptPem }),
    decode: (kind, value) => {
      const decryptField: Change = (text) => decrypt(text, keyring, () => onUnopened(kind, value));
      const decryptPem: Change = (text) => (text.startsWith(pemStart) ? text : decryptField(text));
      return convert(kind, value, { fields: decryptField, pem: decryptPem });
    },
  };
}

function encrypt(text: string, key: string): string {
  const cipher = createCipheriv(algorithmOf(key), key, initializationVectorOf(key));
  return Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]).toString('base64');
}

/** The text as it is when no key opens it: it was stored before encryption was switched on. */
function decrypt(text: string, keyring: readonly string[], onUnopened: () => void): string {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length === 0 || bytes.length % 16 !== 0 || bytes.toString('base64') !== text) return text;
  for (const key of keyring) {
    try {
      const decipher = createDecipheriv(algorithmOf(key), key, initializationVectorOf(key));
      const opened = Buffer.concat([decipher.update(bytes), decipher.final()]);
      // With a wrong key the padding is right once in 256 times; text in UTF-8 it then is not.
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(opened);
    } catch {
      // Another key, or no ciphertext.
    }
  }
  onUnopened();
  return text;
}

function algorithmOf(key: string): string {
  return Buffer.byteLength(key) === 32 ? 'aes-256-cbc' : 'aes-128-cbc';
}

/** AES takes a vector of 16 bytes, whatever the length of the key. */
function initializationVectorOf(key: string): Buffer {
  return Buffer.from(key).subarray(0, 16);
}

function isObject(value: unknown): value is Value {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
