import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { call, type CallResult } from './support/http-call.ts';
import { eventually } from './support/gateway.ts';
import { connectRaw } from './support/raw-client.ts';
import { TestRedis } from './services/redis.ts';

const body = { messages: [{ role: 'user', content: 'What is a weir?' }] };
const minute = 60;

let stage: AiStage;
let redis: TestRedis;
before(async () => {
  redis = await TestRedis.start({ settings: { requirepass: 'counter-password' } });
  stage = await startStage({ workers: 2, env: { REDIS_PASSWORD: 'counter-password' } });
});
after(async () => {
  await stage[Symbol.asyncDispose]();
  await redis[Symbol.asyncDispose]();
});

let routes = 0;

/** A route with an LLM behind it, and the plugins. @returns The URL. */
async function route(plugins: object, on: AiStage = stage, id = `limits-${++routes}`): Promise<string> {
  const aiProxy = { provider: 'openai-compatible', auth: {}, override: { endpoint: on.provider.url } };
  await on.gateway.putRoute(id, { uri: `/${id}`, plugins: { 'ai-proxy': aiProxy, ...plugins } });
  return `${on.gateway.url}/${id}`;
}

function ask(url: string, headers: Record<string, string> = {}): Promise<CallResult> {
  return call(url, { headers: { 'Content-Type': 'application/json', ...headers }, body });
}

async function statuses(url: string, count: number): Promise<number[]> {
  const answers: number[] = [];
  for (let i = 0; i < count; i++) answers.push((await ask(url)).status);
  return answers;
}

function quota({ headers }: CallResult, prefix = 'x-ratelimit'): readonly (string | string[] | undefined)[] {
  return [headers[`${prefix}-limit`], headers[`${prefix}-remaining`]];
}

