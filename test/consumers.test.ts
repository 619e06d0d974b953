import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SignJWT } from 'jose';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { call, openCall, type CallResult } from './support/http-call.ts';
import { answerJson, chatAnswer, fieldOf, startProvider, type Provider } from './support/mock-provider.ts';

const body = { messages: [{ role: 'user', content: 'What is a weir?' }] };
const accessLog = {
  access_log_format:
    '$request_uri status=$status consumer=$consumer_name group=$consumer_group_id credential=$credential_identifier service=$service_id error=$weir_error "$request" $args $http_apikey $cookie_session $http_cookie',
};

let stage: AiStage;
let upstream: Provider;
before(async () => {
  stage = await startStage({ config: { nginx_config: { http: accessLog } }, env: { CAROL_KEY: 'key-of-carol' } });
  upstream = await startProvider(answerJson({ ok: true }));
});
after(async () => {
  await stage[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

/** Puts a resource through the Admin API, which must succeed. */
async function put(path: string, value: object): Promise<void> {
  const answer = await stage.gateway.admin('PUT', path, value);
  assert.ok(answer.status === 200 || answer.status === 201, `${path}: ${JSON.stringify(answer.body)}`);
}

async function remove(path: string): Promise<void> {
  const answer = await stage.gateway.admin('DELETE', path);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

function consumer(
  username: string,
  plugins: object = { 'key-auth': { key: `key-of-${username}` } },
  more: object = {},
) {
  return put('/consumers', { username, plugins, ...more });
}

function aiProxy(options: object = {}): object {
  return { provider: 'openai-compatible', auth: {}, override: { endpoint: stage.provider.url }, ...options };
}

let routes = 0;

/** A route to the LLM. @returns Its URL. */
async function route(plugins: object, more: object = {}): Promise<string> {
  const id = `consumers-${++routes}`;
  await put(`/routes/${id}`, { uri: `/${id}`, plugins: { 'ai-proxy': aiProxy(), ...plugins }, ...more });
  return `${stage.gateway.url}/${id}`;
}

/** A route to an ordinary upstream. @returns Its URL. */
async function plainRoute(plugins: object, more: object = {}): Promise<string> {
  const id = `plain-${++routes}`;
  const nodes = { [`127.0.0.1:${upstream.port}`]: 1 };
  await put(`/routes/${id}`, { uri: `/${id}`, plugins, upstream: { nodes }, ...more });
  return `${stage.gateway.url}/${id}`;
}

function ask(url: string, headers: Record<string, string> = {}): Promise<CallResult> {
  return call(url, { headers: { 'Content-Type': 'application/json', ...headers }, body });
}

/** What the provider was asked last. */
function lastAsked(): { model?: string; temperature?: number; messages: { content: string }[] } {
  return JSON.parse(stage.provider.requests.at(-1)?.body.toString() ?? '') as ReturnType<typeof lastAsked>;
}

function as(name: string): Record<string, string> {
  return { apikey: `key-of-${name}` };
}

async function statuses(url: string, headers: Record<string, string>, count: number): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < count; i++) found.push((await ask(url, headers)).status);
  return found;
}

const limit = (count: number): object => ({
  count,
  time_window: 3600,
  rejected_code: 429,
  key: 'uri',
  key_type: 'constant',
});

describe('consumers', () => {
  test('have quotas of their own over all routes', async () => {
    await put('/consumer_groups/pupils', {
      plugins: { 'limit-count': { ...limit(3), key: 'consumer_name', key_type: 'var' } },
    });
    await consumer('jack', { 'key-auth': { key: 'key-of-jack' }, 'limit-count': limit(2) });
    await consumer('jill', { 'key-auth': { key: 'key-of-jill' }, 'limit-count': limit(4) }, { group_id: 'pupils' });
    await consumer('tom', { 'key-auth': { key: 'key-of-tom' } }, { group_id: 'pupils' });
    const [one, other] = [await route({ 'key-auth': {} }), await route({ 'key-auth': {}, 'limit-count': limit(1) })];
    assert.deepEqual(await statuses(one, as('jack'), 1), [200]);
    assert.deepEqual(await statuses(other, as('jack'), 2), [200, 429]);
    assert.deepEqual(await statuses(one, as('jack'), 1), [429]);
    assert.deepEqual(await statuses(other, as('jill'), 5), [200, 200, 200, 200, 429]);
    assert.deepEqual(await statuses(one, as('tom'), 2), [200, 200]);
    assert.deepEqual(await statuses(other, as('tom'), 2), [200, 429]);
  });

  test('have token quotas of their own', async () => {
    const quota = { limit: chatAnswer.usage.total_tokens, time_window: 3600, rejected_code: 429 };
    await consumer('meg', { 'key-auth': { key: 'key-of-meg' }, 'ai-rate-limiting': quota });
    await consumer('may', {
      'key-auth': { key: 'key-of-may' },
      'ai-rate-limiting': { ...quota, limit: quota.limit * 2 },
    });
    const [one, other] = [await route({ 'key-auth': {} }), await route({ 'key-auth': {} })];
    assert.deepEqual(await statuses(one, as('meg'), 1), [200]);
    assert.deepEqual(await statuses(other, as('meg'), 1), [429]);
    assert.deepEqual(await statuses(one, as('may'), 3), [200, 200, 429]);
  });

  test('replace the whole configuration of a plugin', async () => {
    await consumer('rich', {
      'key-auth': { key: 'key-of-rich' },
      'ai-proxy': aiProxy({ options: { model: 'large' } }),
    });
    await consumer('poor');
    const url = await route({ 'key-auth': {}, 'ai-proxy': aiProxy({ options: { model: 'small', temperature: 0 } }) });
    const models = [];
    for (const name of ['rich', 'poor', 'rich']) {
      await ask(url, as(name));
      const { model, temperature } = lastAsked();
      models.push([model, temperature]);
    }
    assert.deepEqual(models, [
      ['large', undefined],
      ['small', 0],
      ['large', undefined],
    ]);
  });

  test('switch a plugin of the route off for themselves', async () => {
    await consumer('free', { 'key-auth': { key: 'key-of-free' }, 'limit-count': { _meta: { disable: true } } });
    await consumer('bound');
    const url = await route({ 'key-auth': {}, 'limit-count': limit(1) });
    assert.deepEqual(await statuses(url, as('bound'), 2), [200, 429]);
    assert.deepEqual(await statuses(url, as('free'), 2), [200, 200]);
  });

  test('with a logger of their own do not have a filter of the route decided anew', async () => {
    await consumer('noted', { 'key-auth': { key: 'key-of-noted' }, 'file-logger': { path: 'logs/noted.log' } });
    const filter = [['consumer_name', '==', 'noted']];
    const url = await plainRoute({ 'key-auth': {}, cors: { _meta: { filter } } });
    const { headers } = await call(url, { method: 'GET', headers: as('noted') });
    assert.equal(headers['access-control-allow-origin'], undefined, 'nobody was known when cors had its first turn');
  });

  test('bring plugins of the phase rewrite along, which run once', async () => {
    const decorate = (content: string): object => ({ prepend: [{ role: 'system', content }] });
    await consumer('chatty', {
      'key-auth': { key: 'key-of-chatty' },
      'ai-prompt-decorator': decorate('from the consumer'),
    });
    await consumer('quiet');
    const url = await route({ 'key-auth': {}, 'ai-prompt-decorator': decorate('from the route') });
    const prompts = [];
    for (const name of ['chatty', 'quiet']) {
      await ask(url, as(name));
      prompts.push(lastAsked().messages.map(({ content }) => content));
    }
    assert.deepEqual(prompts, [
      ['from the consumer', 'What is a weir?'],
      ['from the route', 'What is a weir?'],
    ]);
  });

  test('are recognized by each of their credentials', async () => {
    await put('/consumers', { username: 'carl', labels: { custom_id: 'customer-7' } });
    await put('/consumers/carl/credentials/one', { plugins: { 'key-auth': { key: 'carls-first' } } });
    await put('/consumers/carl/credentials/two', { plugins: { 'key-auth': { key: 'carls-second' } } });
    const url = await plainRoute({ 'key-auth': {} });
    for (const [key, id] of [
      ['carls-first', 'one'],
      ['carls-second', 'two'],
    ]) {
      assert.equal((await ask(url, { apikey: key ?? '' })).status, 200);
      const request = upstream.requests.at(-1);
      assert.deepEqual(
        ['x-consumer-username', 'x-credential-identifier', 'x-consumer-custom-id'].map((name) =>
          fieldOf(request, name),
        ),
        ['carl', id, 'customer-7'],
      );
    }
    await remove('/consumers/carl/credentials/one');
    assert.equal((await ask(url, { apikey: 'carls-first' })).status, 401);
    assert.equal((await ask(url, { apikey: 'carls-second' })).status, 200);
  });

  test('cannot be named by the client itself', async () => {
    const claims = {
      'X-Consumer-Username': 'admin',
      'x-credential-identifier': 'x',
      'X-Consumer-Custom-ID': 'y',
      X_Consumer_Username: 'admin',
      'x-consumer_custom-id': 'y',
      'X-Custom': 'stays',
    };
    await ask(await plainRoute({}), claims);
    const request = upstream.requests.at(-1);
    assert.deepEqual(
      Object.keys(claims).map((name) => fieldOf(request, name.toLowerCase())),
      [undefined, undefined, undefined, undefined, undefined, 'stays'],
    );
  });

  test('are not named to LLM providers', async () => {
    await consumer('secretive');
    const url = await route({ 'key-auth': {} });
    assert.equal((await ask(url, { ...as('secretive'), 'X-Consumer-Username': 'x' })).status, 200);
    assert.equal(fieldOf(stage.provider.requests.at(-1), 'x-consumer-username'), undefined);
  });

  test('stand in the access log, their keys do not', async () => {
    await put('/consumer_groups/logged', { plugins: {} });
    await consumer('kim', {}, { group_id: 'logged' });
    await put('/consumers/kim/credentials/laptop', { plugins: { 'key-auth': { key: 'key-of-kim' } } });
    const url = await route({ 'key-auth': {} });
    await ask(`${url}?a=1&apikey=key-of-kim`);
    await ask(`${url}?b=1&%61pikey=wrong-key-of-kim`);
    await ask(`${url}?c=1`, as('kim'));
    await put('/consumers/kim/credentials/browser', {
      plugins: { 'jwt-auth': { key: 'kim', secret: 'secret-of-kim' } },
    });
    const byCookie = await route({ 'jwt-auth': { cookie: 'session' } });
    const token = await new SignJWT({ key: 'kim' })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(Buffer.from('secret-of-kim'));
    await ask(byCookie, { Cookie: `session=${token}` });
    const { pathname } = new URL(url);
    await stage.gateway.accessLog(`${pathname}?c=1`);
    const lines = await stage.gateway.accessLog(pathname);
    assert.deepEqual(lines, [
      `${pathname}?a=1&apikey=[redacted] status=200 consumer=kim group=logged credential=laptop service= error= "POST ${pathname}?a=1&apikey=[redacted] HTTP/1.1" a=1&apikey=[redacted]   `,
      `${pathname}?b=1&%61pikey=[redacted] status=401 consumer= group= credential= service= error=UNAUTHORIZED "POST ${pathname}?b=1&%61pikey=[redacted] HTTP/1.1" b=1&%61pikey=[redacted]   `,
      `${pathname}?c=1 status=200 consumer=kim group=logged credential=laptop service= error= "POST ${pathname}?c=1 HTTP/1.1" c=1 [redacted]  `,
    ]);
    const [line = ''] = await stage.gateway.accessLog(new URL(byCookie).pathname);
    assert.match(line, / status=200 consumer=kim group=logged credential=browser .* \[redacted\] \[redacted\]$/);
  });

  test('that are deleted are refused, but a request of theirs that runs is answered', async () => {
    await consumer('gone');
    const url = await route({ 'key-auth': {} });
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    stage.provider.answer = async (request, response) => {
      await released;
      answerJson(chatAnswer)(request, response);
    };
    try {
      const seen = stage.provider.requests.length;
      const running = openCall(url, { headers: { 'Content-Type': 'application/json', ...as('gone') }, body });
      while (stage.provider.requests.length === seen) await new Promise((resolve) => setTimeout(resolve, 2));
      await remove('/consumers/gone');
      assert.equal((await ask(url, as('gone'))).status, 401);
      release();
      assert.equal((await (await running).finish()).status, 200);
    } finally {
      release();
      stage.provider.answer = answerJson(chatAnswer);
    }
  });

  test('of a group that was forced away are refused', async () => {
    await put('/consumer_groups/short', { plugins: {} });
    await consumer('orphan', undefined, { group_id: 'short' });
    const url = await route({ 'key-auth': {} });
    assert.equal((await ask(url, as('orphan'))).status, 200);
    await remove('/consumer_groups/short?force=true');
    const refused = await ask(url, as('orphan'));
    assert.equal(refused.status, 503);
    assert.deepEqual(refused.json, { error_msg: 'the consumer group short of the consumer orphan does not exist' });
  });
});

describe('a route', () => {
  test('takes plugins from its plugin config and its service, its own first', async () => {
    const model = (name: string): object => ({ 'ai-proxy': aiProxy({ options: { model: name } }) });
    await put('/services/s1', { plugins: { ...model('service'), 'limit-count': limit(4) } });
    await put('/plugin_configs/p1', { plugins: model('config') });
    const paths = {
      '/merge-service': { service_id: 's1' },
      '/merge-config': { service_id: 's1', plugin_config_id: 'p1', plugins: {} },
      '/merge-route': { service_id: 's1', plugin_config_id: 'p1', plugins: model('route') },
    };
    const used = [];
    for (const [uri, route] of Object.entries(paths)) {
      await put(`/routes/${uri.slice(1)}`, { uri, ...route });
      await ask(stage.gateway.url + uri);
      used.push(lastAsked().model);
    }
    assert.deepEqual(used, ['service', 'config', 'route']);
    // The limit of the service counts for all its routes.
    const left = [await ask(`${stage.gateway.url}/merge-service`), await ask(`${stage.gateway.url}/merge-route`)];
    assert.deepEqual(
      left.map(({ status }) => status),
      [200, 429],
    );
  });

  test('follows a change of what it refers to', async () => {
    await put('/plugin_configs/p2', { plugins: { 'ai-proxy': aiProxy({ options: { model: 'before' } }) } });
    await put('/routes/follows', { uri: '/follows', plugin_config_id: 'p2', plugins: {} });
    await ask(`${stage.gateway.url}/follows`);
    const before = lastAsked().model;
    await put('/plugin_configs/p2', { plugins: { 'ai-proxy': aiProxy({ options: { model: 'after' } }) } });
    await ask(`${stage.gateway.url}/follows`);
    assert.deepEqual([before, lastAsked().model], ['before', 'after']);
  });

  test('has the hosts and the upstream of its service, unless it has its own', async () => {
    const nodes = { [`127.0.0.1:${upstream.port}`]: 1 };
    await put('/upstreams/u1', { nodes });
    await put('/services/s2', { hosts: ['a.example.com'], upstream_id: 'u1' });
    await put('/routes/hosts-1', { uri: '/hosts', service_id: 's2' });
    await put('/routes/hosts-2', { uri: '/own-hosts', service_id: 's2', hosts: ['b.example.com'] });
    const get = async (uri: string, host: string): Promise<number> =>
      (await call(stage.gateway.url + uri, { method: 'GET', headers: { host } })).status;
    assert.equal(await get('/hosts', 'a.example.com'), 200);
    assert.equal(await get('/hosts', 'b.example.com'), 404);
    assert.equal(await get('/own-hosts', 'a.example.com'), 404);
    assert.equal(await get('/own-hosts', 'b.example.com'), 200);
  });

  test('is left out while what it refers to is missing', async () => {
    await put('/services/s3', { plugins: { 'ai-proxy': aiProxy() } });
    await put('/routes/dangling', { uri: '/dangling', service_id: 's3' });
    await remove('/services/s3?force=true');
    assert.equal((await ask(`${stage.gateway.url}/dangling`)).status, 404);
    await stage.gateway.untilErrorLog(/a route cannot be served and is left out.*services\/s3/);
    await put('/services/s3', { plugins: { 'ai-proxy': aiProxy() } });
    assert.equal((await ask(`${stage.gateway.url}/dangling`)).status, 200);
  });
});

describe('global rules', () => {
  test('run on all requests, also on those that no route matches, before the plugins of the route', async () => {
    const url = await route({ 'limit-count': limit(100) });
    await consumer('everywhere');
    await put('/global_rules/g1', { plugins: { 'key-auth': { header: 'x-global-key', query: 'x-global-key' } } });
    try {
      assert.equal((await ask(`${stage.gateway.url}/no-such-route`)).status, 401);
      const refused = await ask(url);
      assert.deepEqual([refused.status, refused.headers['x-ratelimit-limit']], [401, undefined]);
      const headers = { 'x-global-key': 'key-of-everywhere' };
      assert.equal((await ask(`${stage.gateway.url}/no-such-route`, headers)).status, 404);
      assert.equal((await ask(url, headers)).status, 200);
      assert.match((await stage.gateway.accessLog('/no-such-route status=404')).join(), /consumer=everywhere/);
    } finally {
      await remove('/global_rules/g1');
    }
    assert.equal((await ask(url)).status, 200);
  });

  test('leave the charging of tokens to the route, where both limit them', async () => {
    const tokens = chatAnswer.usage.total_tokens;
    const quota = { limit: tokens * 3, time_window: 3600 };
    const url = await route({ 'ai-rate-limiting': quota });
    await put('/global_rules/g3', { plugins: { 'ai-rate-limiting': { ...quota, limit: tokens } } });
    try {
      await ask(url);
      assert.equal((await ask(url)).headers['x-ai-ratelimit-remaining-ai-proxy-openai-compatible'], String(tokens * 2));
    } finally {
      await remove('/global_rules/g3');
    }
  });

  test('make the consumer known to the routes', async () => {
    await consumer('limited', { 'key-auth': { key: 'key-of-limited' }, 'limit-count': limit(1) });
    const url = await route({});
    await put('/global_rules/g2', { plugins: { 'key-auth': {} } });
    try {
      assert.deepEqual(await statuses(url, as('limited'), 2), [200, 429]);
    } finally {
      await remove('/global_rules/g2');
    }
  });
});

describe('plugin metadata', () => {
  test('sets the log format of loggers, and changes it', async () => {
    const url = await route({ 'file-logger': { path: 'logs/metadata.log' } });
    await put('/plugin_metadata/file-logger', { log_format: { first: '$consumer_name' } });
    await ask(url);
    await put('/plugin_metadata/file-logger', { log_format: { second: '$status' } });
    await ask(url);
    await remove('/plugin_metadata/file-logger');
    const lines = (): string[] => stage.gateway.readLog('metadata.log').split('\n').filter(Boolean);
    while (lines().length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(
      lines().map((line) => Object.keys(JSON.parse(line) as object)[0]),
      ['route_id', 'second'],
    );
  });
});
