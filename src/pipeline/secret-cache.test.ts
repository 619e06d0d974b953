import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Log } from '../base/log.ts';
import { CredentialError } from '../cloud-auth/credential-error.ts';
import type { StoredResource } from '../config/store/store.ts';
import type { SecretFields, SecretManagerKind } from '../secret-manager/secret-manager.ts';
import { SecretCache } from './secret-cache.ts';
import type { Secret } from './secret.ts';

const ttlMs = 1000;
const reference = '$secret://vault/1/llm/key';

/** A secret manager that answers when the test says so, a clock that stands still, and what was logged. */
function stage(managers: Readonly<Record<string, object>> = { 'vault/1': {} }) {
  const clock = { now: 5000 };
  const lines: string[] = [];
  const note =
    (level: string): Log['warn'] =>
    (message, fields) =>
      lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  const log: Log = {
    error: note('error'),
    warn: note('warn'),
    notice: note('notice'),
    info: note('info'),
    debug: () => {},
  };
  const calls: { name: string; conf: unknown; answer(fields: SecretFields): void; refuse(error: Error): void }[] = [];
  const kind: SecretManagerKind = {
    schema: {},
    create: (conf) => ({
      fetch(name) {
        const { promise, resolve, reject } = Promise.withResolvers<SecretFields>();
        calls.push({ name, conf, answer: resolve, refuse: reject });
        return promise;
      },
    }),
  };
  const cache = new SecretCache({
    log,
    ttlMs,
    retryMs: 10,
    now: () => clock.now,
    environment: { TOKEN: 'token-of-env' },
    kinds: { vault: kind },
  });
  const setManagers = (wanted: Readonly<Record<string, object>>): void =>
    cache.setManagers(new Map(Object.entries(wanted).map(([id, value]) => [id, resource(id, value)])));
  setManagers(managers);
  return { cache, clock, calls, lines, setManagers };
}

function resource(id: string, value: object): StoredResource {
  return { kind: 'secrets', id, value: { id, ...value }, createdIndex: 1, modifiedIndex: 1 };
}

type Stage = ReturnType<typeof stage>;

async function settle(): Promise<void> {
  await new Promise(setImmediate);
}

async function answer({ calls }: Stage, index: number, key: unknown): Promise<void> {
  calls[index]?.answer({ key });
  await settle();
}

async function refuse({ calls }: Stage, index: number, error: Error): Promise<void> {
  calls[index]?.refuse(error);
  await settle();
}

async function fetched(value = 'one'): Promise<Stage & { secret: Secret }> {
  const on = stage();
  const secret = on.cache.get(reference);
  await answer(on, 0, value);
  assert.deepEqual(secret.state, { value });
  return { ...on, secret };
}

describe('a secret', () => {
  it('is fetched as soon as somebody refers to it, and once for all who do', async () => {
    const on = stage();
    const secret = on.cache.get(reference);
    assert.equal(on.calls.length, 1);
    assert.equal(on.calls[0]?.name, 'llm');
    const pending = secret.refresh();
    assert.ok(pending instanceof Promise);
    assert.equal(on.cache.get(reference), secret);
    await answer(on, 0, 'one');
    await pending;
    assert.deepEqual(secret.state, { value: 'one' });
    assert.equal(secret.refresh(), null);
    assert.equal(on.calls.length, 1);
  });

  it('is fetched anew in the last fifth of its time, while the old value is used', async () => {
    const on = await fetched();
    const { state } = on.secret;
    on.clock.now += 0.8 * ttlMs - 1;
    assert.equal(on.secret.refresh(), null);
    assert.equal(on.calls.length, 1);
    on.clock.now += 1;
    assert.equal(on.secret.refresh(), null);
    assert.equal(on.secret.refresh(), null);
    assert.equal(on.calls.length, 2);
    await answer(on, 1, 'one');
    assert.equal(on.secret.state, state, 'an equal value is the same state');
    on.clock.now += 0.8 * ttlMs;
    assert.equal(on.secret.refresh(), null);
    await answer(on, 2, 'two');
    assert.deepEqual(on.secret.state, { value: 'two' });
  });

  it('is waited for when its time is over', async () => {
    const on = await fetched();
    on.clock.now += ttlMs;
    const pending = on.secret.refresh();
    assert.ok(pending instanceof Promise);
    await answer(on, 1, 'two');
    await pending;
    assert.deepEqual(on.secret.state, { value: 'two' });
  });

  it('keeps its last value, without waiting, for as long as fetches fail', async () => {
    const on = await fetched();
    on.clock.now += ttlMs;
    assert.ok(on.secret.refresh() instanceof Promise);
    await refuse(on, 1, new CredentialError('vault answered 503'));
    for (const pauseMs of [10, 20, 40, 80, 160, 320, 600, 600, 600]) {
      const calls = on.calls.length;
      on.clock.now += pauseMs - 1;
      assert.equal(on.secret.refresh(), null);
      assert.equal(on.calls.length, calls, `no fetch within ${pauseMs} ms`);
      on.clock.now += 1;
      assert.equal(on.secret.refresh(), null);
      assert.equal(on.calls.length, calls + 1, `a fetch after ${pauseMs} ms`);
      await refuse(on, calls, new CredentialError('vault answered 503'));
      assert.deepEqual(on.secret.state, { value: 'one' });
    }
    on.clock.now += 600;
    on.secret.refresh();
    await answer(on, on.calls.length - 1, 'two');
    assert.deepEqual(on.secret.state, { value: 'two' });
    assert.deepEqual(on.lines, [
      `warn a secret cannot be read; its last value stays in use {"reference":"${reference}","reason":"vault answered 503"}`,
      `notice a secret can be read again {"reference":"${reference}"}`,
    ]);
  });

  it('that was never read says why, and is tried again after a pause, which a request then waits for', async () => {
    const on = stage();
    const secret = on.cache.get(reference);
    await refuse(on, 0, new CredentialError('vault answered 403'));
    assert.deepEqual(secret.state, { failure: 'vault answered 403' });
    assert.equal(secret.refresh(), null);
    assert.equal(on.calls.length, 1);
    on.clock.now += 10;
    assert.ok(secret.refresh() instanceof Promise);
    await answer(on, 1, 'one');
    assert.deepEqual(secret.state, { value: 'one' });
    assert.deepEqual(on.lines, [
      `warn a secret cannot be read; requests that need it are refused {"reference":"${reference}","reason":"vault answered 403"}`,
      `notice a secret can be read again {"reference":"${reference}"}`,
    ]);
  });

  const answers: readonly [about: string, value: unknown, failure: string][] = [
    ['no such key', undefined, 'key "key" is not in the secret'],
    ['an object', { canary: 1 }, 'key "key" of the secret is neither a string nor a number'],
    ['an empty text', '', 'the value is empty'],
  ];
  for (const [about, value, failure] of answers) {
    it(`is not available when the manager has ${about} for it`, async () => {
      const on = stage();
      const secret = on.cache.get(reference);
      await answer(on, 0, value);
      assert.deepEqual(secret.state, { failure });
    });
  }

  it('does not repeat errors that were not made for it', async () => {
    const on = stage();
    const secret = on.cache.get(reference);
    await refuse(on, 0, new TypeError('canary'));
    assert.deepEqual(secret.state, { failure: 'the secret manager cannot be asked' });
    assert.doesNotMatch(on.lines.join('\n'), /canary/);
  });
});