describe('limit-count', () => {
  test('refuses what is beyond the count, and tells how much is left', async () => {
    const url = await route({
      'limit-count': { count: 2, time_window: minute, rejected_code: 429, rejected_msg: 'slow down' },
    });
    const [first, second, third] = [await ask(url), await ask(url), await ask(url)];
    assert.deepEqual(
      [first, second, third].map(({ status }) => status),
      [200, 200, 429],
    );
    assert.deepEqual(
      [first, second, third].map((answer) => quota(answer)),
      [
        ['2', '1'],
        ['2', '0'],
        ['2', '0'],
      ],
    );
    const reset = Number(first.headers['x-ratelimit-reset']);
    assert.ok(Number.isInteger(reset) && reset > 50 && reset <= minute, String(reset));
    assert.deepEqual(third.json, { error_msg: 'slow down' });
    // Each worker writes its own lines, so their order says nothing.
    const logged = await stage.logged(url, 3);
    assert.deepEqual(logged.map(({ weir_error }) => weir_error).sort(), ['', '', 'RATE_LIMITED']);
  });

  test('refuses with 503 and no body by default, and shows nothing if it shall not', async () => {
    const url = await route({ 'limit-count': { count: 1, time_window: minute, show_limit_quota_header: false } });
    await ask(url);
    const refused = await ask(url);
    assert.deepEqual([refused.status, refused.text], [503, '']);
    assert.deepEqual(quota(refused), [undefined, undefined]);
  });

  for (const [name, conf, sameHeaders, otherHeaders] of [
    ['a variable', { key: 'http_x_user' }, { 'X-User': 'a' }, { 'X-User': 'b' }],
    [
      'several variables',
      { key_type: 'var_combination', key: '$http_x_user $http_x_team' },
      { 'X-User': 'a', 'X-Team': '1' },
      { 'X-User': 'a', 'X-Team': '2' },
    ],
  ] as const) {
    test(`counts by ${name}`, async () => {
      const url = await route({ 'limit-count': { count: 1, time_window: minute, ...conf } });
      assert.equal((await ask(url, sameHeaders)).status, 200);
      assert.equal((await ask(url, otherHeaders)).status, 200);
      assert.equal((await ask(url, sameHeaders)).status, 503);
    });
  }

  for (const [name, conf] of [
    ['a missing header', { key: 'http_x_user' }],
    ['an unknown variable', { key: 'no_such_variable' }],
    ['no value at all', { key_type: 'var_combination', key: '$http_x_user-$http_x_team' }],
  ] as const) {
    test(`counts by the address of the client for ${name}`, async () => {
      const url = await route({ 'limit-count': { count: 1, time_window: minute, ...conf } });
      assert.equal((await ask(url)).status, 200);
      assert.equal((await ask(url)).status, 503);
    });
  }

  test('counts all requests together by a constant', async () => {
    const url = await route({ 'limit-count': { count: 1, time_window: minute, key_type: 'constant', key: 'all' } });
    assert.deepEqual(await statuses(url, 2), [200, 503]);
  });

  test('takes its numbers from the request', async () => {
    const url = await route({ 'limit-count': { count: '${http_x_quota ?? 1}', time_window: '$http_x_window' } });
    const own = { 'X-Quota': '3', 'X-Window': '60' };
    assert.deepEqual(quota(await ask(url, own)), ['3', '2']);
    const none = await ask(url, { 'X-Window': 'soon' });
    assert.equal(none.status, 500);
    assert.match(none.text, /time_window is no whole number above 0 but \\"soon\\"/);
  });

  test('obeys every rule that applies, each with its own headers', async () => {
    const url = await route({
      'limit-count': {
        rules: [
          { count: 3, time_window: minute, key: '$http_x_team', header_prefix: 'Team' },
          { count: 1, time_window: minute, key: '$http_x_user' },
        ],
      },
    });
    const first = await ask(url, { 'X-Team': 't', 'X-User': 'a' });
    assert.deepEqual(
      [quota(first, 'x-team-ratelimit'), quota(first, 'x-2-ratelimit')],
      [
        ['3', '2'],
        ['1', '0'],
      ],
    );
    assert.equal((await ask(url, { 'X-Team': 't', 'X-User': 'a' })).status, 503);
    assert.equal((await ask(url, { 'X-Team': 't', 'X-User': 'b' })).status, 200);
    assert.equal((await ask(url, { 'X-Team': 't', 'X-User': 'c' })).status, 503);
    assert.equal((await ask(url)).status, 200, 'no rule applies');
  });

  test('routes of one group share their counter', async () => {
    const conf = { count: 2, time_window: minute, group: 'shared' };
    const urls = [await route({ 'limit-count': conf }), await route({ 'limit-count': conf })];
    assert.equal((await ask(urls[0] ?? '')).status, 200);
    assert.equal((await ask(urls[1] ?? '')).status, 200);
    assert.equal((await ask(urls[0] ?? '')).status, 503);
    assert.equal((await ask(urls[1] ?? '')).status, 503);
    assert.doesNotMatch(stage.gateway.errorLog(), /routes of a group have/);
    await route({ 'limit-count': { ...conf, count: 3 } });
    await eventually(() => stage.gateway.errorLog().includes('routes of a group have different limits'));
  });

  test('begins to count anew when its configuration changes, and only then', async () => {
    const plugin = { count: 1, time_window: minute };
    const url = await route({ 'limit-count': plugin }, stage, 'changing');
    assert.deepEqual(await statuses(url, 2), [200, 503]);
    await route(
      { 'limit-count': plugin, 'ai-prompt-decorator': { append: [{ role: 'user', content: 'x' }] } },
      stage,
      'changing',
    );
    assert.equal((await ask(url)).status, 503);
    await route({ 'limit-count': { ...plugin, count: 2 } }, stage, 'changing');
    assert.deepEqual(await statuses(url, 3), [200, 200, 503]);
  });

  test('is exact across the workers of one gateway', async () => {
    const url = await route({ 'limit-count': { count: 40, time_window: minute } });
    const answers = await Promise.all(Array.from({ length: 120 }, () => ask(url)));
    assert.equal(answers.filter(({ status }) => status === 200).length, 40);
  });

  const onRedis = (conf: object = {}): { readonly 'limit-count': object } => ({
    'limit-count': {
      count: 30,
      time_window: minute,
      policy: 'redis',
      redis_host: '127.0.0.1',
      redis_port: redis.port,
      redis_password: '$env://REDIS_PASSWORD',
      ...conf,
    },
  });

  test('in a Redis counts a request by no rule behind the one that refuses it', async () => {
    redis.command('-a', 'counter-password', '--no-auth-warning', 'flushall');
    const rules = [
      { count: 100, time_window: minute, key: '$uri', header_prefix: 'Before' },
      { count: 1, time_window: minute, key: '$http_x_user' },
      { count: 100, time_window: minute, key: '$uri$http_x_user', header_prefix: 'Behind' },
    ];
    const url = await route({
      'limit-count': { ...onRedis()['limit-count'], count: undefined, time_window: undefined, rules },
    });
    const answers = [];
    for (const user of ['a', 'a', 'a', 'b']) answers.push(await ask(url, { 'X-User': user }));
    assert.deepEqual(
      answers.map((answer) => [
        answer.status,
        quota(answer, 'x-before-ratelimit')[1],
        quota(answer, 'x-behind-ratelimit')[1],
      ]),
      [
        [200, '99', '99'],
        [503, '98', undefined],
        [503, '97', undefined],
        [200, '96', '99'],
      ],
    );
    const used = (): string =>
      redis
        .command('-a', 'counter-password', '--no-auth-warning', '--raw', 'keys', 'weir:*')
        .split('\n')
        .map((key) => redis.command('-a', 'counter-password', '--no-auth-warning', 'get', key))
        .sort()
        .join();
    await eventually(() => used() === '1,1,1,1,4', undefined, 'what was given back');
  });

  test('is exact across gateways that share a Redis', async () => {
    await using other = await startStage({ env: { REDIS_PASSWORD: 'counter-password' } });
    const urls = [await route(onRedis(), stage, 'both'), await route(onRedis(), other, 'both')];
    const answers = await Promise.all(Array.from({ length: 90 }, (_, i) => ask(urls[i % 2] ?? '')));
    assert.equal(answers.filter(({ status }) => status === 200).length, 30);
    assert.doesNotMatch(stage.gateway.errorLog() + other.gateway.errorLog(), /counter-password/);
  });

  test('without its Redis it refuses, or lets pass if that is preferred, and recovers by itself', async () => {
    const refusing = await route(onRedis({ redis_timeout: 300 }));
    const passing = await route(onRedis({ redis_timeout: 300, allow_degradation: true }));
    assert.equal((await ask(refusing)).status, 200);
    redis.pause();
    try {
      const refused = await ask(refusing);
      assert.deepEqual([refused.status, refused.json], [500, { error_msg: 'failed to limit count' }]);
      assert.equal((await ask(passing)).status, 200);
    } finally {
      redis.resume();
    }
    let answers = 0;
    // Each worker finds out by itself.
    for (let tries = 0; answers < 8 && tries < 500; tries++)
      answers = (await ask(refusing)).status === 200 ? answers + 1 : 0;
    assert.equal(answers, 8);
    const log = stage.gateway.errorLog();
    assert.match(log, /a Redis with counters of rate limits fails.*no answer within 300 ms/);
    assert.match(log, /a Redis with counters of rate limits answers again/);
  });

  for (const [name, conf, message] of [
    ['no limit', {}, 'value should match only one schema, but matches none'],
    [
      'a limit and rules',
      { count: 1, time_window: 1, rules: [{ count: 1, time_window: 1, key: '$uri' }] },
      'value should match only one schema, but matches both schemas 1 and 2',
    ],
    [
      'a number that is none',
      { count: 'many', time_window: 1 },
      'property "count" validation failed: expected a whole number above 0 or a text with variables, got "many"',
    ],
    [
      'a sliding window',
      { count: 1, time_window: 1, window_type: 'sliding' },
      'property "window_type" validation failed: matches none of the enum values',
    ],
    [
      'redis without a host',
      { count: 1, time_window: 1, policy: 'redis' },
      'property "redis_host" is required when policy is "redis"',
    ],
    [
      'a cluster without a name',
      { count: 1, time_window: 1, policy: 'redis-cluster', redis_cluster_nodes: ['127.0.0.1:7000'] },
      'property "redis_cluster_name" is required when policy is "redis-cluster"',
    ],
    [
      'a node without a port',
      { count: 1, time_window: 1, policy: 'redis-cluster', redis_cluster_nodes: ['node'], redis_cluster_name: 'c' },
      'property "redis_cluster_nodes" validation failed: failed to validate item 1: failed to match pattern "^.+:[0-9]{1,5}$" with "node"',
    ],
    [
      'sentinels without a master',
      { count: 1, time_window: 1, policy: 'redis-sentinel', redis_sentinels: [{ host: '127.0.0.1', port: 26379 }] },
      'property "redis_master_name" is required when policy is "redis-sentinel"',
    ],
    [
      'two rules with one key',
      {
        rules: [
          { count: 1, time_window: 1, key: '$uri' },
          { count: 2, time_window: 2, key: '$uri' },
        ],
      },
      "duplicate key '$uri' in rules",
    ],
  ] as const) {
    test(`is refused with ${name}`, async () => {
      const answer = await stage.gateway.admin('PUT', '/routes/bad', { uri: '/bad', plugins: { 'limit-count': conf } });
      assert.equal(answer.status, 400);
      assert.deepEqual(answer.body, {
        error_msg: `failed to check the configuration of plugin limit-count err: ${message}`,
      });
    });
  }
});

