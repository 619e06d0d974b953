import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { freePort } from './support/free-port.ts';
import { eventually, startGateway } from './support/gateway.ts';
import { call, openCall, type CallOptions, type CallResult } from './support/http-call.ts';
import {
  answerJson,
  chatAnswer,
  chatEvent,
  fieldOf,
  rawAnswer,
  startProvider,
  streamHead,
  textEvent,
  type Answer,
  type Provider,
} from './support/mock-provider.ts';

const limits = { timeout: 120_000 };
const chat: CallOptions = { body: { messages: [{ role: 'user', content: 'hi' }] } };
/** What each answer costs unless a test says otherwise. */
const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };

let stage: AiStage;
let other: Provider;
let closedUrl = '';

before(async () => {
  // With one worker an answer has been charged for when the next request is read.
  stage = await startStage({ workers: 1 });
  other = await startProvider(answers(usage));
  closedUrl = `http://127.0.0.1:${await freePort()}`;
});

after(() => Promise.all([stage, other].map((part) => part[Symbol.asyncDispose]())));

beforeEach(() => {
  stage.provider.answer = answers(usage);
  stage.provider.requests.length = 0;
  other.requests.length = 0;
});

function answers(tokens: object): Answer {
  return answerJson({ ...chatAnswer, usage: tokens });
}

/** A route to the instance `ai-proxy-openai` with these limits. */
function limited(conf: object, aiProxy: object = {}): Promise<string> {
  const plugins = { 'ai-proxy': toProvider(aiProxy), 'ai-rate-limiting': conf };
  return stage.route({}, { plugins });
}

function toProvider(aiProxy: object = {}): object {
  return { provider: 'openai', auth: {}, override: { endpoint: stage.provider.url }, ...aiProxy };
}

function withHeaders(headers: CallOptions['headers'] = {}): CallOptions {
  return { ...chat, headers };
}

async function callTimes(count: number, url: string, options: CallOptions = chat): Promise<CallResult[]> {
  const results: CallResult[] = [];
  for (let i = 0; i < count; i++) results.push(await call(url, options));
  return results;
}

async function statusesOf(count: number, url: string, options: CallOptions = chat): Promise<number[]> {
  return (await callTimes(count, url, options)).map(({ status }) => status);
}

/** The fields about limits, in the order of their names. */
function quotaFields({ headers }: CallResult): string[] {
  const fields = Object.entries(headers).filter(([name]) => name.startsWith('x-ai-'));
  return fields.map(([name, value]) => `${name}: ${String(value)}`).toSorted();
}

/** What is left according to the field, once it says so: the charge comes right behind the end of the answer. */
async function expectRemaining(url: string, remaining: number, options: CallOptions = chat): Promise<void> {
  stage.provider.answer = answers({ total_tokens: 0 });
  let fields: string[] = [];
  for (let tries = 0; tries < 500; tries++) {
    fields = quotaFields(await call(url, options));
    if (fields.some((field) => field.includes('-remaining') && field.endsWith(`: ${remaining}`))) return;
  }
  assert.fail(`expected ${remaining} to remain, but: ${fields.join('; ')}`);
}