describe('a secret manager', () => {
  it('that does not exist yet is used as soon as it does', async () => {
    const on = stage({});
    const secret = on.cache.get(reference);
    assert.equal(secret.refresh(), null);
    assert.deepEqual(secret.state, { failure: 'there is no secret manager vault/1' });
    on.clock.now += 3600_000;
    assert.equal(secret.refresh(), null, 'asking again would change nothing');
    on.setManagers({ 'vault/1': {} });
    assert.equal(on.calls.length, 1, 'fetched before a request needs it');
    assert.ok(secret.refresh() instanceof Promise);
    await answer(on, 0, 'one');
    assert.deepEqual(secret.state, { value: 'one' });
  });

  it('that changes takes its values with it', async () => {
    const on = await fetched();
    on.setManagers({ 'vault/1': { uri: 'other' } });
    assert.ok('failure' in on.secret.state);
    assert.ok(on.secret.refresh() instanceof Promise);
    await answer(on, 1, 'two');
    assert.deepEqual(on.secret.state, { value: 'two' });
    on.setManagers({});
    assert.deepEqual(on.secret.state, { failure: 'there is no secret manager vault/1' });
  });

  it('that stays as it is keeps them, whatever happens to others', async () => {
    const on = stage({});
    const one = resource('vault/1', {});
    on.cache.setManagers(new Map([['vault/1', one]]));
    const secret = on.cache.get(reference);
    await answer(on, 0, 'one');
    on.cache.setManagers(
      new Map([
        ['vault/1', one],
        ['vault/2', resource('vault/2', {})],
      ]),
    );
    assert.deepEqual(secret.state, { value: 'one' });
    assert.equal(secret.refresh(), null);
    assert.equal(on.calls.length, 1);
  });

  it('that changed while it was asked is not listened to any more', async () => {
    const on = stage();
    const secret = on.cache.get(reference);
    on.setManagers({ 'vault/1': { uri: 'other' } });
    assert.equal(on.calls.length, 2);
    await answer(on, 0, 'of the old one');
    assert.ok('failure' in secret.state);
    assert.ok(secret.refresh() instanceof Promise, 'the new one is still waited for');
    await answer(on, 1, 'of the new one');
    assert.deepEqual(secret.state, { value: 'of the new one' });
  });

  it('gets the environment in place of its own references, also deep inside', () => {
    const on = stage({ 'vault/1': { token: '$env://TOKEN', auth_config: { private_key: '$ENV://TOKEN' } } });
    on.cache.get(reference);
    assert.deepEqual(on.calls[0]?.conf, {
      id: 'vault/1',
      token: 'token-of-env',
      auth_config: { private_key: 'token-of-env' },
    });
  });

  it('whose own reference has no value is named', () => {
    const on = stage({ 'vault/1': { token: '$env://NO' } });
    assert.deepEqual(on.cache.get(reference).state, {
      failure: 'secret manager vault/1: token is $env://NO, and the environment variable is not set',
    });
    assert.equal(on.calls.length, 0);
  });
});

describe('a reference to the environment', () => {
  it('is known at once and never changes', () => {
    const { cache } = stage();
    const secret = cache.get('$env://TOKEN');
    assert.deepEqual([secret.state, secret.isConstant, secret.refresh()], [{ value: 'token-of-env' }, true, null]);
  });

  it('and any other that is malformed says what is expected', () => {
    assert.deepEqual(stage().cache.get('$secret://vault').state, {
      failure: 'expected $secret://<vault|aws|gcp>/<id>/<path>/<key>',
    });
  });
});
