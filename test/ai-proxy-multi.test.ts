import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { freePort } from './support/free-port.ts';
import { eventually } from './support/gateway.ts';
import { call, openCall, startCall } from './support/http-call.ts';
import {
  answerJson,
  chatAnswer,
  chatStream,
  chunk,
  fieldOf,
  rawAnswer,
  startProvider,
  startRawProvider,
  streamHead,
  textEvent,
  type Answer,
  type Provider,
  type RawAnswer,
  type RawProvider,
} from './support/mock-provider.ts';

const hi = { messages: [{ role: 'user', content: 'hi' }] };

let stage: AiStage;
/** Where requests end up when all is well. */
let good: Provider;
/** Does what the path of a request says, {@link faults}. */
let faulty: RawProvider;
let refusedUrl = '';

before(async () => {
  stage = await startStage();
  good = await startProvider(answerChat);
  faulty = await startRawProvider((connection, request) => faults[request.target.slice(1)]?.(connection, request));
  refusedUrl = `http://127.0.0.1:${await freePort()}`;
});

after(() => Promise.all([stage, good, faulty].map((part) => part[Symbol.asyncDispose]())));

beforeEach(() => {
  good.answer = answerChat;
  stage.provider.answer = answerChat;
  for (const { requests } of [good, faulty, stage.provider]) requests.length = 0;
});

const answerChat: Answer = (request, response) => {
  const { stream } = JSON.parse(request.body.toString()) as { stream?: boolean };
  if (stream !== true) return answerJson(chatAnswer)(request, response);
  response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end(chatStream);
};

function says(status: number): RawAnswer {
  return ({ socket }) => void socket.write(rawAnswer(status, 'text/json', `{"error":"status ${status}"}`));
}

function writes(text: string, then: 'stay' | 'end' = 'stay'): RawAnswer {
  return ({ socket }) => {
    socket.write(text);
    if (then === 'end') socket.end();
  };
}

const faults: Readonly<Record<string, RawAnswer>> = {
  ...Object.fromEntries([400, 401, 429, 500, 503].map((status) => [String(status), says(status)])),
  reset: ({ socket }) => void socket.resetAndDestroy(),
  silent: () => {},
  empty: writes('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n'),
  'empty-stream': writes(streamHead, 'end'),
  'cut-error': writes('HTTP/1.1 500 X\r\nContent-Type: text/json\r\nContent-Length: 100\r\n\r\n{"error":', 'end'),
  'half-error': writes('HTTP/1.1 500 X\r\nContent-Type: text/json\r\nContent-Length: 100\r\n\r\n{"error":'),
  'cut-401': writes('HTTP/1.1 401 X\r\nContent-Type: text/json\r\nContent-Length: 100\r\n\r\n{"error":', 'end'),
  'broken-stream': writes(streamHead + textEvent('one'), 'end'),
  drip: ({ socket }) => {
    socket.write('HTTP/1.1 500 X\r\nContent-Type: text/json\r\nTransfer-Encoding: chunked\r\n\r\n');
    const timer = setInterval(() => socket.write(chunk(' ')), 20);
    socket.on('close', () => clearInterval(timer));
  },
};

/** An instance at an endpoint, with a weight and no credential unless told otherwise. */
function instance(name: string, endpoint: string, more: object = {}): object {
  const model = { options: { model: `model of ${name}` } };
  return { name, provider: 'openai-compatible', weight: 1, auth: {}, override: { endpoint }, ...model, ...more };
}

const fault = (name: string, more: object = {}): object => instance(name, `${faulty.url}/${name}`, more);

const route = (conf: object, plugins: object = {}): Promise<string> =>
  stage.route({}, { plugins: { ...plugins, 'ai-proxy-multi': conf } });

/** A route whose preferred instance has a fault, with another one that works. */
const withSpare = (first: object, conf: object = {}): Promise<string> =>
  route({ instances: [{ ...first, priority: 1 }, instance('spare', good.url)], ...conf });

const statuses = async (url: string): Promise<string | undefined> => (await stage.logged(url))[0]?.upstream_status;