describe('limits by instance', limits, () => {
  test('V19 the request that uses a limit up is answered, and the next one is refused', async () => {
    const url = await limited({ limit: 30, time_window: 60 });
    const results = await callTimes(4, url);
    assert.deepEqual(
      results.map(({ status, headers }) => [status, headers['x-ai-ratelimit-remaining-ai-proxy-openai']]),
      [
        [200, '30'],
        [200, '20'],
        [200, '10'],
        [503, '0'],
      ],
    );
    for (const { headers } of results) assert.equal(headers['x-ai-ratelimit-limit-ai-proxy-openai'], '30');
    const resets = results.map(({ headers }) => headers['x-ai-ratelimit-reset-ai-proxy-openai'] as string);
    assert.equal(resets[0], '60');
    for (const reset of resets.slice(1)) {
      assert.match(reset, /^\d+(?:\.\d{1,2})?$/);
      assert.ok(Number(reset) > 30 && Number(reset) <= 60, reset);
    }
    assert.equal(stage.provider.requests.length, 3);
    assert.equal(results[3]?.text, '');
    assert.deepEqual((await stage.logged(url, 4)).at(-1)?.weir_error, 'RATE_LIMITED');
  });

  test('V20 a refused request gets rejected_code, and rejected_msg as JSON', async () => {
    const url = await limited({ limit: 1, time_window: 60, rejected_code: 403, rejected_msg: 'x' });
    const [first, second] = await callTimes(2, url);
    assert.equal(first?.status, 200);
    assert.deepEqual([second?.status, second?.text], [403, '{"error_msg":"x"}\n']);
    assert.equal(second?.headers['content-type'], 'application/json');
  });

  test('who waits as long as the answer says finds the limit whole again', async () => {
    const url = await limited({ limit: 10, time_window: 1 });
    let refused: CallResult | undefined;
    for (let tries = 0; tries < 100 && refused?.status !== 503; tries++) refused = await call(url, chat);
    assert.equal(refused?.status, 503);
    const resetSeconds = Number(refused.headers['x-ai-ratelimit-reset-ai-proxy-openai']);
    await new Promise((resolve) => setTimeout(resolve, resetSeconds * 1000));
    const { status, headers } = await call(url, chat);
    assert.deepEqual([status, headers['x-ai-ratelimit-remaining-ai-proxy-openai']], [200, '10']);
  });

  test('show_limit_quota_header: false tells clients nothing', async () => {
    const url = await limited({ limit: 10, time_window: 60, show_limit_quota_header: false });
    const results = await callTimes(2, url);
    assert.deepEqual(
      results.map(({ status }) => status),
      [200, 503],
    );
    assert.deepEqual(results.flatMap(quotaFields), []);
  });

  test('an instance with a limit of its own does not use the one of all', async () => {
    const url = await limited({
      limit: 1000,
      time_window: 60,
      instances: [{ name: 'ai-proxy-openai', limit: 20, time_window: 30 }],
    });
    assert.deepEqual(quotaFields(await call(url, chat)), [
      'x-ai-ratelimit-limit-ai-proxy-openai: 20',
      'x-ai-ratelimit-remaining-ai-proxy-openai: 20',
      'x-ai-ratelimit-reset-ai-proxy-openai: 30',
    ]);
    assert.deepEqual(await statusesOf(2, url), [200, 503]);
  });

  test('an instance without a limit is not limited, and says nothing of one', async () => {
    const url = await limited({ instances: [{ name: 'ai-proxy-deepseek', limit: 1, time_window: 30 }] });
    const results = await callTimes(3, url);
    assert.deepEqual(
      results.map(({ status }) => status),
      [200, 200, 200],
    );
    assert.deepEqual(results.flatMap(quotaFields), []);
  });

  test('limit and time_window may have variables', async () => {
    const url = await limited({ limit: '${http_x_quota ?? 25}', time_window: '$arg_window' });
    const first = await call(`${url}?window=7`, chat);
    assert.deepEqual(quotaFields(first), [
      'x-ai-ratelimit-limit-ai-proxy-openai: 25',
      'x-ai-ratelimit-remaining-ai-proxy-openai: 25',
      'x-ai-ratelimit-reset-ai-proxy-openai: 7',
    ]);
    assert.equal((await call(`${url}?window=7`, withHeaders({ 'X-Quota': '10' }))).status, 503);
    assert.equal((await call(`${url}?window=7`, withHeaders({ 'X-Quota': '11' }))).status, 200);
  });

  for (const [what, quota] of [
    ['no number', 'many'],
    ['nothing', ''],
    ['0', '0'],
    ['a negative number', '-5'],
    ['a fraction', '1.5'],
    ['more than can be counted', '9007199254740993'],
  ] as const) {
    test(`a variable that gives ${what} is a fault, and the log names the field`, async () => {
      const url = await limited({ limit: '$http_x_quota', time_window: 60 });
      const answer = await call(url, withHeaders({ 'X-Quota': quota }));
      const reason = `limit is no whole number above 0 but ${JSON.stringify(quota)}`;
      assert.deepEqual(
        [answer.status, answer.json],
        [500, { error_msg: `the limit of this request cannot be told: ${reason}` }],
      );
      assert.equal((await stage.logged(url))[0]?.weir_error, 'RATE_LIMIT_VALUE');
      await eventually(() => stage.gateway.errorLog().includes(reason), undefined, reason);
      assert.equal(stage.provider.requests.length, 0);
    });
  }

  test('with allow_degradation a request whose limit cannot be told passes', async () => {
    const url = await limited({ limit: '$http_x_quota', time_window: 60, allow_degradation: true });
    assert.deepEqual(await statusesOf(3, url), [200, 200, 200]);
  });

  test('routes do not share counters, and a changed configuration begins to count anew', async () => {
    const conf = { limit: 10, time_window: 60 };
    const [one, two] = [await limited(conf), await limited(conf)];
    assert.deepEqual(await statusesOf(2, one), [200, 503]);
    assert.deepEqual(await statusesOf(2, two), [200, 503]);
    const id = new URL(one).pathname.slice(1);
    const put = (limit: number): Promise<void> =>
      stage.gateway.putRoute(id, {
        uri: `/${id}`,
        plugins: { 'ai-proxy': toProvider(), 'ai-rate-limiting': { ...conf, limit } },
      });
    await put(10);
    assert.deepEqual(await statusesOf(1, one), [503], 'the same configuration goes on counting');
    await put(11);
    assert.deepEqual(await statusesOf(1, one), [200]);
  });

  test('a route without an LLM is not limited', async () => {
    const url = await stage.route({}, { plugins: { 'ai-rate-limiting': { limit: 1, time_window: 60 } } });
    const answer = await call(url, chat);
    assert.deepEqual([answer.status, quotaFields(answer)], [502, []]);
  });

  test('_meta.filter leaves requests alone', async () => {
    const url = await limited({ limit: 10, time_window: 60, _meta: { filter: [['http_x_free', '!', '==', '1']] } });
    const free = withHeaders({ 'X-Free': '1' });
    assert.deepEqual(await statusesOf(2, url, free), [200, 200]);
    assert.deepEqual(await statusesOf(2, url), [200, 503]);
    const answer = await call(url, free);
    assert.deepEqual([answer.status, quotaFields(answer)], [200, []]);
  });
});

