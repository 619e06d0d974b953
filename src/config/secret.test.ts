import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { uriPattern } from '../secret-manager/uri-pattern.ts';
import { secret } from './secret.ts';

const context = {
  catalogue: { get: () => undefined, names: () => [] },
  checkVars: () => null,
  exists: () => false,
};
const vault = { id: 'vault/1', uri: 'https://127.0.0.1:8200', prefix: 'kv/data', token: 'hvs.canary' };
const aws = { id: 'aws/1', access_key_id: 'AKIA', secret_access_key: 'canary' };

describe('a resource `secrets`', () => {
  const rows: readonly [about: string, conf: unknown, expected: string | null][] = [
    ['of Vault is accepted', vault, null],
    ['of AWS is accepted', aws, null],
    ['of GCP is accepted', { id: 'gcp/1', auth_file: '/run/key.json' }, null],
    [
      'may take its token from the environment',
      { ...vault, token: '$env://VAULT_TOKEN', uri: '$ENV://VAULT/uri' },
      null,
    ],
    [
      'may not take its token from another one',
      { ...vault, token: '$secret://vault/2/a/b' },
      'invalid configuration: token: a secret manager can only refer to $env://',
    ],
    [
      'with a broken reference is refused',
      { ...vault, token: '$env://' },
      'invalid configuration: token: expected $env://NAME or $env://NAME/key',
    ],
    [
      'of an unknown kind is refused',
      { ...vault, id: 'consul/1' },
      'invalid secret manager: consul, expected vault, aws, gcp',
    ],
    [
      'of a kind that every object has is refused',
      { id: 'constructor/1' },
      'invalid secret manager: constructor, expected vault, aws, gcp',
    ],
    [
      'without a required field is refused',
      { id: 'vault/1', prefix: 'kv', token: 'x' },
      'invalid configuration: property "uri" is required',
    ],
    [
      'with an address that is none is refused',
      { ...vault, uri: 'vault' },
      `invalid configuration: property "uri" validation failed: failed to match pattern ${JSON.stringify(uriPattern)} with "vault"`,
    ],
    [
      'with a number for a string is refused',
      { ...aws, region: 1 },
      'invalid configuration: property "region" validation failed: wrong type: expected string, got number',
    ],
    [
      'with a slash in its name is refused',
      { ...vault, id: 'vault/1/2' },
      'invalid configuration: property "id" validation failed: failed to match pattern "^[^/]+/[a-zA-Z0-9-_.]{1,64}$" with "vault/1/2"',
    ],
    ['that is no object is refused', 5, 'invalid configuration: wrong type: expected object, got number'],
  ];
  for (const [about, conf, expected] of rows) {
    it(about, () => {
      assert.equal(secret.check(conf, context), expected);
    });
  }
});
