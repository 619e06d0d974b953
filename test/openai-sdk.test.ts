import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import OpenAI, {
  APIConnectionError,
  APIConnectionTimeoutError,
  APIError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from 'openai';
import { startDemoProvider, type DemoProvider } from '../src/demo/provider.ts';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { eventually } from './support/gateway.ts';
import { answerJson, chunk, fieldOf, textEvent } from './support/mock-provider.ts';

const operatorKey = 'sk-of-the-operator';
const chunkedHead = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
const question: OpenAI.Chat.ChatCompletionCreateParamsNonStreaming = {
  model: 'demo',
  messages: [{ role: 'user', content: 'What is 1+1?' }],
};

let demo: DemoProvider;
let stage: AiStage;

before(async () => {
  // Served only to who has the operator's key, which the clients here do not know.
  demo = await startDemoProvider({ host: '127.0.0.1', port: 0, apiKey: operatorKey, pace: 0 });
  stage = await startStage();
});

after(async () => {
  await stage[Symbol.asyncDispose]();
  await demo.close();
});

/** The official client, with the gateway as its base URL; its routes are below an address of their own. */
async function clientFor(endpoint: string, more: { conf?: object; client?: object } = {}): Promise<OpenAI> {
  const conf = { override: { endpoint }, auth: { header: { Authorization: `Bearer ${operatorKey}` } }, ...more.conf };
  const url = await stage.route(conf);
  const id = url.slice(url.lastIndexOf('/') + 1);
  const { body } = await stage.gateway.admin('PATCH', `/routes/${id}`, { uri: `/${id}/*` });
  assert.match(JSON.stringify(body), /\*"/);
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: 'of-the-client', maxRetries: 0, logLevel: 'off', ...more.client });
}

function demoUrl(): string {
  return `http://127.0.0.1:${demo.port}`;
}

describe('the official OpenAI client through the gateway', { timeout: 120_000 }, () => {
  test('gets a chat completion', async () => {
    const client = await clientFor(demoUrl());
    const { data: answer, request_id } = await client.chat.completions.create(question).withResponse();
    assert.equal(answer.choices[0]?.message.content, '1 + 1 = 2');
    assert.deepEqual(answer.usage, { prompt_tokens: 9, completion_tokens: 5, total_tokens: 14 });
    assert.match(request_id ?? '', /^req_/);
  });

  test('gets a streamed chat with its usage, which the gateway asked for and logged', async () => {
    const client = await clientFor(demoUrl());
    const stream = await client.chat.completions.create({ ...question, stream: true });
    let text = '';
    let usage;
    for await (const piece of stream) {
      text += piece.choices[0]?.delta.content ?? '';
      usage = piece.usage ?? usage;
    }
    assert.equal(text, '1 + 1 = 2');
    assert.deepEqual(usage, { prompt_tokens: 9, completion_tokens: 5, total_tokens: 14 });
    const [logged] = await stage.logged(`${client.baseURL}/chat/completions`);
    assert.deepEqual(
      [logged?.request_type, logged?.llm_prompt_tokens, logged?.llm_completion_tokens, logged?.request_llm_model],
      ['ai_stream', '9', '5', 'demo'],
    );
  });

  const tools: OpenAI.Chat.ChatCompletionTool[] = [
    {
      type: 'function',
      function: {
        name: 'get_weather',
        parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
      },
    },
  ];
  const weather: OpenAI.Chat.ChatCompletionCreateParamsNonStreaming = {
    model: 'demo',
    messages: [{ role: 'user', content: 'What is the weather in Paris?' }],
    tools,
  };

  test('gets a tool call', async () => {
    const client = await clientFor(demoUrl());
    const answer = await client.chat.completions.create(weather);
    const call = answer.choices[0]?.message.tool_calls?.[0];
    assert.ok(call?.type === 'function');
    assert.deepEqual([call.function.name, JSON.parse(call.function.arguments)], ['get_weather', { city: 'Paris' }]);
    const [logged] = await stage.logged(`${client.baseURL}/chat/completions`);
    assert.deepEqual([logged?.llm_tool_count, logged?.llm_has_tool_calls], ['1', 'true']);
  });

  test('puts a streamed tool call together', async () => {
    const client = await clientFor(demoUrl());
    const run = client.chat.completions.stream({ ...weather, stream: true });
    const call = (await run.finalChatCompletion()).choices[0]?.message.tool_calls?.[0];
    assert.ok(call?.type === 'function');
    assert.deepEqual([call.function.name, JSON.parse(call.function.arguments)], ['get_weather', { city: 'Paris' }]);
    const [logged] = await stage.logged(`${client.baseURL}/chat/completions`);
    assert.deepEqual([logged?.llm_has_tool_calls, logged?.llm_stream], ['true', 'true']);
  });

  test('gets embeddings', async () => {
    const client = await clientFor(demoUrl());
    const { data, usage } = await client.embeddings.create({ model: 'e', input: ['a', 'b'], dimensions: 8 });
    assert.deepEqual(
      data.map(({ embedding }) => embedding.length),
      [8, 8],
    );
    const [logged] = await stage.logged(`${client.baseURL}/embeddings`);
    assert.equal(logged?.llm_prompt_tokens, String(usage.prompt_tokens));
  });

  test('that aborts in the middle of a stream closes the upstream', async () => {
    const client = await clientFor(stage.raw.url);
    stage.raw.answer = ({ socket }) => void socket.write(chunkedHead + chunk(textEvent('one')).toString());
    const stream = await client.chat.completions.create({ ...question, stream: true });
    for await (const piece of stream) {
      assert.equal(piece.choices[0]?.delta.content, 'one');
      break;
    }
    const leftAt = performance.now();
    stream.controller.abort();
    const closedAt = await stage.raw.closed(stage.raw.connections.length - 1);
    assert.ok(closedAt - leftAt < 100, `after ${closedAt - leftAt} ms`);
    assert.equal((await stage.logged(`${client.baseURL}/chat/completions`))[0]?.status, '499');
  });

  test('that aborts while it waits closes the upstream', async () => {
    const client = await clientFor(stage.raw.url);
    let asked = false;
    stage.raw.answer = () => void (asked = true);
    const controller = new AbortController();
    const waiting = client.chat.completions.create(question, { signal: controller.signal });
    await eventually(() => asked);
    controller.abort();
    await assert.rejects(waiting, APIUserAbortError);
    await stage.raw.closed(stage.raw.connections.length - 1);
  });
});