describe('what is counted', limits, () => {
  const strategies: readonly (readonly [conf: object, cost: number])[] = [
    [{ limit_strategy: 'total_tokens' }, 10],
    [{ limit_strategy: 'prompt_tokens' }, 7],
    [{ limit_strategy: 'completion_tokens' }, 3],
    [{ limit_strategy: 'expression', cost_expr: 'prompt_tokens + completion_tokens * 5' }, 22],
    [{ limit_strategy: 'expression', cost_expr: 'max(total_tokens, 100) / 8' }, 13],
    [{ limit_strategy: 'expression', cost_expr: 'cached_tokens * 10 + details.cached_tokens' }, 44],
    [{ limit_strategy: 'expression', cost_expr: 'input_tokens + output_tokens' }, 0],
    [{ limit_strategy: 'expression', cost_expr: 'total_tokens - 1000' }, 0],
  ];
  for (const [conf, cost] of strategies) {
    test(`${Object.values(conf).join(': ')} takes ${cost} of an answer`, async () => {
      const url = await limited({ limit: 1000, time_window: 60, ...conf });
      stage.provider.answer = answers({ ...usage, details: { cached_tokens: 4 } });
      await call(url, chat);
      await expectRemaining(url, 1000 - cost);
    });
  }

  test('a fault of every request is not a line for every request', async () => {
    const url = await limited({ limit: '$http_x_quota', time_window: 60 });
    const other = await limited({ limit: '$http_x_quota', time_window: 61 });
    for (let i = 0; i < 20; i++) await call(url, withHeaders({ 'X-Quota': 'flood' }));
    await call(other, withHeaders({ 'X-Quota': 'behind-it' }));
    await eventually(() => stage.gateway.errorLog().includes('behind-it'));
    assert.equal(stage.gateway.errorLog().split('flood').length - 1, 1);
  });

  test('an expression that gives no finite number counts nothing, and the log says so', async () => {
    const url = await limited({
      limit: 10,
      time_window: 60,
      limit_strategy: 'expression',
      cost_expr: 'total_tokens / none',
    });
    assert.deepEqual(await statusesOf(2, url), [200, 200]);
    await eventually(() => stage.gateway.errorLog().includes('cost_expr gives no finite number'));
  });

  test('the usage of another protocol is that of its own', async () => {
    const url = await stage.route(
      {},
      {
        plugins: {
          'ai-proxy': { provider: 'anthropic', auth: {}, override: { endpoint: stage.provider.url } },
          'ai-rate-limiting': {
            limit: 1000,
            time_window: 60,
            limit_strategy: 'expression',
            cost_expr: 'input_tokens + cache_read_input_tokens * 0.1 + output_tokens * 5',
          },
        },
        uri: '/costs/v1/messages',
      },
    );
    const messages = `${new URL(url).origin}/costs/v1/messages`;
    const anthropic = { input_tokens: 10, cache_read_input_tokens: 55, output_tokens: 8 };
    stage.provider.answer = answerJson({ type: 'message', role: 'assistant', content: [], usage: anthropic });
    await call(messages, chat);
    stage.provider.answer = answerJson({ type: 'message', role: 'assistant', content: [] });
    const { headers } = await call(messages, chat);
    assert.equal(headers['x-ai-ratelimit-remaining-ai-proxy-anthropic'], String(1000 - 56));
  });

  test('answers without usage, and failures, cost nothing', async () => {
    const url = await limited({ limit: 10, time_window: 60 });
    stage.provider.answer = answerJson({ ...chatAnswer, usage: undefined });
    assert.equal((await call(url, chat)).status, 200);
    stage.provider.answer = answerJson({ error: 'slow down' }, 429);
    assert.equal((await call(url, chat)).status, 429);
    await expectRemaining(url, 10);
  });

  test('refused requests cost nothing', async () => {
    const url = await limited({ limit: '${http_x_quota ?? 1}', time_window: 60 });
    assert.deepEqual(await statusesOf(4, url), [200, 503, 503, 503]);
    await expectRemaining(url, 990, withHeaders({ 'X-Quota': '1000' }));
  });

  test('a stream is counted by its last event', async () => {
    const url = await limited({ limit: 20, time_window: 60 });
    stage.provider.answer = streams([textEvent('one'), chatEvent({ choices: [], usage }), 'data: [DONE]\n\n']);
    const results = await callTimes(3, url, { body: { messages: [], stream: true } });
    assert.deepEqual(
      results.map(({ status }) => status),
      [200, 200, 503],
    );
    assert.equal(results[1]?.headers['x-ai-ratelimit-remaining-ai-proxy-openai'], '10');
  });

  test('an expression reads all events of a stream', async () => {
    const conf = {
      limit: 1000,
      time_window: 60,
      limit_strategy: 'expression',
      cost_expr: 'input_tokens + output_tokens * 2',
    };
    const plugins = {
      'ai-proxy': { provider: 'anthropic', auth: {}, override: { endpoint: stage.provider.url } },
      'ai-rate-limiting': conf,
    };
    const url = await stage.route({}, { uri: '/streamed/v1/messages', plugins });
    const messages = `${new URL(url).origin}/streamed/v1/messages`;
    const event = (type: string, members: object): string =>
      `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`;
    stage.provider.answer = streams([
      event('message_start', { message: { usage: { input_tokens: 10, output_tokens: 1 } } }),
      event('message_delta', { delta: {}, usage: { output_tokens: 8 } }),
      event('message_stop', {}),
    ]);
    await call(messages, { body: { messages: [], stream: true } });
    stage.provider.answer = streams([event('message_stop', {})]);
    const { headers } = await call(messages, { body: { messages: [], stream: true } });
    assert.equal(headers['x-ai-ratelimit-remaining-ai-proxy-anthropic'], String(1000 - 26));
  });

  test('a stream without usage costs nothing', async () => {
    const url = await limited({ limit: 10, time_window: 60 });
    stage.provider.answer = streams([textEvent('one'), 'data: [DONE]\n\n']);
    await call(url, { body: { messages: [], stream: true } });
    await expectRemaining(url, 10);
  });

  test('a stream that is cut behind its usage is counted', async () => {
    const url = await limited({ limit: 1000, time_window: 60 }, { override: { endpoint: stage.raw.url } });
    stage.raw.answer = ({ socket }) => {
      socket.write(streamHead.replace('Connection: close', 'Transfer-Encoding: chunked'));
      const event = chatEvent({ choices: [], usage });
      socket.end(`${event.length.toString(16)}\r\n${event}\r\n`);
    };
    await call(url, { body: { messages: [], stream: true } });
    stage.raw.answer = ({ socket }) => void socket.write(rawAnswer(200, 'application/json', '{}'));
    const { headers } = await call(url, chat);
    assert.equal(headers['x-ai-ratelimit-remaining-ai-proxy-openai'], '990');
  });

  test('a client that leaves behind the usage is counted', async () => {
    const url = await limited({ limit: 1000, time_window: 60 });
    stage.provider.answer = (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write(chatEvent({ choices: [], usage }));
    };
    const open = await openCall(url, { body: { messages: [], stream: true } });
    await eventually(() => open.received().includes('usage'));
    open.leave();
    await expectRemaining(url, 990);
  });
});

