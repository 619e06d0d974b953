import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { silentLog } from '../src/base/log.ts';
import { SecretCache } from '../src/pipeline/secret-cache.ts';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { eventually, type TestGateway } from './support/gateway.ts';
import { call, type CallResult } from './support/http-call.ts';
import { fieldOf, startProvider, type Provider } from './support/mock-provider.ts';

/** Found again wherever they leak to. */
const values = {
  plain: 'Bearer canary-env-q1w2',
  member: 'Bearer canary-member-q3w4',
  header: 'canary-lines-q5w6\nX-Smuggled: yes',
  token: 'canary-token-q7w8',
  vault: 'Bearer canary-vault-q9w0',
  rotated: 'Bearer canary-rotated-q1e2',
  endpoint: 'ftp://canary-endpoint-q3e4/',
};
const hi = { messages: [{ role: 'user', content: 'hi' }] };

let stage: AiStage;
/** Speaks the API of Vault, KV version 2: https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2 */
let vault: Provider;
let secrets: Record<string, Record<string, string>>;
const places: [string, string][] = [];

before(async () => {
  vault = await startProvider((request, response) => {
    const secret = secrets[request.target.replace('/v1/kv/data/', '')];
    const isKnown = fieldOf(request, 'x-vault-token') === values.token;
    response.statusCode = isKnown ? (secret ? 200 : 404) : 403;
    const body = isKnown && secret ? { data: { data: secret, metadata: { version: 1 } } } : { errors: [values.token] };
    response.end(JSON.stringify(body));
  });
  stage = await startStage({
    config: { nginx_config: { error_log_level: 'debug' } },
    env: {
      WEIR_TEST_KEY: values.plain,
      WEIR_TEST_KEYS: JSON.stringify({ openai: values.member }),
      WEIR_TEST_LINES: values.header,
      WEIR_TEST_TOKEN: values.token,
      WEIR_TEST_ENDPOINT: values.endpoint,
    },
  });
});

after(() => Promise.all([stage, vault].map((part) => part[Symbol.asyncDispose]())));

beforeEach(() => {
  secrets = { llm: { openai: values.vault } };
  vault.requests.length = 0;
  stage.provider.requests.length = 0;
});

const authorized = (reference: string): object => ({ auth: { header: { Authorization: reference } } });

async function ask(url: string): Promise<CallResult> {
  const answer = await call(url, { body: hi });
  places.push([`the answer of ${url}`, answer.text]);
  return answer;
}

/** What the provider got as Authorization, once for each request. */
function credentials(): (string | undefined)[] {
  return stage.provider.requests.map((request) => fieldOf(request, 'authorization'));
}

let managers = 0;

/** Makes a secret manager, with an id of its own unless it is to replace another. */
async function putVault(conf: object = {}, id = `vault/m${++managers}`): Promise<string> {
  const body = { uri: vault.url, prefix: 'kv/data', token: '$env://WEIR_TEST_TOKEN', ...conf };
  const answer = await stage.gateway.admin('PUT', `/secrets/${id}`, body);
  assert.ok(answer.status === 200 || answer.status === 201, JSON.stringify(answer));
  return id;
}

describe('a reference to the environment', () => {
  for (const [about, reference, expected] of [
    ['$env://', '$env://WEIR_TEST_KEY', values.plain],
    ['$ENV://', '$ENV://WEIR_TEST_KEY', values.plain],
    ['a member of JSON', '$env://WEIR_TEST_KEYS/openai', values.member],
    ['a mere part of a string, which is none', 'Bearer $env://WEIR_TEST_KEY', 'Bearer $env://WEIR_TEST_KEY'],
  ] as const) {
    it(`reaches the provider as its value: ${about}`, async () => {
      const url = await stage.route(authorized(reference));
      assert.equal((await ask(url)).status, 200);
      assert.deepEqual(credentials(), [expected]);
      const route = await stage.gateway.admin('GET', `/routes/${url.split('/').pop()}`);
      places.push(['GET of a route', JSON.stringify(route.body)]);
      assert.ok(JSON.stringify(route.body).includes(reference));
    });
  }

  it('that is not set refuses requests with a stable code, and is warned of once', async () => {
    const url = await stage.route(authorized('$env://WEIR_TEST_UNSET'));
    for (let i = 0; i < 3; i++) {
      const answer = await ask(url);
      assert.equal(answer.status, 503);
      assert.deepEqual(JSON.parse(answer.text), {
        error_msg:
          'a secret that this route needs is not available: $env://WEIR_TEST_UNSET: the environment variable is not set',
      });
    }
    assert.equal((await stage.logged(url, 3))[0]?.weir_error, 'SECRET_UNAVAILABLE');
    assert.equal(stage.provider.requests.length, 0);
    const lines = stage.gateway.errorLog().split('\n');
    assert.equal(lines.filter((line) => line.includes('WEIR_TEST_UNSET')).length, 1);
  });

  it('whose value is not fit for its place refuses requests without telling it', async () => {
    for (const conf of [
      authorized('$env://WEIR_TEST_LINES'),
      { override: { endpoint: '$env://WEIR_TEST_ENDPOINT' } },
    ]) {
      const url = await stage.route(conf);
      const answer = await ask(url);
      assert.equal(answer.status, 500);
      assert.match(answer.text, /configuration of plugin ai-proxy is not valid with the values of its secrets/);
      assert.equal((await stage.logged(url))[0]?.weir_error, 'SECRET_INVALID');
    }
    assert.equal(stage.provider.requests.length, 0);
  });
});