describe('the acceptance vectors of ai-proxy-multi', { timeout: 120_000 }, () => {
  test('V10 a status of 400 is what the client gets: http_5xx does not retry it', async () => {
    const url = await withSpare(fault('400'), { fallback_strategy: 'http_5xx' });
    const answer = await call(url, { body: hi });
    assert.deepEqual([answer.status, answer.text], [400, '{"error":"status 400"}']);
    assert.equal(await statuses(url), '400');
    assert.equal(good.requests.length, 0);
  });

  test('V11 the larger priority fails, so the other one answers, with a request of its own', async () => {
    const url = await route({
      instances: [
        instance('spare', good.url, { priority: 0, options: { model: 'two' } }),
        fault('500', { priority: 10, options: { model: 'one', temperature: 0.5 } }),
      ],
      fallback_strategy: 'http_5xx',
    });
    const answer = await call(url, { body: hi });
    assert.deepEqual([answer.status, answer.json], [200, chatAnswer]);
    const [sent] = good.requests;
    assert.deepEqual(JSON.parse(sent?.body.toString() ?? ''), { ...hi, model: 'two' });
    assert.deepEqual(JSON.parse(faulty.requests[0]?.body.toString() ?? ''), { ...hi, model: 'one', temperature: 0.5 });
  });

  test('V12 with max_retries 1 the client gets the second failure as it is', async () => {
    const url = await route({
      instances: [fault('500', { priority: 2 }), fault('503', { priority: 1 }), fault('429')],
      fallback_strategy: ['http_429', 'http_5xx'],
      max_retries: 1,
    });
    const answer = await call(url, { body: hi });
    assert.deepEqual(
      [answer.status, answer.headers['content-type'], answer.text],
      [503, 'text/json', '{"error":"status 503"}'],
    );
    assert.deepEqual(
      faulty.requests.map(({ target }) => target),
      ['/500', '/503'],
    );
  });

  test('V13 when all have failed: 502 with the body of the last one', async () => {
    const url = await route({
      instances: [fault('500', { priority: 2 }), fault('503', { priority: 1 }), fault('429')],
      fallback_strategy: ['http_429', 'http_5xx'],
    });
    const answer = await call(url, { body: hi });
    assert.deepEqual(
      [answer.status, answer.headers['content-type'], answer.text],
      [502, 'text/json', '{"error":"status 429"}'],
    );
    const [logged] = await stage.logged(url);
    assert.deepEqual(
      [logged?.status, logged?.upstream_status, logged?.weir_error],
      ['502', '500, 503, 429', 'ALL_INSTANCES_FAILED'],
    );
  });

  test('V14 a lone instance is called once, and its status comes back', async () => {
    for (const strategy of ['http_5xx', 'instance_health_and_rate_limiting']) {
      const url = await route({ instances: [fault('500')], fallback_strategy: strategy });
      const answer = await call(url, { body: hi });
      assert.deepEqual([answer.status, answer.text], [500, '{"error":"status 500"}']);
      assert.equal(await statuses(url), '500');
    }
    assert.equal(faulty.requests.length, 2);
  });

  test('V15 an attempt that took longer than retry_on_failure_within_ms is the last', async () => {
    const conf = { fallback_strategy: 'http_5xx', retry_on_failure_within_ms: 100 };
    const slow = instance('slow', stage.provider.url);
    const url = await withSpare(slow, conf);
    stage.provider.answer = (request, response) =>
      void setTimeout(() => answerJson({ error: 'late' }, 500)(request, response), 150);
    const answer = await call(url, { body: hi });
    assert.deepEqual([answer.status, answer.json], [500, { error: 'late' }]);

    // The same when the head comes in time and the body does not.
    stage.provider.answer = (_request, response) => {
      response.writeHead(500, { 'Content-Type': 'text/json' }).write('{"error":');
      setTimeout(() => response.end('"later"}'), 150);
    };
    const second = await call(`${url}?second`, { body: hi });
    assert.deepEqual([second.status, second.text], [500, '{"error":"later"}']);
    assert.equal(good.requests.length, 0);

    const patient = await withSpare(slow, { ...conf, retry_on_failure_within_ms: 60_000 });
    assert.equal((await call(patient, { body: hi })).status, 200);
  });

  test('V16 fallback_http_statuses: 401 is retried when it is listed, and only then', async () => {
    const listed = await withSpare(fault('401'), { fallback_http_statuses: [401] });
    assert.equal((await call(listed, { body: hi })).status, 200);
    assert.equal(await statuses(listed), '401, 200');
    const unlisted = await withSpare(fault('401'), { fallback_strategy: 'instance_health_and_rate_limiting' });
    assert.equal((await call(unlisted, { body: hi })).status, 401);
    assert.equal(await statuses(unlisted), '401');
  });

  test('V17 of 10 requests weights of 4 and 1 give 8 and 2', async () => {
    const url = await route({
      instances: [instance('four', good.url, { weight: 4 }), instance('one', stage.provider.url)],
    });
    for (let count = 0; count < 10; count++) assert.equal((await call(url, { body: hi })).status, 200);
    assert.deepEqual([good.requests.length, stage.provider.requests.length], [8, 2]);
  });

  test('V41 a fallback is one log entry that lists both attempts', async () => {
    const url = await withSpare(fault('500'), { fallback_strategy: 'http_5xx' });
    await call(url, { body: { ...hi, model: 'asked' } });
    const lines = await stage.logged(url);
    assert.equal(lines.length, 1);
    const { upstream_addr, upstream_status, request_llm_model, llm_model, llm_total_tokens, weir_error } =
      lines[0] ?? assert.fail();
    assert.equal(upstream_addr, `127.0.0.1:${faulty.port}, 127.0.0.1:${good.port}`);
    assert.equal(upstream_status, '500, 200');
    assert.deepEqual([request_llm_model, llm_model, llm_total_tokens], ['asked', 'model of spare', '13']);
    assert.equal(weir_error, '');
  });
});

