import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WeirError } from '../base/errors.ts';
import type { HealthCheck } from '../upstream/health/health-check.ts';
import { DeclaredChecks } from './declared-checks.ts';
import type { Plugin } from './define-plugin.ts';
import { constantSecret, type Secret, type SecretState } from './secret.ts';

interface Conf {
  readonly key: string;
  readonly checked: boolean;
}

/** Declares one check, whose credential is `key`; a key of `bad` is not valid, and an endpoint made of one throws. */
const plugin = {
  check: (conf: unknown) => ((conf as Conf).key === 'bad' ? 'bad key' : null),
  healthChecks: (conf: unknown) => {
    const { key, checked } = conf as Conf;
    if (!checked) return [];
    if (key.startsWith('$')) throw new TypeError('not a URL');
    return [{ name: 'a', headers: { key } } as unknown as HealthCheck];
  },
} as unknown as Plugin;

const reference = '$secret://vault/1/a/b';

class FakeSecret implements Secret {
  readonly reference = reference;
  readonly isConstant = false;
  state: SecretState = { failure: 'it is not fetched yet' };
  pending: Promise<void> | null = null;

  refresh(): Promise<void> | null {
    return this.pending;
  }
}

function declared(conf: Conf, secret: Secret): DeclaredChecks {
  const checks = DeclaredChecks.of(plugin, conf, { get: () => secret });
  assert.ok(checks);
  return checks;
}

function headersOf(checks: DeclaredChecks): HealthCheck['headers'] | undefined {
  const found = checks.read();
  if (found instanceof WeirError) throw found;
  return found[0]?.headers;
}

test('checks without references are there at once and never change', () => {
  const checks = declared({ key: 'k', checked: true }, new FakeSecret());
  assert.deepEqual([checks.canChange, checks.refresh()], [false, null]);
  assert.deepEqual(headersOf(checks), { key: 'k' });
});

test('a configuration without checks fetches no secret', () => {
  const get = (): Secret => assert.fail('it was fetched');
  assert.equal(DeclaredChecks.of(plugin, { key: reference, checked: false }, { get }), null);
  assert.equal(DeclaredChecks.of({ ...plugin, healthChecks: null }, { key: 'k', checked: true }, { get }), null);
});

test('the value of a secret stands for its reference; without it there is a reason why there are none', async () => {
  const secret = new FakeSecret();
  secret.pending = Promise.resolve();
  const checks = declared({ key: reference, checked: true }, secret);
  assert.equal(checks.canChange, true);
  assert.ok(checks.refresh() instanceof Promise);
  assert.throws(() => headersOf(checks), /\$secret:\/\/vault\/1\/a\/b.*it is not fetched yet/);
  secret.state = { value: 'first' };
  assert.deepEqual(headersOf(checks), { key: 'first' });
  secret.state = { value: 'second' };
  assert.deepEqual(headersOf(checks), { key: 'second' });
});

test('a value with which the configuration is not valid is an error', () => {
  const checks = declared({ key: '$env://KEY', checked: true }, constantSecret('$env://KEY', { value: 'bad' }));
  assert.equal(checks.canChange, false);
  assert.throws(() => checks.read(), { message: 'bad key' });
});
