import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import Anthropic, * as sdk from '@anthropic-ai/sdk';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { chatProvider, messagesProvider, type Reply } from './support/anthropic-mock.ts';
import { eventually } from './support/gateway.ts';
import { answerJson, fieldOf, streamHead } from './support/mock-provider.ts';

// One table for a provider of the Messages API and for one of chats behind the converter: a client of Anthropic's cannot
// tell one from the other, but for what a chat cannot say (`lost`).

const longName = `mcp__weather.of/the city ${'x'.repeat(60)}`;
const tools: Anthropic.Tool[] = [
  { name: longName, description: 'd', input_schema: { type: 'object', properties: { city: { type: 'string' } } } },
  { name: 'get_time', input_schema: { type: 'object' } },
];
const ask: Anthropic.MessageCreateParamsNonStreaming = {
  model: 'claude',
  max_tokens: 100,
  messages: [{ role: 'user', content: 'Hé – 🌊' }],
};
const plain: Reply = { text: ['Hé', 'llo ', '🌊'] };
const thoughtful: Reply = { thinking: ['Let me ', 'think.'], text: ['Done.'] };
const calling: Reply = {
  text: ['Let me see.'],
  calls: [
    { id: 'toolu_1', tool: 0, input: { city: 'Paris "é"' } },
    { id: 'toolu_2', tool: 1, input: { zone: [1, { a: null }] } },
  ],
};

const sides = [
  {
    name: 'a provider of the Messages API',
    provider: 'anthropic',
    mock: messagesProvider,
    lost: { signature: 'c2lnbmVk' },
  },
  {
    name: 'a provider of chats, through the converter',
    provider: 'openai-compatible',
    mock: chatProvider,
    lost: { signature: '' },
  },
] as const;

let stage: AiStage;
before(async () => {
  stage = await startStage();
});
after(() => stage[Symbol.asyncDispose]());
beforeEach(() => {
  stage.provider.requests.length = 0;
});

let routes = 0;
/** The official client, with a route of its own as its base URL. */
async function clientOf(conf: object, options: object = {}): Promise<Anthropic> {
  const id = `messages-${++routes}`;
  await stage.gateway.putRoute(id, { uri: `/${id}/*`, plugins: { 'ai-proxy': { auth: {}, ...conf } } });
  const baseURL = `${stage.gateway.url}/${id}`;
  return new Anthropic({
    baseURL,
    apiKey: 'of-the-client',
    authToken: null,
    maxRetries: 0,
    logLevel: 'off',
    ...options,
  });
}

function logged(client: Anthropic, count = 1): ReturnType<AiStage['logged']> {
  return stage.logged(`${client.baseURL}/v1/messages`, count);
}

function sentBody(): Record<string, unknown> {
  return JSON.parse(stage.provider.requests.at(-1)?.body.toString() ?? '') as Record<string, unknown>;
}

/** @param events - Of {@link plain}; it begins with the first piece of text. */
function split(events: readonly string[]): { readonly begun: string; readonly rest: string } {
  const middle = events.findIndex((event) => event.includes('"Hé"')) + 1;
  return { begun: events.slice(0, middle).join(''), rest: events.slice(middle).join('') };
}

async function failure(asking: Promise<unknown>): Promise<sdk.APIError> {
  const error: unknown = await asking.then(
    () => assert.fail('it did not fail'),
    (raised: unknown) => raised,
  );
  assert.ok(error instanceof sdk.APIError, String(error));
  return error;
}

/** What of a message any provider says the same. */
function essence({ type, role, model, content, stop_reason, stop_sequence, usage }: Anthropic.Message): unknown {
  const { input_tokens, output_tokens, cache_read_input_tokens } = usage;
  const tokens = { input_tokens, cache_read_input_tokens, output_tokens };
  // The accumulating stream leaves notes of its own in its objects, which no JSON shows.
  return JSON.parse(JSON.stringify({ type, role, model, content, stop_reason, stop_sequence, tokens }));
}

function expected(content: object[], stop_reason: string): unknown {
  const tokens = { input_tokens: 40, cache_read_input_tokens: 60, output_tokens: 20 };
  return { type: 'message', role: 'assistant', model: 'claude', content, stop_reason, stop_sequence: null, tokens };
}