describe('errors reach the official client as the right class', { timeout: 120_000 }, () => {
  beforeEach(() => {
    stage.raw.answer = () => {};
  });

  async function failure(asking: Promise<unknown>): Promise<APIError> {
    try {
      await asking;
    } catch (error) {
      assert.ok(error instanceof APIError, String(error));
      return error;
    }
    assert.fail('it did not fail');
  }

  function ask(client: OpenAI): Promise<unknown> {
    return client.chat.completions.create(question);
  }

  const ofProvider = [
    { status: 400, kind: BadRequestError },
    { status: 401, kind: AuthenticationError },
    { status: 404, kind: NotFoundError },
    { status: 429, kind: RateLimitError },
    { status: 500, kind: InternalServerError },
    { status: 503, kind: InternalServerError },
  ];
  for (const { status, kind } of ofProvider) {
    test(`${kind.name} for a ${status} of the provider, with its message and code`, async () => {
      const client = await clientFor(stage.provider.url);
      stage.provider.answer = answerJson({ error: { message: 'of the provider', type: 't', code: 'c' } }, status, {
        'Retry-After': '3',
        'x-request-id': 'req-1',
      });
      const error = await failure(ask(client));
      assert.ok(error instanceof kind, error.constructor.name);
      assert.deepEqual(
        [error.status, error.message, error.code, error.type],
        [status, `${status} of the provider`, 'c', 't'],
      );
      assert.equal(error.requestID, 'req-1');
      assert.equal(new Headers(error.headers).get('retry-after'), '3');
      assert.equal(fieldOf(stage.provider.requests.at(-1), 'authorization'), `Bearer ${operatorKey}`);
    });
  }

  test("BadRequestError for the gateway's own 400s", async () => {
    const client = await clientFor(demoUrl(), { conf: { provider: 'deepseek' } });
    const unsupported = await failure(client.embeddings.create({ model: 'm', input: 'x' }));
    assert.ok(unsupported instanceof BadRequestError);
    assert.match(unsupported.message, /provider deepseek does not support openai-embeddings protocol/);

    const empty = await failure(client.post('/chat/completions', { body: {} }));
    assert.ok(empty instanceof BadRequestError);
    assert.match(empty.message, /no matching AI protocol for the request/);
  });

  test('NotFoundError where there is no route', async () => {
    const client = new OpenAI({ baseURL: `${stage.gateway.url}/nowhere/v1`, apiKey: 'x', maxRetries: 0 });
    assert.ok((await failure(ask(client))) instanceof NotFoundError);
  });

  test('InternalServerError for a provider that cannot be reached, with the code of Weir', async () => {
    const client = await clientFor('http://127.0.0.1:1');
    const error = await failure(ask(client));
    assert.ok(error instanceof InternalServerError);
    assert.deepEqual([error.status, error.code, error.type], [502, 'UPSTREAM_CONNECT', 'server_error']);
    assert.match(error.message, /cannot connect to the upstream/);
  });

  test('InternalServerError for a provider that does not answer in time', async () => {
    const client = await clientFor(stage.raw.url, { conf: { timeout: 150 } });
    const error = await failure(ask(client));
    assert.ok(error instanceof InternalServerError);
    assert.deepEqual([error.status, error.code], [504, 'UPSTREAM_READ_TIMEOUT']);
  });

  test('APIError out of a stream that breaks', async () => {
    const client = await clientFor(stage.raw.url);
    stage.raw.answer = ({ socket }) => {
      socket.write(chunkedHead + chunk(`${textEvent('one')}data: {"half`).toString());
      setTimeout(() => socket.end(), 10);
    };
    const stream = await client.chat.completions.create({ ...question, stream: true });
    const texts: unknown[] = [];
    const reading = (async () => {
      for await (const piece of stream) texts.push(piece.choices[0]?.delta.content);
    })();
    await assert.rejects(reading);
    assert.deepEqual(texts, ['one']);
  });

  test('APIError with code and message out of a stream that breaks between two events', async () => {
    const client = await clientFor(stage.raw.url);
    stage.raw.answer = ({ socket }) => {
      socket.write(chunkedHead + chunk(textEvent('one')).toString());
      setTimeout(() => socket.end(), 10);
    };
    const stream = await client.chat.completions.create({ ...question, stream: true });
    const error = await failure(Array.fromAsync(stream));
    assert.equal(error.code, 'UPSTREAM_RESET');
    assert.match(error.message, /the upstream closed the connection too early/);
  });

  test('APIError with code and message out of a stream that stalls', async () => {
    const client = await clientFor(stage.raw.url, { conf: { timeout: 100 } });
    stage.raw.answer = ({ socket }) => void socket.write(chunkedHead + chunk(textEvent('one')).toString());
    const stream = await client.chat.completions.create({ ...question, stream: true });
    const texts: unknown[] = [];
    const reading = (async () => {
      for await (const piece of stream) texts.push(piece.choices[0]?.delta.content);
    })();
    const error = await failure(reading);
    assert.deepEqual([texts, error.code], [['one'], 'UPSTREAM_READ_TIMEOUT']);
    assert.equal((await stage.logged(`${client.baseURL}/chat/completions`))[0]?.weir_error, 'UPSTREAM_READ_TIMEOUT');
  });

  test('APIError out of a stream in which the provider reports one', async () => {
    const client = await clientFor(stage.raw.url);
    const event = 'data: {"error":{"message":"of the provider","type":"server_error","code":"overloaded"}}\n\n';
    stage.raw.answer = ({ socket }) => {
      socket.write(`${chunkedHead}${chunk(textEvent('one') + event).toString()}0\r\n\r\n`);
    };
    const stream = await client.chat.completions.create({ ...question, stream: true });
    const error = await failure(Array.fromAsync(stream));
    assert.deepEqual([error.message, error.code], ['of the provider', 'overloaded']);
    assert.equal((await stage.logged(`${client.baseURL}/chat/completions`))[0]?.weir_error, 'UPSTREAM_ERROR_EVENT');
  });

  test('APIConnectionTimeoutError when the client itself does not wait so long', async () => {
    const client = await clientFor(stage.raw.url, { client: { timeout: 50 } });
    assert.ok((await failure(ask(client))) instanceof APIConnectionTimeoutError);
    await stage.raw.closed(stage.raw.connections.length - 1);
  });

  test('APIConnectionError when the gateway is not there', async () => {
    const client = new OpenAI({ baseURL: 'http://127.0.0.1:1/v1', apiKey: 'x', maxRetries: 0 });
    assert.ok((await failure(ask(client))) instanceof APIConnectionError);
  });
});
