import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../base/log.ts';
import type { Consumer } from './consumer.ts';
import { CredentialIndex } from './credential-index.ts';
import { definePlugin } from './define-plugin.ts';
import { constantSecret, type Secret, type SecretState } from './secret.ts';

const plugin = definePlugin({
  name: 'fake-auth',
  priority: 1,
  version: 1,
  summary: '',
  schema: { type: 'object' },
  consumerSchema: {
    type: 'object',
    properties: { key: { type: 'string', minLength: 3 }, password: { type: 'string' }, extra: { default: 7 } },
    required: ['key'],
  },
  credentialKey: 'key',
  create: () => ({}),
});

/** A secret of a manager, whose state the test sets. */
class FakeSecret implements Secret {
  readonly isConstant = false;
  readonly reference: string;
  state: SecretState = { failure: 'it is not fetched yet' };
  pending: Promise<void> | null = null;

  constructor(reference: string) {
    this.reference = reference;
  }

  refresh(): Promise<void> | null {
    return this.pending;
  }
}

function createIndex(confs: Readonly<Record<string, object>>, secrets: Readonly<Record<string, Secret>> = {}) {
  const told: unknown[] = [];
  const credentials = Object.entries(confs).map(([name, conf]) => ({
    consumer: { name } as Consumer,
    owner: `consumers/${name}`,
    conf,
  }));
  const index = new CredentialIndex(credentials, {
    plugin,
    secrets: { get: (reference) => secrets[reference] ?? constantSecret(reference, { failure: 'it is not set' }) },
    log: { ...silentLog, warn: (message, fields) => told.push(message, fields) },
  });
  return { index, told };
}

test('a credential is found by its key, with the defaults of its schema', () => {
  const { index } = createIndex({ jack: { key: 'abc' } });
  assert.deepEqual(index.find('abc'), { consumer: { name: 'jack' }, conf: { key: 'abc', extra: 7 } });
  assert.equal(index.find('ab'), undefined);
  assert.equal(index.find('abc'), index.find('abc'), 'it stays the same object');
});

test('of two with one key the first counts, and the key is not told', () => {
  const { index, told } = createIndex({ jack: { key: 'abc' }, jill: { key: 'abc' } });
  assert.equal((index.find('abc') as { consumer: Consumer }).consumer.name, 'jack');
  assert.deepEqual(told, [
    'fake-auth: two credentials have the same key; only the first is recognized by it',
    { first: 'consumers/jack', other: 'consumers/jill' },
  ]);
});

test('a key out of a secret manager is waited for, and follows its changes', async () => {
  const secret = new FakeSecret('$secret://vault/1/a/b');
  secret.pending = Promise.resolve().then(() => {
    secret.state = { value: 'from-vault' };
    secret.pending = null;
  });
  const { index } = createIndex(
    { jack: { key: secret.reference }, jill: { key: 'abc' } },
    { [secret.reference]: secret },
  );
  assert.equal((index.find('abc') as { consumer: Consumer }).consumer.name, 'jill');
  assert.equal((await index.find('from-vault'))?.consumer.name, 'jack');
  secret.state = { value: 'another' };
  assert.equal(await index.find('from-vault'), undefined);
  assert.equal((await index.find('another'))?.consumer.name, 'jack');
  assert.equal(await index.find(secret.reference), undefined);
});

test('whether a key is wrong is not said while one cannot be read', async () => {
  const secret = new FakeSecret('$secret://vault/1/a/b');
  const { index } = createIndex(
    { jack: { key: secret.reference }, jill: { key: 'abc' } },
    { [secret.reference]: secret },
  );
  await assert.rejects(Promise.resolve(index.find('wrong')), { code: 'SECRET_UNAVAILABLE' });
  assert.equal((index.find('abc') as { consumer: Consumer }).consumer.name, 'jill');
});

test('a value that the schema refuses lets nobody in, and is not told', async () => {
  const secret = new FakeSecret('$secret://vault/1/a/b');
  secret.state = { value: 'xy' };
  const { index, told } = createIndex({ jack: { key: secret.reference } }, { [secret.reference]: secret });
  assert.equal(await index.find('xy'), undefined);
  assert.deepEqual(told, [
    'fake-auth: a credential is not valid with the values of its secrets',
    { owner: 'consumers/jack' },
  ]);
});

test('an environment variable that is not set is told once, and is no key', () => {
  const { index, told } = createIndex({ jack: { key: '$env://NOT_SET' } });
  assert.equal(index.find('$env://NOT_SET'), undefined);
  assert.deepEqual(told, [
    'fake-auth: a credential cannot be used',
    { owner: 'consumers/jack', reference: '$env://NOT_SET', reason: 'it is not set' },
  ]);
});