for (const { name, provider, mock, lost } of sides) {
  const clientFor = (options?: object): Promise<Anthropic> =>
    clientOf({ provider, override: { endpoint: stage.provider.url } }, options);
  const rawClient = (conf: object = {}): Promise<Anthropic> =>
    clientOf({ provider, override: { endpoint: stage.raw.url }, ...conf });

  describe(`the official Anthropic client gets from ${name}`, { timeout: 120_000 }, () => {
    const replies: { name: string; reply: Reply; content: object[]; stop: string; params?: object }[] = [
      { name: 'text', reply: plain, content: [{ type: 'text', text: 'Héllo 🌊' }], stop: 'end_turn' },
      {
        name: 'text that was cut by its limit',
        reply: { ...plain, stop: 'max_tokens' },
        content: [{ type: 'text', text: 'Héllo 🌊' }],
        stop: 'max_tokens',
      },
      {
        name: 'thinking before text',
        reply: thoughtful,
        content: [
          { type: 'thinking', thinking: 'Let me think.', ...lost },
          { type: 'text', text: 'Done.' },
        ],
        stop: 'end_turn',
        params: { thinking: { type: 'enabled', budget_tokens: 2048 } },
      },
      {
        name: 'two tool calls in parallel, under their own names',
        reply: calling,
        content: [
          { type: 'text', text: 'Let me see.' },
          { type: 'tool_use', id: 'toolu_1', name: longName, input: { city: 'Paris "é"' } },
          { type: 'tool_use', id: 'toolu_2', name: 'get_time', input: { zone: [1, { a: null }] } },
        ],
        stop: 'tool_use',
        params: { tools },
      },
    ];
    for (const { name, reply, content, stop, params = {} } of replies) {
      test(`${name}, whole`, async () => {
        const client = await clientFor();
        stage.provider.answer = mock.answer(reply);
        const { data, request_id } = await client.messages.create({ ...ask, ...params }).withResponse();
        assert.deepEqual(essence(data), expected(content, stop));
        assert.equal(request_id, 'req_1');
        const [line] = await logged(client);
        assert.deepEqual(
          [line?.request_type, line?.llm_prompt_tokens, line?.llm_completion_tokens, line?.llm_cache_read_input_tokens],
          ['ai_chat', '40', '20', '60'],
        );
        assert.deepEqual([line?.request_llm_model, line?.llm_model, line?.weir_error], ['claude', 'claude', '']);
        assert.deepEqual(
          [line?.llm_has_tool_calls, line?.llm_tool_count],
          'tools' in params ? ['true', '2'] : ['false', '0'],
        );
      });

      test(`${name}, streamed`, async () => {
        const client = await clientFor();
        stage.provider.answer = mock.answer(reply);
        const stream = client.messages.stream({ ...ask, ...params });
        const heard = { text: '', thinking: '', json: '' };
        stream.on('text', (piece) => (heard.text += piece));
        stream.on('thinking', (piece) => (heard.thinking += piece));
        stream.on('inputJson', (piece) => (heard.json += piece));
        assert.deepEqual(essence(await stream.finalMessage()), expected(content, stop));
        assert.deepEqual(heard, {
          text: reply.text.join(''),
          thinking: (reply.thinking ?? []).join(''),
          json: (reply.calls ?? []).map(({ input }) => JSON.stringify(input)).join(''),
        });
        assert.equal(stream.request_id, 'req_1');
        const [line] = await logged(client);
        // Of a converted stream the provider's own count: its prompt includes what came out of the cache.
        const prompt = provider === 'anthropic' ? '40' : '100';
        assert.deepEqual(
          [line?.request_type, line?.llm_prompt_tokens, line?.llm_completion_tokens, line?.llm_cache_read_input_tokens],
          ['ai_stream', prompt, '20', '60'],
        );
        assert.deepEqual([line?.request_llm_model, line?.llm_model, line?.weir_error], ['claude', 'claude', '']);
        assert.equal(line?.llm_has_tool_calls, String('tools' in params));
      });
    }

    test('each piece of a stream as it comes', async () => {
      const client = await rawClient();
      let finish = (): void => {};
      stage.raw.answer = ({ socket }, request) => {
        const { begun, rest } = split(mock.events(plain, request));
        socket.write(streamHead + begun);
        finish = () => socket.end(rest);
      };
      let text = '';
      const stream = client.messages.stream(ask).on('text', (piece) => (text += piece));
      await eventually(() => text === 'Hé');
      finish();
      assert.equal(await stream.finalText(), 'Héllo 🌊');
    });

    test('an answer to a conversation with results of tools, in which the provider understood every part', async () => {
      const client = await clientFor();
      stage.provider.answer = mock.answer(plain);
      await client.messages.create({
        ...ask,
        system: 'Be brief.',
        tools,
        tool_choice: { type: 'any', disable_parallel_tool_use: true },
        stop_sequences: ['END'],
        metadata: { user_id: 'u-1' },
        messages: [
          { role: 'user', content: 'weather and time?' },
          { role: 'assistant', content: [{ type: 'tool_use', id: 'toolu_1', name: longName, input: { city: 'é' } }] },
          { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: '21 °C' }] },
        ],
      });
      const text = stage.provider.requests[0]?.body.toString() ?? '';
      for (const said of ['Be brief.', 'weather and time?', 'toolu_1', '21 °C', 'END', 'u-1', 'get_time']) {
        assert.ok(text.includes(said), said);
      }
      const [line] = await logged(client);
      assert.deepEqual([line?.llm_tool_count, line?.llm_end_user_id], ['2', 'u-1']);
    });

    const statuses = [
      { status: 400, type: 'invalid_request_error', kind: sdk.BadRequestError },
      { status: 401, type: 'authentication_error', kind: sdk.AuthenticationError },
      { status: 404, type: 'not_found_error', kind: sdk.NotFoundError },
      { status: 429, type: 'rate_limit_error', kind: sdk.RateLimitError },
      { status: 500, type: 'api_error', kind: sdk.InternalServerError },
      { status: 529, type: 'overloaded_error', kind: sdk.OverloadedError },
    ];
    for (const { status, type, kind } of statuses) {
      test(`${kind.name} for a ${status}, asked for a stream or not`, async () => {
        const client = await clientFor();
        stage.provider.answer = answerJson(mock.error(type, 'of the provider'), status, {
          'retry-after': '3',
          'request-id': 'req_2',
        });
        // One after the other: a call that fails while the test still waits for the first would be an unhandled rejection.
        const callers = [() => client.messages.create(ask), () => client.messages.stream(ask).finalMessage()];
        for (const caller of callers) {
          const error = await failure(caller());
          assert.ok(error instanceof kind, error.constructor.name);
          assert.deepEqual([error.status, error.type, error.apiMessage], [status, type, 'of the provider']);
          assert.deepEqual([error.requestID, error.headers?.get('retry-after')], ['req_2', '3']);
        }
        const lines = await logged(client, 2);
        assert.deepEqual(
          lines.map((line) => line.status),
          [String(status), String(status)],
        );
      });
    }

    test('an answer at its second try, after as long as the provider wished', async () => {
      const client = await clientFor({ maxRetries: 1 });
      stage.provider.answer = (request, response) => {
        stage.provider.answer = mock.answer(plain);
        answerJson(mock.error('overloaded_error', 'x'), 529, { 'retry-after-ms': '1' })(request, response);
      };
      assert.equal((await client.messages.create(ask)).stop_reason, 'end_turn');
      assert.equal(stage.provider.requests.length, 2);
    });

    test('an error that the provider reports in the middle of a stream', async () => {
      const client = await rawClient();
      stage.raw.answer = ({ socket }, request) => {
        const { begun } = split(mock.events(plain, request));
        socket.end(streamHead + begun + mock.errorEvent('overloaded_error', 'of the provider'));
      };
      const stream = client.messages.stream(ask);
      const error = await failure(stream.finalMessage());
      assert.deepEqual([error.type, error.apiMessage], ['overloaded_error', 'of the provider']);
      assert.equal(stream.receivedMessages.length, 0);
      assert.equal((await logged(client))[0]?.weir_error, 'UPSTREAM_ERROR_EVENT');
    });

    for (const place of ['between two events', 'in the middle of an event'] as const) {
      test(`an error out of a stream that breaks ${place}`, async () => {
        const client = await rawClient();
        stage.raw.answer = ({ socket }, request) => {
          const { begun, rest } = split(mock.events(plain, request));
          const half = place === 'between two events' ? '' : rest.slice(0, 30);
          socket.write(`${streamHead.replace('Connection: close', 'Content-Length: 9999')}${begun}${half}`);
          setTimeout(() => socket.destroy(), 10);
        };
        const stream = client.messages.stream(ask);
        let text = '';
        stream.on('text', (piece) => (text += piece));
        const error = await failure(stream.finalMessage());
        assert.deepEqual([error.type, error.errorCode], ['api_error', 'UPSTREAM_RESET']);
        assert.equal(text, 'Hé');
        assert.equal((await logged(client))[0]?.weir_error, 'UPSTREAM_RESET');
      });
    }

    test('an error out of a stream that stalls', async () => {
      const client = await rawClient({ timeout: 100 });
      stage.raw.answer = ({ socket }, request) => {
        socket.write(streamHead + split(mock.events(plain, request)).begun);
      };
      const error = await failure(client.messages.stream(ask).finalMessage());
      assert.equal(error.errorCode, 'UPSTREAM_READ_TIMEOUT');
    });

    test('GatewayTimeoutError from a provider that does not answer', async () => {
      const client = await rawClient({ timeout: 100 });
      stage.raw.answer = () => {};
      const error = await failure(client.messages.create(ask));
      assert.ok(error instanceof sdk.GatewayTimeoutError, error.constructor.name);
      assert.deepEqual([error.status, error.type, error.errorCode], [504, 'timeout_error', 'UPSTREAM_READ_TIMEOUT']);
    });

    test('InternalServerError from a provider that cannot be reached', async () => {
      const client = await clientOf({ provider, override: { endpoint: 'http://127.0.0.1:1' } });
      const error = await failure(client.messages.create(ask));
      assert.ok(error instanceof sdk.InternalServerError, error.constructor.name);
      assert.deepEqual([error.status, error.type, error.errorCode], [502, 'api_error', 'UPSTREAM_CONNECT']);
    });

    test('nothing more once it aborts, and the provider is told', async () => {
      const client = await rawClient();
      stage.raw.answer = ({ socket }, request) => {
        socket.write(streamHead + split(mock.events(plain, request)).begun);
      };
      const stream = client.messages.stream(ask);
      stream.once('text', () => stream.abort());
      assert.ok((await failure(stream.finalMessage())) instanceof sdk.APIUserAbortError);
      await stage.raw.closed(stage.raw.connections.length - 1);
      assert.equal((await logged(client))[0]?.status, '499');
    });
  });
}

