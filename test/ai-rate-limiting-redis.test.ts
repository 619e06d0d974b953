import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TestRedis } from './services/redis.ts';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { eventually, startGateway, type TestGateway } from './support/gateway.ts';
import { call, type CallResult } from './support/http-call.ts';
import { answerJson, chatAnswer } from './support/mock-provider.ts';

const body = { messages: [{ role: 'user', content: 'hi' }] };
const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };

let redis: TestRedis;
let stage: AiStage;
let second: TestGateway;

before(async () => {
  redis = await TestRedis.start();
  stage = await startStage({ workers: 2 });
  second = await startGateway();
  stage.provider.answer = answerJson({ ...chatAnswer, usage });
});

after(async () => {
  await second[Symbol.asyncDispose]();
  await stage[Symbol.asyncDispose]();
  await redis[Symbol.asyncDispose]();
});

/** The same route on both gateways. @returns Its URLs. */
async function sharedRoute(id: string, limits: object): Promise<readonly [string, string]> {
  const instance = (name: string, priority: number): object => ({
    name,
    priority,
    weight: 1,
    provider: 'openai',
    auth: {},
    override: { endpoint: stage.provider.url },
  });
  const route = {
    uri: `/${id}`,
    plugins: {
      'ai-proxy-multi': { instances: [instance('one', 1), instance('two', 0)], fallback_strategy: ['rate_limiting'] },
      'ai-rate-limiting': { policy: 'redis', redis_host: '127.0.0.1', redis_port: redis.port, ...limits },
    },
  };
  await stage.gateway.putRoute(id, route);
  await second.putRoute(id, route);
  return [`${stage.gateway.url}/${id}`, `${second.url}/${id}`];
}

/** What was used, of all windows in the Redis. */
function usedInRedis(): number {
  const keys = redis.command('keys', 'weir:ai-rate-limiting:*').split('\n').filter(Boolean);
  return keys.reduce((sum, key) => sum + Number(redis.command('get', key)), 0);
}

/** Makes a call, and waits until it has been charged: that happens behind its answer. */
async function chargedCall(url: string): Promise<CallResult> {
  const before = usedInRedis();
  const answer = await call(url, { body });
  if (answer.status === 200) await eventually(() => usedInRedis() === before + usage.total_tokens);
  return answer;
}

describe('tokens that are counted in a Redis', { timeout: 120_000 }, () => {
  test('are those of all gateways, and the next instance serves when one has none left', async () => {
    redis.command('flushall');
    const urls = await sharedRoute('instances', {
      instances: ['one', 'two'].map((name) => ({ name, limit: 20, time_window: 60 })),
    });
    const answers: CallResult[] = [];
    for (const url of [...urls, ...urls, ...urls]) answers.push(await chargedCall(url));
    assert.deepEqual(
      answers.map(({ status, headers }) => [
        status,
        headers['x-ai-ratelimit-remaining-one'],
        headers['x-ai-ratelimit-remaining-two'],
      ]),
      [
        [200, '20', undefined],
        [200, '10', undefined],
        [200, undefined, '20'],
        [200, undefined, '10'],
        [503, undefined, undefined],
        [503, undefined, undefined],
      ],
    );
  });

  test('are not lost when many answers end at once', async () => {
    redis.command('flushall');
    const urls = await sharedRoute('parallel', { limit: 1_000_000, time_window: 600 });
    const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => call(urls[i % 2] ?? '', { body })));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    await eventually(() => usedInRedis() === 600);
  });

  test('cannot be told while it is away, which the configuration decides about', async () => {
    const limits = { limit: 1_000_000, time_window: 600, redis_timeout: 200 };
    const [strict] = await sharedRoute('strict', limits);
    const [lenient] = await sharedRoute('lenient', { ...limits, allow_degradation: true });
    await redis.kill();
    try {
      assert.equal((await call(strict, { body })).status, 500);
      assert.equal((await call(lenient, { body })).status, 200);
    } finally {
      await redis.restart();
    }
    let status = 0;
    for (let tries = 0; tries < 200 && status !== 200; tries++) {
      status = (await call(strict, { body })).status;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.equal(status, 200);
  });

  test('cannot be charged while it refuses to write, so nothing passes until it counts again', async () => {
    redis.command('flushall');
    const limits = { limit: 1_000_000, time_window: 600 };
    await using own = await startStage();
    const plugins = (allow_degradation: boolean): object => ({
      'ai-proxy': { provider: 'openai-compatible', auth: {}, override: { endpoint: own.provider.url } },
      'ai-rate-limiting': {
        ...limits,
        policy: 'redis',
        redis_host: '127.0.0.1',
        redis_port: redis.port,
        allow_degradation,
      },
    });
    own.provider.answer = answerJson({ ...chatAnswer, usage });
    await own.gateway.putRoute('strict', { uri: '/strict', plugins: plugins(false) });
    await own.gateway.putRoute('lenient', { uri: '/lenient', plugins: plugins(true) });
    const ask = async (name: string): Promise<number> => (await call(`${own.gateway.url}/${name}`, { body })).status;
    const logged = (): string[] => own.gateway.errorLog().match(/a Redis with .*/g) ?? [];
    redis.command('replicaof', '127.0.0.1', '1');
    try {
      assert.equal(await ask('strict'), 200, 'it finds out by charging this one');
      await eventually(() => logged().length === 1);
      for (let i = 0; i < 20; i++) assert.deepEqual([await ask('strict'), await ask('lenient')], [500, 200]);
      assert.equal(logged().length, 1, logged().join('\n'));
      assert.match(logged()[0] ?? '', /READONLY/);
    } finally {
      redis.command('replicaof', 'no', 'one');
    }
    await eventually(() => logged().length === 2);
    assert.equal(await ask('strict'), 200);
    await eventually(() => usedInRedis() === 10);
  });
});