describe('a failure of the first instance', { timeout: 120_000 }, () => {
  type Kind = '429' | '5xx' | '401';
  interface Fault {
    readonly name: string;
    readonly instance: () => object;
    readonly kind: Kind;
    /** What the client gets when there is no other attempt. */
    readonly status: number;
    readonly code: string;
    /** `$upstream_status` of it. */
    readonly logged: string;
  }
  const byPath =
    (path: string): (() => object) =>
    () =>
      fault(path);
  const rows: Fault[] = [
    { name: '429', instance: byPath('429'), kind: '429', status: 429, code: '', logged: '429' },
    { name: '500', instance: byPath('500'), kind: '5xx', status: 500, code: '', logged: '500' },
    { name: '503', instance: byPath('503'), kind: '5xx', status: 503, code: '', logged: '503' },
    { name: '401', instance: byPath('401'), kind: '401', status: 401, code: '', logged: '401' },
    {
      name: 'a refused connection',
      instance: () => instance('refused', refusedUrl),
      kind: '5xx',
      status: 502,
      code: 'UPSTREAM_CONNECT',
      logged: '-',
    },
    { name: 'a reset', instance: byPath('reset'), kind: '5xx', status: 502, code: 'UPSTREAM_RESET', logged: '-' },
    {
      name: 'a failed handshake of TLS',
      instance: () => instance('tls', good.url.replace('http:', 'https:')),
      kind: '5xx',
      status: 502,
      code: 'UPSTREAM_TLS',
      logged: '-',
    },
    {
      name: 'an empty answer',
      instance: byPath('empty'),
      kind: '5xx',
      status: 502,
      code: 'UPSTREAM_ANSWER',
      logged: '200',
    },
    {
      name: 'a stream without an event',
      instance: byPath('empty-stream'),
      kind: '5xx',
      status: 502,
      code: 'UPSTREAM_EMPTY_STREAM',
      logged: '200',
    },
  ];
  const timeout: Fault = {
    name: 'a timeout',
    instance: byPath('silent'),
    kind: '5xx',
    status: 504,
    code: 'UPSTREAM_READ_TIMEOUT',
    logged: '-',
  };
  interface Strategy {
    readonly conf: object;
    readonly retried: readonly Kind[];
  }
  const strategies: Strategy[] = [
    { conf: {}, retried: [] },
    { conf: { fallback_strategy: [] }, retried: [] },
    { conf: { fallback_strategy: ['rate_limiting'] }, retried: [] },
    { conf: { fallback_strategy: 'http_429' }, retried: ['429'] },
    { conf: { fallback_strategy: 'http_5xx' }, retried: ['5xx'] },
    { conf: { fallback_strategy: ['http_429', 'http_5xx'] }, retried: ['429', '5xx'] },
    { conf: { fallback_strategy: 'instance_health_and_rate_limiting' }, retried: ['429', '5xx'] },
    { conf: { fallback_http_statuses: [401] }, retried: ['401'] },
    { conf: { fallback_strategy: ['http_5xx'], fallback_http_statuses: [401] }, retried: ['5xx', '401'] },
    {
      conf: { fallback_strategy: ['http_429', 'http_5xx'], fallback_http_statuses: [401], max_retries: 0 },
      retried: [],
    },
  ];

  for (const strategy of strategies) {
    const { conf, retried } = strategy;
    test(`with ${JSON.stringify(conf)} is followed by another attempt if it is of ${retried.join(', ') || 'no kind'}`, async () => {
      await Promise.all(rows.flatMap((row) => [check(row, strategy, false), check(row, strategy, true)]));
    });
  }

  test('counts as 5xx when it is a timeout', async () => {
    const brief = strategies.map(({ conf, retried }) => ({ conf: { ...conf, timeout: 400 }, retried }));
    await Promise.all(brief.flatMap((strategy) => [check(timeout, strategy, false), check(timeout, strategy, true)]));
  });

  async function check(row: Fault, { conf, retried }: Strategy, stream: boolean): Promise<void> {
    const what = `${row.name}, ${stream ? 'streamed' : 'plain'}, ${JSON.stringify(conf)}`;
    const url = await withSpare(row.instance(), conf);
    const answer = await call(url, { body: stream ? { ...hi, stream } : hi });
    const [logged] = await stage.logged(url);
    const facts = [answer.status, logged?.upstream_status, logged?.weir_error];
    if (retried.includes(row.kind)) {
      assert.deepEqual(facts, [200, `${row.logged}, 200`, ''], what);
      assert.equal(answer.text, stream ? chatStream : JSON.stringify(chatAnswer), what);
      assert.deepEqual([logged?.llm_model, logged?.llm_total_tokens], ['model of spare', '13'], what);
    } else {
      assert.deepEqual(facts, [row.status, row.logged, row.code], what);
      if (row.code === '') assert.equal(answer.text, `{"error":"status ${row.status}"}`, what);
      else assert.equal((answer.json as { error: { code: string } }).error.code, row.code, what);
    }
    assert.equal(answer.complete, true, what);
  }
});