describe('what the official Anthropic client sends', { timeout: 120_000 }, () => {
  const clientNames = ['anthropic-beta', 'x-stainless-lang'];
  const fieldsSent = (...names: string[]): unknown[] =>
    names.map((name) => fieldOf(stage.provider.requests.at(-1), name));
  const betas = { headers: { 'anthropic-beta': 'b1' } };

  test('comes to a provider of the Messages API as it was, byte by byte', async () => {
    const client = await clientOf({ provider: 'anthropic', override: { endpoint: stage.provider.url } });
    stage.provider.answer = messagesProvider.answer(plain);
    const body = { ...ask, tools, top_k: 3 };
    await client.messages.create(body, betas);
    const [request] = stage.provider.requests;
    assert.equal(request?.target, '/v1/messages');
    assert.equal(request?.body.toString(), JSON.stringify(body));
    assert.deepEqual(fieldsSent('authorization', ...clientNames), ['Bearer of-the-client', 'b1', 'js']);
    assert.match(fieldOf(request, 'anthropic-version') ?? '', /^\d{4}-\d\d-\d\d$/);
  });

  test('comes to a provider of the Messages API with the configured key, model and limit', async () => {
    const client = await clientOf({
      provider: 'anthropic',
      auth: { header: { 'x-api-key': 'of-the-operator' } },
      options: { model: 'claude-configured' },
      override: { endpoint: stage.provider.url, llm_options: { max_tokens: 7 } },
    });
    stage.provider.answer = messagesProvider.answer(plain);
    await client.messages.create(ask);
    assert.deepEqual(fieldsSent('x-api-key', 'authorization'), ['of-the-operator', undefined]);
    assert.deepEqual([sentBody()['model'], sentBody()['max_tokens']], ['claude-configured', 7]);
    const [line] = await logged(client);
    assert.deepEqual([line?.request_llm_model, line?.llm_model], ['claude', 'claude-configured']);
  });

  test('comes to a provider of chats in its own words', async () => {
    const client = await clientOf({ provider: 'openai-compatible', override: { endpoint: stage.provider.url } });
    stage.provider.answer = chatProvider.answer(plain);
    await client.messages.stream({ ...ask, tools, thinking: { type: 'enabled', budget_tokens: 2048 } }, betas).done();
    assert.equal(stage.provider.requests[0]?.target, '/v1/chat/completions');
    assert.deepEqual(fieldsSent('authorization', ...clientNames), ['Bearer of-the-client', undefined, undefined]);
    assert.equal(fieldOf(stage.provider.requests[0], 'anthropic-version'), undefined);
    const { tools: sentTools, ...sent } = sentBody() as { tools: { function: { name: string } }[] };
    assert.deepEqual(sent, {
      model: 'claude',
      max_completion_tokens: 100,
      messages: [{ role: 'user', content: 'Hé – 🌊' }],
      reasoning_effort: 'medium',
      stream: true,
      stream_options: { include_usage: true },
    });
    const names = sentTools.map((tool) => tool.function.name);
    assert.match(names[0] ?? '', /^mcp__weather_of_the_city_x{30}_[0-9a-f]{8}$/);
    assert.equal(names[1], 'get_time');
  });

  test('comes to a provider of chats with the configured key alone', async () => {
    const auth = { header: { Authorization: 'Bearer of-the-operator' } };
    const client = await clientOf({ provider: 'openai-compatible', auth, override: { endpoint: stage.provider.url } });
    stage.provider.answer = chatProvider.answer(plain);
    await client.messages.create(ask);
    assert.deepEqual(fieldsSent('x-api-key', 'authorization'), [undefined, 'Bearer of-the-operator']);
  });

  test('with its key in x-api-key, as older ones do, is understood by either provider', async () => {
    for (const { provider, mock, fields } of [
      { provider: 'anthropic', mock: messagesProvider, fields: ['of-the-client', undefined] },
      { provider: 'openai-compatible', mock: chatProvider, fields: [undefined, 'Bearer of-the-client'] },
    ]) {
      const conf = { provider, override: { endpoint: stage.provider.url } };
      const defaultHeaders = { 'x-api-key': 'of-the-client', 'anthropic-version': '2023-06-01', authorization: null };
      const client = await clientOf(conf, { defaultHeaders });
      stage.provider.answer = mock.answer(plain);
      await client.messages.create(ask);
      assert.deepEqual(fieldsSent('x-api-key', 'authorization'), fields);
    }
  });

  test('asks a provider of chats for structured output, and the client parses it', async () => {
    const client = await clientOf({ provider: 'openai-compatible', override: { endpoint: stage.provider.url } });
    stage.provider.answer = chatProvider.answer({ text: ['{"city":', '"Paris"}'] });
    const schema = { type: 'object', properties: { city: { type: 'string' } } };
    const message = await client.messages.parse({
      ...ask,
      output_config: {
        format: { type: 'json_schema', schema, parse: (text: string) => JSON.parse(text) as { city: string } },
      },
    });
    assert.deepEqual(message.parsed_output, { city: 'Paris' });
    assert.deepEqual(sentBody()['response_format'], {
      type: 'json_schema',
      json_schema: {
        name: 'structured_output',
        strict: true,
        schema: { ...schema, additionalProperties: false, required: ['city'] },
      },
    });
  });

  test('that cannot be converted is a BadRequestError', async () => {
    const client = await clientOf({ provider: 'openai-compatible', override: { endpoint: stage.provider.url } });
    const error = await failure(client.post('/v1/messages', { body: { model: 'c', max_tokens: 1 } }));
    assert.ok(error instanceof sdk.BadRequestError, error.constructor.name);
    assert.match(error.message, /missing messages/);
    assert.equal(stage.provider.requests.length, 0);
  });
});
