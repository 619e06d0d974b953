import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Log, silentLog } from '../base/log.ts';
import type { RequestContext } from './context.ts';
import { definePlugin, type PluginEnv, type PluginHooks } from './define-plugin.ts';
import type { Reply } from './reply.ts';
import { createHooks } from './secret-hooks.ts';
import { constantSecret, type Secret, type SecretState } from './secret.ts';

class FakeSecret implements Secret {
  readonly reference: string;
  readonly isConstant = false;
  state: SecretState = { failure: 'not there' };
  pending: Promise<void> | null = null;

  constructor(reference: string) {
    this.reference = reference;
  }

  refresh(): Promise<void> | null {
    return this.pending;
  }
}

/** A plugin that notes with which configuration each of its phases ran. */
function stage({ isLogger = false }: { isLogger?: boolean } = {}) {
  const runs: string[] = [];
  const made: PluginHooks[] = [];
  const warnings: string[] = [];
  const log: Log = { ...silentLog, warn: (message, fields) => warnings.push(`${message} ${JSON.stringify(fields)}`) };
  const plugin = definePlugin({
    name: 'fake',
    priority: 1,
    version: 1,
    summary: '',
    isLogger,
    schema: {
      type: 'object',
      properties: { key: { type: 'string' }, uri: { type: 'string', minLength: 5 }, size: { type: 'integer' } },
    },
    check: ({ uri = 'http://x' }) => (/^(\$|http)/.test(uri) ? null : `uri: not a URL: ${uri}`),
    create(conf) {
      if (conf.key === 'bad-for-create') throw new Error(`cannot use ${conf.key}`);
      const note = (phase: string): undefined => void runs.push(`${phase} ${conf.key}`);
      const hooks = { rewrite: () => note('rewrite'), access: () => note('access'), log: () => note('log') };
      made.push(hooks);
      return hooks;
    },
  });
  const env = { log, configurationLog: log } as PluginEnv;
  const secrets = new Map<string, Secret>();
  const hooksOf = (conf: unknown): PluginHooks =>
    createHooks(plugin, conf, env, {
      get: (reference) => secrets.get(reference) ?? constantSecret(reference, { failure: 'not set' }),
    });
  const managed = (reference: string, state?: SecretState): FakeSecret => {
    const secret = new FakeSecret(reference);
    if (state !== undefined) secret.state = state;
    secrets.set(reference, secret);
    return secret;
  };
  return { plugin, hooksOf, secrets, managed, runs, made, warnings };
}

const newRequest = (): RequestContext => ({ errorCode: null }) as RequestContext;

function told(reply: Reply | undefined): string {
  return reply === undefined ? 'passed' : `${reply.status} ${String(reply.body)}`;
}

const reference = '$secret://vault/1/a/key';