describe('between attempts', { timeout: 120_000 }, () => {
  const retrying = { fallback_strategy: ['http_429', 'http_5xx'] };

  test('nothing of one is in the next: body, options, path, query, headers', async () => {
    const first = fault('500', {
      priority: 1,
      auth: { header: { Authorization: 'Bearer one', 'X-One': '1' }, query: { one: '1' } },
      options: { model: 'one', temperature: 1 },
      override: { endpoint: `${stage.provider.url}/one?a=1`, request_body: { 'openai-chat': { seed: 1 } } },
    });
    stage.provider.answer = answerJson({}, 500);
    const second = instance('two', `${good.url}/two`, { auth: { header: { 'X-Two': '2' } }, options: {} });
    const url = await route({ instances: [first, second], ...retrying });
    const text = '{ "messages": [ {"role":"user","content":"hi"} ], "x" : 1 }';
    const answer = await call(url, { body: text, headers: { 'X-Custom': 'c', Authorization: 'Bearer mine' } });
    assert.equal(answer.status, 200);
    const [sent] = good.requests;
    assert.deepEqual([sent?.target, sent?.body.toString()], ['/two', text]);
    assert.deepEqual(
      ['authorization', 'x-one', 'x-two', 'x-custom'].map((name) => fieldOf(sent, name)),
      [undefined, undefined, '2', 'c'],
    );
    const [before] = stage.provider.requests;
    assert.deepEqual([before?.target, fieldOf(before, 'x-two')], ['/one?a=1&one=1', undefined]);
  });

  test("a client of Messages: each instance gets its own protocol's request, made of the client's", async () => {
    const messages = { model: 'claude', max_tokens: 9, messages: [{ role: 'user', content: 'hi' }] };
    const message = { type: 'message', role: 'assistant', content: [{ type: 'text', text: 'ok' }], model: 'c' };
    stage.provider.answer = answerJson({ error: { message: 'overloaded' } }, 503);
    good.answer = answerJson({ ...message, usage: { input_tokens: 3, output_tokens: 4 } });
    const url = await stage.route(
      {},
      {
        uri: '/multi/v1/messages',
        plugins: {
          'ai-proxy-multi': {
            instances: [
              { ...instance('chat', stage.provider.url, { provider: 'openai' }), priority: 1 },
              instance('claude', good.url, { provider: 'anthropic', options: {} }),
            ],
            ...retrying,
          },
        },
      },
    );
    const target = new URL('/multi/v1/messages', url).href;
    const answer = await call(target, { body: messages, headers: { 'x-api-key': 'k', 'anthropic-version': '1' } });
    assert.equal(answer.status, 200);
    assert.deepEqual((answer.json as typeof message).content, message.content);
    const [converted] = stage.provider.requests;
    assert.equal(converted?.target, '/v1/chat/completions');
    assert.deepEqual([fieldOf(converted, 'authorization'), fieldOf(converted, 'x-api-key')], ['Bearer k', undefined]);
    const [native] = good.requests;
    assert.equal(native?.target, '/v1/messages');
    assert.deepEqual(JSON.parse(native?.body.toString() ?? ''), messages);
    assert.deepEqual(
      ['authorization', 'x-api-key', 'anthropic-version'].map((name) => fieldOf(native, name)),
      [undefined, 'k', '1'],
    );
    const [logged] = await stage.logged(target);
    assert.deepEqual([logged?.upstream_status, logged?.llm_total_tokens], ['503, 200', '7']);
  });

  test('those of the same priority come first, then lower ones', async () => {
    const url = await route({
      instances: [
        instance('last', good.url),
        fault('500', { priority: 5 }),
        fault('503', { priority: 9 }),
        fault('429', { priority: 9 }),
      ],
      ...retrying,
    });
    assert.equal((await call(url, { body: hi })).status, 200);
    const targets = faulty.requests.map(({ target }) => target);
    assert.deepEqual([targets.slice(0, 2).sort(), targets.slice(2)], [['/429', '/503'], ['/500']]);
  });

  test('an error that breaks in the middle is retried by its status', async () => {
    for (const path of ['cut-error', 'half-error', 'drip']) {
      const url = await withSpare(fault(path), { timeout: 150, ...retrying });
      assert.equal((await call(url, { body: hi })).status, 200, path);
      assert.equal(await statuses(url), '500, 200', path);
    }
    const listed = await withSpare(fault('cut-401'), { fallback_http_statuses: [401] });
    assert.equal((await call(listed, { body: hi })).status, 200);
    const unlisted = await withSpare(fault('cut-401'), { fallback_strategy: 'http_429' });
    assert.equal((await call(unlisted, { body: hi })).status, 502);
  });

  test('one that breaks with the last instance is told as what it is', async () => {
    const url = await route({ instances: [fault('500', { priority: 1 }), fault('cut-error')], ...retrying });
    const answer = await call(url, { body: hi });
    assert.equal(answer.status, 502);
    assert.equal((answer.json as { error: { code: string } }).error.code, 'UPSTREAM_RESET');
    const [logged] = await stage.logged(url);
    assert.deepEqual([logged?.upstream_status, logged?.weir_error], ['500, 500', 'UPSTREAM_RESET']);
  });

  test('an error that drips without end holds nobody up for longer than the timeout', async () => {
    const url = await route({ instances: [fault('500', { priority: 1 }), fault('drip')], timeout: 150, ...retrying });
    const answer = await call(url, { body: hi });
    assert.equal(answer.status, 502);
    assert.match(answer.text, /its answer is incomplete after \d+ ms/);
  });

  test('all fail to connect: 502, with the reason of the last', async () => {
    const url = await route({
      instances: [fault('silent', { priority: 1 }), instance('refused', refusedUrl)],
      timeout: 100,
      ...retrying,
    });
    const answer = await call(url, { body: hi });
    assert.equal(answer.status, 502);
    assert.equal((answer.json as { error: { code: string } }).error.code, 'UPSTREAM_CONNECT');
    assert.equal(await statuses(url), '-, -');
  });

  test('headers of the last answer come back with it, Retry-After too', async () => {
    const refuse: Answer = (request, response) =>
      answerJson({ error: 'slow down' }, 429, { 'Retry-After': '7' })(request, response);
    stage.provider.answer = refuse;
    const url = await route({
      instances: [fault('500', { priority: 1 }), instance('limited', stage.provider.url)],
      ...retrying,
    });
    const answer = await call(url, { body: hi });
    assert.deepEqual([answer.status, answer.headers['retry-after'], answer.json], [502, '7', { error: 'slow down' }]);
  });

  test('any other API is retried as well', async () => {
    good.answer = answerJson({ url: 'image' });
    const url = await withSpare(fault('500'), retrying);
    const answer = await call(url, { body: { prompt: 'a weir' } });
    assert.deepEqual([answer.status, answer.json], [200, { url: 'image' }]);
  });

  test('a stream that broke after its first byte is not begun anew', async () => {
    const url = await withSpare(fault('broken-stream'), { fallback_strategy: 'instance_health_and_rate_limiting' });
    const answer = await call(url, { body: { ...hi, stream: true } });
    assert.equal(answer.status, 200);
    assert.ok(answer.text.startsWith(textEvent('one')));
    assert.equal(await statuses(url), '200');
    assert.equal(good.requests.length, 0);
  });

  test('a client that leaves is not worth another attempt', async () => {
    const url = await withSpare(fault('half-error'), retrying);
    const leaving = startCall(url, { body: hi });
    await eventually(() => faulty.requests.length === 1);
    leaving.destroy();
    const [logged] = await stage.logged(url);
    assert.deepEqual([logged?.status, logged?.weir_error], ['499', 'CLIENT_CLOSED_REQUEST']);
    await faulty.closed(faulty.connections.length - 1);
    assert.equal(good.requests.length, 0);
  });

  test('a client that leaves the stream of the second attempt closes that', async () => {
    good.answer = (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write(textEvent('one'));
    };
    const url = await withSpare(fault('500'), retrying);
    const open = await openCall(url, { body: { ...hi, stream: true } });
    await eventually(() => open.received() === textEvent('one'));
    open.leave();
    const [logged] = await stage.logged(url);
    assert.deepEqual([logged?.status, logged?.upstream_status], ['499', '500, 200']);
  });
});