describe('limit-req', () => {
  test('refuses what is faster than the rate and the burst', async () => {
    const url = await route({
      'limit-req': {
        rate: 0.01,
        burst: 1,
        key: 'remote_addr',
        nodelay: true,
        rejected_code: 429,
        rejected_msg: 'too fast',
      },
    });
    assert.deepEqual(await statuses(url, 2), [200, 200]);
    const refused = await ask(url);
    assert.deepEqual([refused.status, refused.json], [429, { error_msg: 'too fast' }]);
  });

  test('delays what is within the burst', async () => {
    const url = await route({ 'limit-req': { rate: 5, burst: 2, key: 'remote_addr' } });
    const start = performance.now();
    assert.deepEqual(await statuses(url, 3), [200, 200, 200]);
    assert.ok(performance.now() - start >= 380, 'the third one is 400 ms after the first');
  });

  test('a client that leaves while it is delayed is not served', async () => {
    const url = await route({ 'limit-req': { rate: 0.01, burst: 1, key: 'remote_addr' } });
    await ask(url);
    const served = stage.provider.requests.length;
    // The request is on its way before the client leaves, however busy the machine is.
    await using client = await connectRaw(stage.gateway.port);
    const text = JSON.stringify(body);
    const head = `POST ${new URL(url).pathname} HTTP/1.1\r\nHost: x\r\nContent-Length: ${text.length}\r\n\r\n`;
    client.write(head + text);
    await sleep(50);
    client.socket.destroy();
    const logged = await stage.logged(url, 2);
    assert.equal(logged[1]?.status, '499');
    assert.equal(stage.provider.requests.length, served);
  });

  test('a request that is delayed when the gateway ends is told so', async () => {
    await using own = await startStage({ config: { weir: { shutdown_timeout: '100ms' } } });
    const limit = { rate: 0.01, burst: 1, key: 'remote_addr', rejected_code: 429 };
    const url = await route({ 'limit-req': limit }, own);
    await ask(url);
    const both = [ask(url), ask(url)];
    // As soon as one is refused, the other one is delayed.
    assert.equal((await Promise.race(both)).status, 429);
    const ended = own.gateway.stop('SIGTERM');
    const delayed = (await Promise.all(both)).filter(({ status }) => status !== 429);
    assert.deepEqual(
      delayed.map(({ status, json }) => [status, json]),
      [[503, { error_msg: 'the gateway was stopped before the answer was complete' }]],
    );
    assert.equal(await ended, 0);
  });

  test('is exact across the workers of one gateway', async () => {
    const url = await route({ 'limit-req': { rate: 0.01, burst: 9, key: 'remote_addr', nodelay: true } });
    const answers = await Promise.all(Array.from({ length: 40 }, () => ask(url)));
    assert.equal(answers.filter(({ status }) => status === 200).length, 10);
  });

  test('keeps its bucket in a Redis', async () => {
    const url = await route({
      'limit-req': {
        rate: 0.01,
        burst: 9,
        key: 'remote_addr',
        nodelay: true,
        policy: 'redis',
        redis_host: '127.0.0.1',
        redis_port: redis.port,
        redis_password: '$env://REDIS_PASSWORD',
      },
    });
    const answers = await Promise.all(Array.from({ length: 40 }, () => ask(url)));
    assert.equal(answers.filter(({ status }) => status === 200).length, 10);
  });
});
