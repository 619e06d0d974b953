import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { describe, test } from 'node:test';
import type { PluginCatalogue, PluginConfiguration, PluginSpec } from '../../plugin-catalogue.ts';
import { createFieldEncryption } from './field-encryption.ts';

const schema = { encrypt_fields: ['auth.header', 'instances.auth.aws.secret_access_key', 'keys', 'token'] };
const consumer: PluginConfiguration = {
  schema: { encrypt_fields: ['key'] },
  check: () => null,
  withDefaults: (conf) => conf,
};
const spec: PluginSpec = {
  name: 'p',
  priority: 1,
  version: 1,
  summary: '',
  schema,
  check: () => null,
  consumer,
  metadata: null,
  credentialKey: null,
};
const catalogue: PluginCatalogue = { get: (name) => (name === 'p' ? spec : undefined), names: () => ['p'] };
const keyring = ['qeddd145sfvddff3', 'edd1c9f0985e76a2'];
const codec = createFieldEncryption({ encryptFields: true, keyring, catalogue });

/** As OpenSSL would: the key is its own initialization vector. */
function sealed(text: string, key: string): string {
  const algorithm = key.length === 32 ? 'aes-256-cbc' : 'aes-128-cbc';
  const cipher = createCipheriv(algorithm, key, key.slice(0, 16));
  return cipher.update(text, 'utf8', 'base64') + cipher.final('base64');
}

const conf = {
  uri: '/a',
  plugins: {
    p: {
      auth: { header: { Authorization: 'Bearer sk', n: 1 } },
      instances: [{ auth: { aws: { secret_access_key: 's1' } } }, { auth: {} }, 'text'],
      keys: ['k1', 2],
      token: 'tök',
      other: 'stays',
    },
    unknown: { token: 'stays' },
  },
};

describe('encrypted fields', () => {
  test('strings, lists and mappings of strings at a path are encrypted, everything else stays; and back', () => {
    const encrypted = codec.encode('routes', conf);
    const key = keyring[0] ?? '';
    assert.deepEqual(encrypted, {
      uri: '/a',
      plugins: {
        p: {
          auth: { header: { Authorization: sealed('Bearer sk', key), n: 1 } },
          instances: [{ auth: { aws: { secret_access_key: sealed('s1', key) } } }, { auth: {} }, 'text'],
          keys: [sealed('k1', key), 2],
          token: sealed('tök', key),
          other: 'stays',
        },
        unknown: { token: 'stays' },
      },
    });
    assert.deepEqual(codec.decode('routes', encrypted), conf);
  });

  const opened: [string, string, string][] = [
    ['the second key', sealed('secret', 'edd1c9f0985e76a2'), 'secret'],
    ['no key of ours: as it is', sealed('secret', 'another-key-0000'), sealed('secret', 'another-key-0000')],
    ['plain text', 'Bearer sk', 'Bearer sk'],
    ['plain text that happens to be base64 of 16 bytes', 'AAAAAAAAAAAAAAAAAAAAAA==', 'AAAAAAAAAAAAAAAAAAAAAA=='],
    ['nothing', '', ''],
    ['an encrypted nothing', sealed('', 'qeddd145sfvddff3'), ''],
  ];
  for (const [name, stored, text] of opened) {
    test(`is decrypted: ${name}`, () => {
      const { plugins } = codec.decode('routes', { plugins: { p: { token: stored } } });
      assert.deepEqual(plugins, { p: { token: text } });
    });
  }

  test('who asks is told which resource has a text that no key opens', () => {
    const told: unknown[] = [];
    const onUnopened = (kind: string, { id }: Readonly<Record<string, unknown>>): void => void told.push([kind, id]);
    const telling = createFieldEncryption({ encryptFields: true, keyring, catalogue, onUnopened });
    telling.decode('routes', { id: 'r1', plugins: { p: { token: sealed('secret', 'another-key-0000') } } });
    telling.decode('routes', { id: 'r2', plugins: { p: { token: sealed('secret', 'edd1c9f0985e76a2') } } });
    telling.decode('routes', { id: 'r3', plugins: { p: { token: 'Bearer sk' } } });
    assert.deepEqual(told, [['routes', 'r1']]);
  });

  test('a wrong key whose padding happens to fit gives no garbage', () => {
    const key = 'edd1c9f0985e76a2';
    for (let n = 0; n < 2000; n++) {
      const stored = { plugins: { p: { token: sealed(`secret-${n}`, key) } } };
      assert.deepEqual(codec.decode('routes', stored), { plugins: { p: { token: `secret-${n}` } } });
    }
  });

  test('of a consumer or credential are those that the plugin has for consumers', () => {
    const sealedKey = sealed('k', keyring[0] ?? '');
    for (const kind of ['consumers', 'credentials']) {
      const value = { plugins: { p: { key: 'k', token: 't' } } };
      const encrypted = codec.encode(kind, value);
      assert.deepEqual(encrypted, { plugins: { p: { key: sealedKey, token: 't' } } });
      assert.deepEqual(codec.decode(kind, encrypted), value);
    }
  });

  test('a key of 32 bytes is AES-256', () => {
    const key = '0123456789abcdef0123456789abcdef';
    const strong = createFieldEncryption({ encryptFields: true, keyring: [key], catalogue });
    const encrypted = strong.encode('routes', { plugins: { p: { token: 'x' } } });
    assert.deepEqual(encrypted, { plugins: { p: { token: sealed('x', key) } } });
  });

  test('switched off, only private keys of certificates are encrypted, once', () => {
    const off = createFieldEncryption({ encryptFields: false, keyring, catalogue });
    assert.deepEqual(off.encode('routes', conf), conf);
    const ssl = { cert: '-----BEGIN CERT', key: '-----BEGIN KEY', keys: ['-----BEGIN 2'] };
    const once = off.encode('ssls', ssl);
    const key = keyring[0] ?? '';
    assert.deepEqual(once, { ...ssl, key: sealed('-----BEGIN KEY', key), keys: [sealed('-----BEGIN 2', key)] });
    assert.deepEqual(off.encode('ssls', once), once);
    assert.deepEqual(off.decode('ssls', once), ssl);
  });

  test('values of any shape pass', () => {
    for (const plugins of [null, [], 'x', { p: null }, { p: [{ token: 1 }] }, { p: { auth: 'x', keys: null } }]) {
      assert.deepEqual(codec.decode('routes', codec.encode('routes', { plugins })), { plugins });
    }
  });
});