describe('a plugin with references in its configuration', () => {
  it('gets environment variables when it is made, and runs as it is from then on', () => {
    const { hooksOf, secrets, made, runs } = stage();
    secrets.set('$env://A', constantSecret('$env://A', { value: 'sk-a' }));
    const hooks = hooksOf({ key: '$env://A' });
    assert.deepEqual(made, [hooks]);
    void hooks.access?.(newRequest());
    assert.deepEqual(runs, ['access sk-a']);
  });

  it('refuses requests when a variable is not set, and says so once', () => {
    const { hooksOf, runs, warnings, managed } = stage();
    managed(reference);
    const hooks = hooksOf({ key: '$env://NO', uri: reference });
    const ctx = newRequest();
    const body = '{"error_msg":"a secret that this route needs is not available: $env://NO: not set"}\n';
    assert.equal(told(hooks.rewrite?.(ctx) as Reply), `503 ${body}`);
    assert.equal(ctx.errorCode, 'SECRET_UNAVAILABLE');
    assert.equal(told(hooks.rewrite?.(newRequest()) as Reply), `503 ${body}`);
    assert.deepEqual(runs, []);
    assert.equal(warnings.length, 1);
  });

  it('runs with the values of a manager, and in all phases of one request with the same', () => {
    const { hooksOf, managed, runs } = stage();
    const secret = managed(reference, { value: 'one' });
    const hooks = hooksOf({ key: reference });
    const [first, second] = [newRequest(), newRequest()];
    void hooks.rewrite?.(first);
    secret.state = { value: 'two' };
    void hooks.rewrite?.(second);
    for (const ctx of [first, second]) {
      void hooks.access?.(ctx);
      hooks.log?.(ctx);
    }
    assert.deepEqual(runs, ['rewrite one', 'rewrite two', 'access one', 'log one', 'access two', 'log two']);
  });

  it('is made anew only when a value changes', () => {
    const { hooksOf, managed, made } = stage();
    const secret = managed(reference, { value: 'one' });
    const hooks = hooksOf({ key: reference });
    assert.equal(made.length, 1, 'made before the first request');
    for (let i = 0; i < 3; i++) void hooks.rewrite?.(newRequest());
    assert.equal(made.length, 1);
    secret.state = { value: 'two' };
    for (let i = 0; i < 3; i++) void hooks.rewrite?.(newRequest());
    assert.equal(made.length, 2);
  });

  it('lets requests wait for a fetch, then runs or refuses', async () => {
    const { hooksOf, managed, runs } = stage();
    const secret = managed(reference);
    const fetch = Promise.withResolvers<void>();
    secret.pending = fetch.promise;
    const hooks = hooksOf({ key: reference });
    const waiting = hooks.rewrite?.(newRequest());
    assert.ok(waiting instanceof Promise);
    secret.state = { value: 'one' };
    secret.pending = null;
    fetch.resolve();
    assert.equal(told(await waiting), 'passed');
    assert.deepEqual(runs, ['rewrite one']);

    secret.state = { failure: 'vault answered 403' };
    const refused = told(hooks.rewrite?.(newRequest()) as Reply);
    assert.match(refused, /^503 .*\$secret:\/\/vault\/1\/a\/key: vault answered 403"/);
    secret.state = { value: 'two' };
    assert.equal(told(hooks.rewrite?.(newRequest()) as Reply | undefined), 'passed');
  });

  const invalid: readonly [about: string, conf: object, value: string, expected: RegExp][] = [
    [
      'too short a text',
      { uri: reference },
      'abc',
      /"uri\\" validation failed: string too short, expected at least 5, got 3/,
    ],
    ['a text that the check quotes', { uri: reference }, 'canary://0123456789', /look at the value of uri \(\$secret/],
    ['a text that create quotes', { key: reference }, 'bad-for-create', /look at the value of key \(\$secret/],
  ];
  for (const [about, conf, value, expected] of invalid) {
    it(`answers 500 without the value for ${about}`, () => {
      const { hooksOf, managed, warnings } = stage();
      managed(reference, { value });
      const ctx = newRequest();
      const refused = told(hooksOf(conf).rewrite?.(ctx) as Reply);
      assert.match(refused, /^500 /);
      assert.match(refused, expected);
      assert.equal(ctx.errorCode, 'SECRET_INVALID');
      assert.equal(warnings.length, 1);
      for (const text of [refused, ...warnings]) assert.ok(!text.includes(value), text);
    });
  }

  it('passes its check with references, but not with one for a number or a broken one', () => {
    const { plugin } = stage();
    assert.equal(
      plugin.check({ uri: '$e' }),
      'property "uri" validation failed: string too short, expected at least 5, got 2',
    );
    assert.equal(plugin.check({ uri: '$env://A', key: reference }), null);
    assert.equal(
      plugin.check({ size: '$env://A' }),
      'property "size" validation failed: wrong type: expected integer, got string',
    );
    assert.equal(plugin.check({ key: '$secret://a/b' }), 'key: expected $secret://<vault|aws|gcp>/<id>/<path>/<key>');
  });

  it('that has none is made as ever', () => {
    const { hooksOf, runs } = stage();
    void hooksOf({ key: 'Bearer $env://A' }).access?.(newRequest());
    assert.deepEqual(runs, ['access Bearer $env://A']);
  });
});

describe('a logger with references in its configuration', () => {
  it('holds up no request, and logs as soon as it can', () => {
    const { hooksOf, managed, runs } = stage({ isLogger: true });
    const secret = managed(reference);
    secret.pending = new Promise(() => {});
    const hooks = hooksOf({ key: reference });
    const ctx = newRequest();
    assert.equal(hooks.rewrite?.(ctx), undefined);
    hooks.log?.(ctx);
    secret.pending = null;
    assert.equal(hooks.rewrite?.(newRequest()), undefined, 'not there: not refused either');
    secret.state = { value: 'one' };
    void hooks.rewrite?.(newRequest());
    hooks.log?.(ctx);
    assert.deepEqual(runs, ['rewrite one', 'log one']);
  });

  it('is left out when a variable is not set', () => {
    const { hooksOf, warnings } = stage({ isLogger: true });
    assert.deepEqual(hooksOf({ key: '$env://NO' }), {});
    assert.equal(warnings.length, 1);
  });
});
