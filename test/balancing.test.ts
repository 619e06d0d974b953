import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { call, type CallOptions } from './support/http-call.ts';
import { answerJson, chatAnswer, startProvider, type Answer, type Provider } from './support/mock-provider.ts';

const hi = { messages: [{ role: 'user', content: 'hi' }] };

/** Three workers, behind a proxy that says whose requests they are. */
let stage: AiStage;
let provider: Provider;
/** Models of instances that fail. */
const failing = new Set<string>();

before(async () => {
  stage = await startStage({
    workers: 3,
    config: { nginx_config: { http: { real_ip_header: 'X-Real-IP', real_ip_from: ['127.0.0.1'] } } },
  });
  provider = await startProvider(answerAsModel);
});

after(() => Promise.all([stage, provider].map((part) => part[Symbol.asyncDispose]())));

beforeEach(() => failing.clear());

const answerAsModel: Answer = (request, response) => {
  const { model } = JSON.parse(request.body.toString()) as { model: string };
  answerJson({ ...chatAnswer, model }, failing.has(model) ? 500 : 200)(request, response);
};

/** A route whose instances are named as the models that they ask for. */
function route(conf: object, instances: Readonly<Record<string, object>>): Promise<string> {
  const all = Object.entries(instances).map(([name, more]) => ({
    name,
    provider: 'openai-compatible',
    auth: {},
    override: { endpoint: provider.url },
    options: { model: name },
    ...more,
  }));
  return stage.route({}, { plugins: { 'ai-proxy-multi': { instances: all, ...conf } } });
}

/** The instance that served a request. */
async function servedBy(url: string, options: CallOptions = {}): Promise<string> {
  const { json } = await call(url, { body: hi, ...options });
  return (json as { model: string }).model;
}

async function count(url: string, requests: number): Promise<Record<string, number>> {
  const served = await Promise.all(Array.from({ length: requests }, () => servedBy(url)));
  const counts: Record<string, number> = {};
  for (const name of served) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

const heavyAndLight = { heavy: { weight: 4 }, light: { weight: 1 } };
const three = { a: { weight: 1 }, b: { weight: 1 }, c: { weight: 1 } };
const names = Array.from({ length: 24 }, (_, i) => `user-${i}`);

describe('roundrobin in several workers', { timeout: 120_000 }, () => {
  test('V17 weights of 4 and 1 are exact whichever workers requests come to', async () => {
    const url = await route({}, heavyAndLight);
    for (let round = 0; round < 4; round++) assert.deepEqual(await count(url, 10), { heavy: 8, light: 2 });
  });

  test('the published example sends all to the larger priority', async () => {
    const url = await route(
      { balancer: { algorithm: 'roundrobin' }, fallback_strategy: 'instance_health_and_rate_limiting' },
      { 'openai-primary': { weight: 10, priority: 0 }, 'deepseek-backup': { weight: 5, priority: 1 } },
    );
    assert.deepEqual(await count(url, 6), { 'deepseek-backup': 6 });
    failing.add('deepseek-backup');
    assert.deepEqual(await count(url, 6), { 'openai-primary': 6 });
  });

  test('retries do not disturb the turns: what a sick instance should have had is shared by the others', async () => {
    const url = await route({ fallback_strategy: 'http_5xx' }, three);
    failing.add('b');
    assert.deepEqual(await count(url, 12), { a: 6, c: 6 });
  });

  test('turns go on where they were after the route was changed', async () => {
    const url = await route({}, heavyAndLight);
    const before = await count(url, 3);
    await stage.gateway.admin('PATCH', `/routes${new URL(url).pathname}`, { desc: 'changed' });
    const after = await count(url, 2);
    assert.deepEqual([(before['heavy'] ?? 0) + (after['heavy'] ?? 0), before['light'] ?? after['light']], [4, 1]);
  });
});

describe('chash in several workers', { timeout: 120_000 }, () => {
  interface Way {
    readonly what: string;
    readonly balancer: object;
    /** A request of somebody. */
    readonly from: (name: string) => { readonly query?: string; readonly headers?: Record<string, string> };
  }

  const ways: readonly Way[] = [
    {
      what: 'a header',
      balancer: { hash_on: 'header', key: 'x-u' },
      from: (name) => ({ headers: { 'X-U': name } }),
    },
    {
      what: 'a cookie',
      balancer: { hash_on: 'cookie', key: 'sid' },
      from: (name) => ({ headers: { Cookie: `other=1; sid=${name}` } }),
    },
    { what: 'a query argument', balancer: { key: 'arg_user' }, from: (name) => ({ query: `?user=${name}` }) },
    {
      what: 'variables together',
      balancer: { hash_on: 'vars_combinations', key: '$http_x_u/$arg_user' },
      from: (name) => ({ query: `?user=${name}`, headers: { 'X-U': 'same' } }),
    },
  ];

  for (const { what, balancer, from } of ways) {
    test(`V18 equal values of ${what} go to the same instance, different ones to all`, async () => {
      const url = await route({ balancer: { algorithm: 'chash', ...balancer } }, three);
      const ask = (name: string): Promise<string> => {
        const { query = '', headers = {} } = from(name);
        return servedBy(url + query, { headers });
      };
      const [first, again] = [await Promise.all(names.map(ask)), await Promise.all(names.map(ask))];
      assert.deepEqual(again, first);
      assert.deepEqual([...new Set(first)].sort(), ['a', 'b', 'c']);
    });
  }

  test('V18 without the header the address of the client decides, which is told once in the log', async () => {
    const url = await route({ balancer: { algorithm: 'chash', hash_on: 'header', key: 'x-absent' } }, three);
    const byAddress = (last: number): Promise<string> => servedBy(url, { headers: { 'X-Real-IP': `192.0.2.${last}` } });
    const addresses = names.map((_, i) => i);
    const first = await Promise.all(addresses.map(byAddress));
    assert.deepEqual(await Promise.all(addresses.map(byAddress)), first);
    assert.equal(new Set(first).size, 3);
    const warnings = stage.gateway
      .errorLog()
      .split('\n')
      .filter((line) => line.includes('x-absent'));
    assert.ok(warnings.length >= 1 && warnings.length <= 3, `${warnings.length} warnings of 3 workers`);
    assert.match(warnings[0] ?? '', /balanced by remote_addr/);
  });

  test('a sick instance loses its keys while it is sick, and nobody else does', async () => {
    const conf = { balancer: { algorithm: 'chash', hash_on: 'header', key: 'x-u' }, fallback_strategy: 'http_5xx' };
    const url = await route(conf, three);
    const ask = (name: string): Promise<string> => servedBy(url, { headers: { 'X-U': name } });
    const well = await Promise.all(names.map(ask));
    failing.add('b');
    const sick = await Promise.all(names.map(ask));
    failing.clear();
    for (const [i, name] of well.entries()) {
      if (name === 'b') assert.notEqual(sick[i], 'b');
      else assert.equal(sick[i], name);
    }
    assert.deepEqual(await Promise.all(names.map(ask)), well);
  });
});