function streams(events: readonly string[]): Answer {
  return (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    for (const event of events) response.write(event);
    response.end();
  };
}

describe('rules', limits, () => {
  const perUserAndProject = {
    rules: [
      { count: 20, time_window: 60, key: '${http_user}' },
      { count: 10, time_window: 30, key: '${http_project}' },
    ],
  };

  test('V21 a request is subject to the rules whose key it has, and to no others', async () => {
    const url = await limited(perUserAndProject);
    assert.deepEqual(quotaFields(await call(url, withHeaders({ user: 'anna' }))), [
      'x-ai-1-ratelimit-limit: 20',
      'x-ai-1-ratelimit-remaining: 20',
      'x-ai-1-ratelimit-reset: 60',
    ]);
    assert.deepEqual(quotaFields(await call(url, withHeaders({ project: 'weir' }))), [
      'x-ai-2-ratelimit-limit: 10',
      'x-ai-2-ratelimit-remaining: 10',
      'x-ai-2-ratelimit-reset: 30',
    ]);
  });

  test('V21 a request with the key of neither rule: not limited, as decided in decisions.md', async () => {
    const url = await limited(perUserAndProject);
    for (let i = 0; i < 3; i++) {
      const neither = await call(url, chat);
      assert.deepEqual([neither.status, quotaFields(neither)], [200, []]);
    }
    const { headers } = await call(url, withHeaders({ project: 'weir' }));
    assert.equal(headers['x-ai-2-ratelimit-remaining'], '10', 'nothing was charged to anybody');
  });

  test('each value of a key has its own window', async () => {
    const url = await limited(perUserAndProject);
    const [anna, ben] = [withHeaders({ user: 'anna' }), withHeaders({ user: 'ben' })];
    assert.deepEqual(await statusesOf(3, url, anna), [200, 200, 503]);
    assert.deepEqual(await statusesOf(3, url, ben), [200, 200, 503]);
  });

  test('a request subject to several rules counts in each, and the first that is used up refuses it', async () => {
    const url = await limited(perUserAndProject);
    const both = withHeaders({ user: 'anna', project: 'weir' });
    assert.deepEqual(await statusesOf(2, url, both), [200, 503]);
    const [refused, other] = [await call(url, both), await call(url, withHeaders({ user: 'anna' }))];
    assert.equal(refused.headers['x-ai-2-ratelimit-remaining'], '0');
    assert.deepEqual([other.status, other.headers['x-ai-1-ratelimit-remaining']], [200, '10']);
  });

  test('rules with the same key are told apart, so that a minute and a day can both be limited', async () => {
    const url = await limited({
      rules: [
        { count: 10, time_window: 60, key: '$remote_addr', header_prefix: 'minute' },
        { count: 1000, time_window: 86400, key: '$remote_addr', header_prefix: 'day' },
      ],
    });
    await call(url, chat);
    const { status, headers } = await call(url, chat);
    assert.deepEqual(
      [status, headers['x-ai-minute-ratelimit-remaining'], headers['x-ai-day-ratelimit-remaining']],
      [503, '0', '990'],
    );
  });

  test('count and time_window may have variables, and a key may be a member of the body', async () => {
    const url = await limited({
      rules: [{ key: 'model:$post_arg.model', count: '${http_x_quota ?? 10}', time_window: 60, header_prefix: 'user' }],
    });
    const ask = (model: string, headers = {}): Promise<CallResult> =>
      call(url, { body: { model, messages: [] }, headers: { 'Content-Type': 'application/json', ...headers } });
    assert.equal((await ask('one')).status, 200);
    assert.equal((await ask('one')).status, 503);
    assert.equal((await ask('two')).status, 200);
    assert.equal((await ask('one', { 'X-Quota': '50' })).headers['x-ai-user-ratelimit-remaining'], '40');
    assert.equal((await ask('one', { 'X-Quota': 'x' })).status, 500);
  });

  test('a list without rules limits nothing', async () => {
    const url = await limited({ rules: [] });
    assert.deepEqual(await statusesOf(2, url), [200, 200]);
  });
});