describe('what is logged of a call with a fallback', { timeout: 120_000 }, () => {
  test('summary and payloads are those of the instance that served', async () => {
    const url = await withSpare(fault('500'), {
      fallback_strategy: 'http_5xx',
      logging: { summaries: true, payloads: true },
    });
    await call(url, { body: { ...hi, model: 'asked' } });
    const [logged] = await stage.logged(url);
    const records = await stage.gateway.llmLog(`"route_id":"${logged?.route_id}"`);
    assert.equal(records.length, 1);
    const { llm_summary: summary, llm_request: request, llm_response_text: text } = records[0] ?? {};
    const { model, request_model: asked, total_tokens: tokens } = summary as Record<string, unknown>;
    assert.deepEqual([model, asked, tokens], ['model of spare', 'asked', 13]);
    assert.deepEqual([request, text], [{ messages: hi.messages, stream: false }, { content: '2' }]);
  });
});

describe('a token quota', { timeout: 120_000 }, () => {
  const limits = (...names: string[]): object => ({
    'ai-rate-limiting': { instances: names.map((name) => ({ name, limit: 1, time_window: 60 })) },
  });
  const instances = (): object[] => [
    instance('first', stage.provider.url, { priority: 1 }),
    instance('second', good.url),
  ];

  test('that is used up sends requests to the next instance, and nowhere when all are', async () => {
    const conf = { instances: instances(), fallback_strategy: 'instance_health_and_rate_limiting' };
    const url = await route(conf, limits('first', 'second'));
    const answers = [];
    for (let count = 0; count < 3; count++) answers.push(await call(url, { body: hi }));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 503],
    );
    assert.deepEqual([stage.provider.requests.length, good.requests.length], [1, 1]);
    const last = answers[2] ?? assert.fail();
    assert.deepEqual([last.headers['content-type'], last.text], ['text/plain; charset=utf-8', 'all servers tried']);
    const logged = await stage.logged(url, 3);
    assert.deepEqual([logged[2]?.weir_error, logged[2]?.upstream_addr], ['NO_USABLE_INSTANCE', '']);
  });

  test('of a lone instance counts as well', async () => {
    const conf = { instances: instances().slice(1), fallback_strategy: ['rate_limiting'] };
    const url = await route(conf, limits('second'));
    assert.equal((await call(url, { body: hi })).status, 200);
    assert.equal((await call(url, { body: hi })).text, 'all servers tried');
  });

  test('is respected by the next attempt, whatever the strategy', async () => {
    const url = await route({ instances: instances(), fallback_strategy: 'http_5xx' }, limits('second'));
    stage.provider.answer = answerJson({ error: 'busy' }, 500);
    const [served, refused] = [await call(url, { body: hi }), await call(url, { body: hi })];
    assert.deepEqual([served.status, refused.status, refused.json], [200, 502, { error: 'busy' }]);
    assert.equal(good.requests.length, 1);
  });
});