describe('a reference to a secret manager', () => {
  it('is fetched once for many requests of several routes', async () => {
    const reference = `$secret://${await putVault()}/llm/openai`;
    const urls = [await stage.route(authorized(reference)), await stage.route(authorized(reference))];
    const answers = await Promise.all([...urls, ...urls, ...urls].map((url) => ask(url)));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200, 200, 200, 200],
    );
    assert.deepEqual(new Set(credentials()), new Set([values.vault]));
    assert.deepEqual(
      vault.requests.map(({ target }) => target),
      ['/v1/kv/data/llm'],
    );
  });

  it('is fetched before the first request comes', async () => {
    await stage.route(authorized(`$secret://${await putVault()}/llm/openai`));
    await eventually(() => vault.requests.length === 1);
  });

  for (const [about, path, reason] of [
    ['a key', 'llm/nothing', 'key "nothing" is not in the secret'],
    ['a secret', 'nothing/openai', 'vault answered 404: there is no such secret'],
  ] as const) {
    it(`to ${about} that does not exist refuses requests and says so`, async () => {
      const reference = `$secret://${await putVault()}/${path}`;
      const answer = await ask(await stage.route(authorized(reference)));
      assert.equal(answer.status, 503);
      const expected = `a secret that this route needs is not available: ${reference}: ${reason}`;
      assert.deepEqual(JSON.parse(answer.text), { error_msg: expected });
      await eventually(() => stage.gateway.errorLog().includes(reference));
    });
  }

  it('to a manager that does not exist works as soon as it does, and not any more when it is gone', async () => {
    const id = `vault/m${++managers}`;
    const url = await stage.route(authorized(`$secret://${id}/llm/openai`));
    assert.match((await ask(url)).text, /there is no secret manager vault/);
    await putVault({}, id);
    assert.equal((await ask(url)).status, 200);
    assert.equal((await stage.gateway.admin('DELETE', `/secrets/${id}`)).status, 200);
    assert.equal((await ask(url)).status, 503);
  });

  it('keeps its value when the manager is gone, and loses it when the manager is configured anew', async () => {
    await using other = await startProvider((_request, response) =>
      response.end(JSON.stringify({ data: secrets['llm'] })),
    );
    const id = await putVault({ uri: other.url });
    const url = await stage.route(authorized(`$secret://${id}/llm/openai`));
    assert.equal((await ask(url)).status, 200);
    await other[Symbol.asyncDispose]();
    assert.equal((await ask(url)).status, 200);
    secrets = { llm: { openai: values.rotated } };
    await putVault({}, id);
    assert.equal((await ask(url)).status, 200);
    assert.deepEqual(credentials(), [values.vault, values.vault, values.rotated]);
    await putVault({ token: 'wrong' }, id);
    assert.match((await ask(url)).text, /vault answered 403/);
  });

  it('survives a reload without another fetch', async () => {
    const url = await stage.route(authorized(`$secret://${await putVault()}/llm/openai`));
    assert.equal((await ask(url)).status, 200);
    const { configFile } = stage.gateway;
    const config = readFileSync(configFile, 'utf8');
    writeFileSync(configFile, config.replace('\n  http:\n', '\n  http:\n    client_max_body_size: 1000\n'));
    stage.gateway.signal('SIGHUP');
    const tooMuch = { ...hi, user: 'x'.repeat(1000) };
    while ((await call(url, { body: tooMuch })).status !== 413);
    assert.equal((await ask(url)).status, 200);
    assert.equal(vault.requests.length, 1);
  });

  it('follows a rotation in its time, and outlives an outage of the manager', async () => {
    await using dying = await startProvider(vault.answer);
    const cache = new SecretCache({ log: silentLog, environment: {}, ttlMs: 40, retryMs: 5 });
    const value = { id: 'vault/1', uri: dying.url, prefix: 'kv/data', token: values.token };
    cache.setManagers(
      new Map([['vault/1', { kind: 'secrets', id: 'vault/1', value, createdIndex: 1, modifiedIndex: 1 }]]),
    );
    const secret = cache.get('$secret://vault/1/llm/openai');
    const read = async (): Promise<unknown> => {
      await secret.refresh();
      return secret.state;
    };
    assert.deepEqual(await read(), { value: values.vault });
    secrets = { llm: { openai: values.rotated } };
    await new Promise((resolve) => setTimeout(resolve, 45));
    assert.deepEqual(await read(), { value: values.rotated });
    await dying[Symbol.asyncDispose]();
    for (let i = 0; i < 4; i++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      assert.deepEqual(await read(), { value: values.rotated });
    }
  });
});