describe('many at once', limits, () => {
  test('two workers count every answer of parallel requests exactly once', async () => {
    await using gateway = await startGateway({ workers: 2 });
    await gateway.putRoute('shared', {
      uri: '/shared',
      plugins: { 'ai-proxy': toProvider(), 'ai-rate-limiting': { limit: 10_000, time_window: 600 } },
    });
    const url = `${gateway.url}/shared`;
    const results = await Promise.all(Array.from({ length: 200 }, () => call(url, chat)));
    assert.deepEqual(new Set(results.map(({ status }) => status)), new Set([200]));
    await expectRemaining(url, 10_000 - 200 * 10);
  });

  test('what runs at the same time may exceed the limit, what comes later is refused', async () => {
    const url = await limited({ limit: 10, time_window: 60 });
    const held: (() => void)[] = [];
    stage.provider.answer = (request, response) => void held.push(() => answers(usage)(request, response));
    const running = Array.from({ length: 3 }, () => call(url, chat));
    await eventually(() => held.length === 3);
    for (const release of held) release();
    assert.deepEqual(
      (await Promise.all(running)).map(({ status }) => status),
      [200, 200, 200],
    );
    assert.equal((await call(url, chat)).status, 503);
  });
});

describe('a Redis that is away', limits, () => {
  const away = (conf: object): object => ({
    limit: 10,
    time_window: 60,
    policy: 'redis',
    redis_host: new URL(closedUrl).hostname,
    redis_port: Number(new URL(closedUrl).port),
    ...conf,
  });

  test('refuses requests', async () => {
    const url = await limited(away({}));
    const answer = await call(url, chat);
    assert.deepEqual([answer.status, answer.json], [500, { error_msg: 'failed to limit count' }]);
    assert.equal((await stage.logged(url))[0]?.weir_error, 'RATE_LIMIT_STORE');
    assert.equal(stage.provider.requests.length, 0);
  });

  test('lets them pass with allow_degradation', async () => {
    const url = await limited(away({ allow_degradation: true }));
    assert.deepEqual(await statusesOf(3, url), [200, 200, 200]);
  });

  test('is told as such where instances are chosen by their quota', async () => {
    const instances = [{ name: 'one', weight: 1, ...toProvider() }];
    const plugins = {
      'ai-proxy-multi': { instances, fallback_strategy: ['rate_limiting'] },
      'ai-rate-limiting': away({}),
    };
    const answer = await call(await stage.route({}, { plugins }), chat);
    assert.deepEqual([answer.status, answer.json], [500, { error_msg: 'failed to limit count' }]);
  });
});