describe('what never reaches a provider', { timeout: 120_000 }, () => {
  const bedrock = { provider: 'bedrock', provider_conf: { region: 'us-east-1' } };
  const aws = { auth: { aws: { access_key_id: 'a', secret_access_key: 'b' } } };

  test('a request that cannot be understood takes no turn', async () => {
    const url = await route({ instances: [instance('one', good.url), instance('two', stage.provider.url)] });
    for (let count = 0; count < 4; count++) {
      const answer = await call(url, { body: '{' });
      assert.equal(answer.status, 400);
      assert.match(answer.text, /could not parse JSON request body/);
      assert.equal((await call(url, { body: hi })).status, 200);
    }
    assert.deepEqual([good.requests.length, stage.provider.requests.length], [2, 2]);
    const [refused] = await stage.logged(url);
    assert.deepEqual([refused?.upstream_addr, refused?.weir_error], ['', 'LLM_BODY_SYNTAX']);
  });

  test('a request that an instance cannot take is retried only when 400 is listed', async () => {
    const first = instance('bedrock', good.url, { ...bedrock, ...aws, options: {} });
    const unlisted = await withSpare(first, { fallback_strategy: 'instance_health_and_rate_limiting' });
    const refused = await call(unlisted, { body: hi });
    assert.equal(refused.status, 400);
    assert.match(refused.text, /^provider bedrock does not support openai-chat protocol/);
    const [nothingSent] = await stage.logged(unlisted);
    assert.deepEqual([nothingSent?.weir_error, nothingSent?.upstream_addr], ['LLM_PROTOCOL_UNSUPPORTED', '']);

    const listed = await withSpare(first, { fallback_http_statuses: [400] });
    assert.equal((await call(listed, { body: hi })).status, 200);
    const [logged] = await stage.logged(listed);
    assert.deepEqual([logged?.upstream_status, logged?.weir_error], ['-, 200', '']);
    assert.equal(logged?.upstream_instance, 'bedrock, spare');
    assert.equal(logged?.upstream_addr, `127.0.0.1:${good.port}, 127.0.0.1:${good.port}`);
  });

  test('an instance that cannot take a request is listed after one that has failed', async () => {
    const unable = instance('bedrock', 'https://bedrock.example', { ...bedrock, ...aws, options: {} });
    const url = await route({
      instances: [fault('500', { priority: 1 }), unable],
      fallback_strategy: 'http_5xx',
    });
    assert.equal((await call(url, { body: hi })).status, 400);
    const [logged] = await stage.logged(url);
    assert.deepEqual(
      [logged?.upstream_addr, logged?.upstream_status, logged?.upstream_instance],
      [`127.0.0.1:${faulty.port}, bedrock.example:443`, '500, -', '500, bedrock'],
    );
  });

  test('a credential that cannot be had counts as 5xx', async () => {
    const key = { type: 'service_account', client_email: 'a@b', private_key: 'no key', token_uri: refusedUrl };
    const auth = { gcp: { service_account_json: JSON.stringify(key) } };
    const first = instance('google', good.url, { provider: 'gemini', auth });
    const without = await withSpare(first, { fallback_strategy: 'http_429' });
    const answer = await call(without, { body: hi });
    assert.equal(answer.status, 500);
    assert.match(answer.text, /failed to get the credential/);
    const retried = await withSpare(first, { fallback_strategy: 'http_5xx' });
    assert.equal((await call(retried, { body: hi })).status, 200);
    assert.equal(await statuses(retried), '-, 200');
  });
});