describe('the resource /secrets of the Admin API', () => {
  const conf = { uri: 'https://127.0.0.1:8200', prefix: 'kv/data', token: 'hvs.token' };
  const admin: TestGateway['admin'] = (...request) => stage.gateway.admin(...request);

  it('is made, read, changed and deleted under the kind of the manager and a name', async () => {
    const made = await admin('PUT', '/secrets/vault/crud', conf);
    assert.equal(made.status, 201);
    const { key, value } = made.body as { key: string; value: Record<string, unknown> };
    assert.equal(key, '/apisix/secrets/vault/crud');
    const { create_time: created, update_time: updated, ...rest } = value;
    assert.deepEqual(rest, { id: 'vault/crud', ...conf });
    assert.equal(typeof created, 'number');
    assert.equal(typeof updated, 'number');
    assert.equal((await admin('PUT', '/secrets/vault/crud', { ...conf, id: 'vault/crud' })).status, 200);

    const read = (await admin('GET', '/secrets/vault/crud')).body as { value: object; createdIndex: number };
    assert.equal(typeof read.createdIndex, 'number');
    assert.deepEqual(read.value, { ...value, ...read.value });
    const { list } = (await admin('GET', '/secrets')).body as { list: { key: string }[] };
    assert.ok(list.some((item) => item.key === key));

    const patched = await admin('PATCH', '/secrets/vault/crud', { namespace: 'team', prefix: 'kv2/data' });
    assert.equal(patched.status, 200);
    const node = await admin('PATCH', '/secrets/vault/crud/token', '$env://VAULT_TOKEN');
    const { value: after } = node.body as { value: Record<string, unknown> };
    assert.deepEqual([after['namespace'], after['prefix'], after['token']], ['team', 'kv2/data', '$env://VAULT_TOKEN']);

    assert.deepEqual(await admin('DELETE', '/secrets/vault/crud'), { status: 200, body: { key, deleted: '1' } });
    assert.equal((await admin('GET', '/secrets/vault/crud')).status, 404);
    assert.equal((await admin('DELETE', '/secrets/vault/crud')).status, 404);
    assert.equal((await admin('PATCH', '/secrets/vault/crud', { prefix: 'a' })).status, 404);
  });

  for (const [about, method, path, body, status, error] of [
    [
      'an unknown kind',
      'PUT',
      '/secrets/consul/1',
      conf,
      400,
      'invalid secret manager: consul, expected vault, aws, gcp',
    ],
    ['a kind without a name', 'PUT', '/secrets/vault', conf, 400, 'missing secret id'],
    ['a kind without a name, with an encoded slash', 'PUT', '/secrets/vault%2F1', conf, 400, 'missing secret id'],
    ['no id at all', 'PUT', '/secrets', conf, 400, 'missing secret id'],
    ['GET of a kind', 'GET', '/secrets/vault', undefined, 400, 'missing secret id'],
    ['another id in the body', 'PUT', '/secrets/vault/1', { ...conf, id: 'vault/2' }, 400, 'wrong secret id'],
    ['POST', 'POST', '/secrets', conf, 405, 'not supported `POST` method for secret'],
    [
      'a path below it',
      'DELETE',
      '/secrets/vault/1/token',
      undefined,
      400,
      'a path below the secret id is only supported with PATCH',
    ],
    [
      'a missing field',
      'PUT',
      '/secrets/vault/1',
      { uri: conf.uri, prefix: 'kv' },
      400,
      'invalid configuration: property "token" is required',
    ],
  ] as const) {
    it(`refuses ${about}`, async () => {
      assert.deepEqual(await admin(method, path, body), { status, body: { error_msg: error } });
    });
  }

  it('has a schema', async () => {
    assert.equal((await admin('GET', '/schema/secret')).status, 200);
  });

  it('lets a route refer to what does not exist, but not to what never can', async () => {
    const put = (reference: string): Promise<{ status: number; body: unknown }> =>
      admin('PUT', '/routes/refers', {
        uri: '/refers',
        plugins: { 'ai-proxy': { provider: 'openai', ...authorized(reference) } },
      });
    assert.equal((await put('$secret://vault/none/a/b')).status, 201);
    assert.deepEqual(await put('$secret://vault/none'), {
      status: 400,
      body: {
        error_msg:
          'failed to check the configuration of plugin ai-proxy err: auth.header.Authorization: expected $secret://<vault|aws|gcp>/<id>/<path>/<key>',
      },
    });
  });
});

describe('afterwards', () => {
  it('no value of a secret is in any log, on the terminal, or in an answer of the gateway', async () => {
    assert.equal(await stage.gateway.stop(), 0);
    for (const name of readdirSync(join(stage.gateway.prefix, 'logs'))) {
      places.push([`logs/${name}`, stage.gateway.readLog(name)]);
    }
    places.push(['stdout or stderr', stage.gateway.output()]);
    await stage.gateway.untilErrorLog(/SECRET_INVALID/);
    const leaks = places.filter(([, text]) => /canary-/.test(text)).map(([place]) => place);
    assert.deepEqual(leaks, []);
  });
});