describe('ai-proxy-multi', limits, () => {
  const instance = (name: string, url: string, more: object = {}): object => ({
    name,
    provider: 'openai-compatible',
    weight: 1,
    auth: {},
    override: { endpoint: url },
    ...more,
  });

  /** `first` is preferred, `second` is the other provider; each has 10 tokens a minute. */
  const multi = (conf: object = {}, rateLimiting: object = {}): Promise<string> =>
    stage.route(
      {},
      {
        plugins: {
          'ai-proxy-multi': {
            instances: [instance('first', stage.provider.url, { priority: 1 }), instance('second', other.url)],
            ...conf,
          },
          'ai-rate-limiting': {
            instances: ['first', 'second'].map((name) => ({ name, limit: 10, time_window: 60 })),
            rejected_code: 429,
            ...rateLimiting,
          },
        },
      },
    );

  test('without fallback_strategy a request to an instance without quota is refused', async () => {
    const url = await multi();
    const results = await callTimes(2, url);
    assert.deepEqual(
      results.map(({ status }) => status),
      [200, 429],
    );
    assert.equal(results[1]?.headers['x-ai-ratelimit-remaining-first'], '0');
    assert.equal(other.requests.length, 0);
  });

  for (const strategy of ['instance_health_and_rate_limiting', ['rate_limiting']]) {
    test(`with ${JSON.stringify(strategy)} the next instance serves, and without any it is 503`, async () => {
      const url = await multi({ fallback_strategy: strategy });
      const results = await callTimes(3, url);
      assert.deepEqual(
        results.map(({ status }) => status),
        [200, 200, 503],
      );
      assert.deepEqual(results.slice(0, 2).map(quotaFields), [
        ['x-ai-ratelimit-limit-first: 10', 'x-ai-ratelimit-remaining-first: 10', 'x-ai-ratelimit-reset-first: 60'],
        ['x-ai-ratelimit-limit-second: 10', 'x-ai-ratelimit-remaining-second: 10', 'x-ai-ratelimit-reset-second: 60'],
      ]);
      assert.equal(results[2]?.text, 'all servers tried');
      assert.deepEqual([stage.provider.requests.length, other.requests.length], [1, 1]);
    });
  }

  test('after a failed attempt the instance that served is charged, and it is its limit that the client is told', async () => {
    const url = await multi({ fallback_strategy: ['http_5xx'] });
    stage.provider.answer = answerJson({ error: 'down', usage }, 500);
    const served = await call(url, chat);
    assert.equal(served.status, 200);
    assert.deepEqual(quotaFields(served), [
      'x-ai-ratelimit-limit-second: 10',
      'x-ai-ratelimit-remaining-second: 10',
      'x-ai-ratelimit-reset-second: 60',
    ]);
    stage.provider.answer = answers(usage);
    const later = await call(url, chat);
    assert.deepEqual([later.status, later.headers['x-ai-ratelimit-remaining-first']], [200, '10']);
    stage.provider.answer = answerJson({ error: 'down' }, 500);
    assert.equal((await call(url, chat)).status, 429);
  });

  test('a limit of all instances is one counter, told under the name of the one that serves', async () => {
    const url = await multi({ fallback_strategy: ['http_5xx'] }, { instances: undefined, limit: 15, time_window: 60 });
    await call(url, chat);
    stage.provider.answer = answerJson({ error: 'down' }, 500);
    assert.equal((await call(url, chat)).headers['x-ai-ratelimit-remaining-second'], '5');
    assert.equal((await call(url, chat)).status, 429);
  });

  test('rules do not choose instances: a client without quota is refused', async () => {
    const rules = [{ count: 10, time_window: 60, key: '$remote_addr' }];
    const url = await multi({ fallback_strategy: ['rate_limiting'] }, { instances: undefined, rules });
    assert.deepEqual(await statusesOf(2, url), [200, 429]);
    assert.equal(other.requests.length, 0);
  });

  test('each request is charged once, however many attempts it takes', async () => {
    const url = await multi(
      { fallback_strategy: ['http_5xx'] },
      { instances: undefined, limit: 1000, time_window: 60 },
    );
    stage.provider.answer = answerJson({ error: 'down', usage }, 500);
    await call(url, chat);
    assert.equal((await call(url, chat)).headers['x-ai-ratelimit-remaining-second'], '990');
    assert.equal(fieldOf(other.requests[0], 'content-type'), 'application/json');
  });
});
