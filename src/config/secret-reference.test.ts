import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  checkSecretReferences,
  findSecretReferences,
  isSecretReference,
  parseSecretReference,
  replaceSecretReferences,
  type SecretReference,
} from './secret-reference.ts';

const managerForm = 'expected $secret://<vault|aws|gcp>/<id>/<path>/<key>';
const environmentForm = 'expected $env://NAME or $env://NAME/key';

describe('a reference', () => {
  const rows: readonly [text: string, expected: SecretReference | string][] = [
    ['$env://KEY', { source: 'env', variable: 'KEY', member: null }],
    ['$ENV://KEY', { source: 'env', variable: 'KEY', member: null }],
    ['$env://KEYS/openai', { source: 'env', variable: 'KEYS', member: 'openai' }],
    ['$env://KEYS/a/b', { source: 'env', variable: 'KEYS', member: 'a/b' }],
    ['$env://', environmentForm],
    ['$env:///openai', environmentForm],
    ['$env://KEYS/', environmentForm],
    ['$secret://vault/1/jack/key', { source: 'secret', managerId: 'vault/1', name: 'jack', key: 'key' }],
    ['$SECRET://aws/eu/prod/llm/key', { source: 'secret', managerId: 'aws/eu', name: 'prod/llm', key: 'key' }],
    ['$secret://gcp/1/openai/key', { source: 'secret', managerId: 'gcp/1', name: 'openai', key: 'key' }],
    ['$secret://consul/1/jack/key', managerForm],
    ['$secret://vault/1/key', managerForm],
    ['$secret://vault/1/jack/', managerForm],
    ['$secret://vault//jack/key', managerForm],
    ['$secret://', managerForm],
  ];
  for (const [text, expected] of rows) {
    it(`${text} is read`, () => assert.deepEqual(parseSecretReference(text), expected));
  }

  it('is a whole string, never a part of one', () => {
    for (const text of ['Bearer $env://KEY', ' $env://KEY', '$env:/KEY', 'env://KEY', '$environment://KEY', '']) {
      assert.equal(isSecretReference(text), false, text);
    }
    for (const value of [1, null, undefined, ['$env://KEY']]) assert.equal(isSecretReference(value), false);
  });
});

describe('the references of a configuration', () => {
  const conf = JSON.parse(`{
    "auth": { "header": { "Authorization": "$env://A", "x": "plain" } },
    "instances": [{ "key": "$secret://vault/1/a/b" }, { "key": "$env://A" }],
    "timeout": 3, "nothing": null,
    "__proto__": { "key": "$env://P" },
    "_meta": { "error_response": "$env://NO" }
  }`);

  it('are found with their places, except under _meta', () => {
    assert.deepEqual(findSecretReferences(conf), [
      { path: 'auth.header.Authorization', text: '$env://A' },
      { path: 'instances.0.key', text: '$secret://vault/1/a/b' },
      { path: 'instances.1.key', text: '$env://A' },
      { path: '__proto__.key', text: '$env://P' },
    ]);
    assert.deepEqual(findSecretReferences('text'), []);
  });

  it('are replaced in a copy', () => {
    const before = JSON.stringify(conf);
    const replaced = replaceSecretReferences(conf, ({ path }) => `<${path}>`);
    assert.equal(
      JSON.stringify(replaced),
      before
        .replace('"$env://A"', '"<auth.header.Authorization>"')
        .replace('$secret://vault/1/a/b', '<instances.0.key>')
        .replace('$env://A', '<instances.1.key>')
        .replace('$env://P', '<__proto__.key>'),
    );
    assert.equal(JSON.stringify(conf), before);
  });

  it('are checked, and a broken one is named by its place', () => {
    assert.equal(checkSecretReferences(conf), null);
    assert.equal(checkSecretReferences({ a: { b: '$secret://x' } }), `a.b: ${managerForm}`);
  });
});
