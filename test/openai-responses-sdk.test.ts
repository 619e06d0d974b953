import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import OpenAI, { APIError, APIUserAbortError, InternalServerError, RateLimitError } from 'openai';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { answerJson, chunk, fieldOf, type Answer } from './support/mock-provider.ts';

const operatorKey = 'sk-of-the-operator';
const chunkedHead = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
const question = { model: 'm', input: 'Hé – 🌊' };
const tools: OpenAI.Responses.Tool[] = [
  { type: 'function', name: 'get_weather', parameters: { type: 'object' }, strict: false },
];

const text = 'Héllo 🌊';
const message = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  status: 'completed',
  content: [{ type: 'output_text', text, annotations: [] }],
};
const call = {
  id: 'fc_1',
  type: 'function_call',
  call_id: 'call_1',
  name: 'get_weather',
  arguments: '{"city":"Paris \\"é\\""}',
  status: 'completed',
};
const usage = {
  input_tokens: 8,
  input_tokens_details: { cached_tokens: 4 },
  output_tokens: 5,
  output_tokens_details: { reasoning_tokens: 2 },
  total_tokens: 13,
};
const completed = {
  id: 'resp_1',
  object: 'response',
  model: 'm-1',
  status: 'completed',
  output: [message, call],
  usage,
};
const begun = { ...completed, status: 'in_progress', output: [], usage: null };

const events: readonly string[] = [
  { type: 'response.created', response: begun },
  { type: 'response.output_item.added', output_index: 0, item: { ...message, status: 'in_progress', content: [] } },
  {
    type: 'response.content_part.added',
    item_id: 'msg_1',
    output_index: 0,
    content_index: 0,
    part: { type: 'output_text', text: '', annotations: [] },
  },
  ...['Hé', 'llo 🌊'].map((delta) => ({
    type: 'response.output_text.delta',
    item_id: 'msg_1',
    output_index: 0,
    content_index: 0,
    delta,
  })),
  { type: 'response.output_item.done', output_index: 0, item: message },
  { type: 'response.output_item.added', output_index: 1, item: { ...call, status: 'in_progress', arguments: '' } },
  ...['{"city":"Par', 'is \\"é\\""}'].map((delta) => ({
    type: 'response.function_call_arguments.delta',
    item_id: 'fc_1',
    output_index: 1,
    delta,
  })),
  { type: 'response.output_item.done', output_index: 1, item: call },
  { type: 'response.completed', response: completed },
].map((event, sequence_number) => toEvent({ ...event, sequence_number }));

/** Up to the first piece of text. */
const beginning = events.slice(0, 4).join('');

function toEvent(event: { readonly type: string; readonly [member: string]: unknown }): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** In pieces that have nothing to do with events. */
function answerStream(stream: string): Answer {
  return (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    const bytes = Buffer.from(stream);
    for (let at = 0; at < bytes.length; at += 61) response.write(bytes.subarray(at, at + 61));
    response.end();
  };
}

let stage: AiStage;
before(async () => {
  stage = await startStage();
});
after(() => stage[Symbol.asyncDispose]());
beforeEach(() => {
  stage.provider.requests.length = 0;
});

let routes = 0;
async function clientOf(endpoint: string, more: object = {}): Promise<OpenAI> {
  const id = `responses-${++routes}`;
  const auth = { header: { Authorization: `Bearer ${operatorKey}` } };
  const aiProxy = { provider: 'openai-compatible', auth, override: { endpoint }, ...more };
  await stage.gateway.putRoute(id, { uri: `/${id}/*`, plugins: { 'ai-proxy': aiProxy } });
  const baseURL = `${stage.gateway.url}/${id}/v1`;
  return new OpenAI({ baseURL, apiKey: 'of-the-client', maxRetries: 0, logLevel: 'off' });
}

function logged(client: OpenAI): ReturnType<AiStage['logged']> {
  return stage.logged(`${client.baseURL}/responses`);
}

async function failure(asking: Promise<unknown>): Promise<APIError> {
  const error: unknown = await asking.then(
    () => assert.fail('it did not fail'),
    (raised: unknown) => raised,
  );
  assert.ok(error instanceof APIError, String(error));
  return error;
}

describe("the official OpenAI client's Responses through the gateway", { timeout: 120_000 }, () => {
  test('come whole: text, a tool call, usage', async () => {
    const client = await clientOf(stage.provider.url);
    stage.provider.answer = answerJson(completed);
    const answer = await client.responses.create({ ...question, tools, safety_identifier: 'u-1' });
    assert.deepEqual([answer.output_text, answer.output, answer.usage], [text, [message, call], usage]);
    const [request] = stage.provider.requests;
    assert.equal(request?.target, '/v1/responses');
    assert.equal(request?.body.toString(), JSON.stringify({ ...question, tools, safety_identifier: 'u-1' }));
    assert.equal(fieldOf(request, 'authorization'), `Bearer ${operatorKey}`);
    const [line] = await logged(client);
    assert.deepEqual(
      [line?.request_type, line?.llm_prompt_tokens, line?.llm_completion_tokens, line?.llm_cache_read_input_tokens],
      ['ai_chat', '8', '5', '4'],
    );
    assert.deepEqual(
      [line?.llm_reasoning_tokens, line?.llm_tool_count, line?.llm_has_tool_calls, line?.llm_end_user_id],
      ['2', '1', 'true', 'u-1'],
    );
    assert.deepEqual([line?.request_llm_model, line?.llm_model, line?.weir_error], ['m', 'm', '']);
  });

  test('come streamed: text, a tool call, usage', async () => {
    const client = await clientOf(stage.provider.url);
    stage.provider.answer = answerStream(events.join(''));
    const stream = client.responses.stream({ ...question, tools });
    const heard = { text: '', arguments: '' };
    stream.on('response.output_text.delta', ({ delta }) => (heard.text += delta));
    stream.on('response.function_call_arguments.delta', ({ delta }) => (heard.arguments += delta));
    const answer = await stream.finalResponse();
    assert.deepEqual(heard, { text, arguments: call.arguments });
    assert.deepEqual([answer.output_text, answer.status, answer.usage], [text, 'completed', usage]);
    const [line] = await logged(client);
    assert.deepEqual(
      [line?.request_type, line?.llm_prompt_tokens, line?.llm_completion_tokens, line?.llm_has_tool_calls],
      ['ai_stream', '8', '5', 'true'],
    );
    assert.equal(line?.weir_error, '');
  });

  test('that are aborted in the middle of a stream close the upstream', async () => {
    const client = await clientOf(stage.raw.url);
    stage.raw.answer = ({ socket }) => void socket.write(chunkedHead + chunk(beginning).toString());
    const controller = new AbortController();
    const stream = client.responses.stream(question, { signal: controller.signal });
    stream.once('response.output_text.delta', () => controller.abort());
    assert.ok((await failure(stream.finalResponse())) instanceof APIUserAbortError);
    await stage.raw.closed(stage.raw.connections.length - 1);
    assert.equal((await logged(client))[0]?.status, '499');
  });

  test('RateLimitError for a 429 of the provider, streamed or not', async () => {
    const client = await clientOf(stage.provider.url);
    stage.provider.answer = answerJson({ error: { message: 'of the provider', type: 't', code: 'c' } }, 429);
    for (const stream of [false, true]) {
      const error = await failure(client.responses.create({ ...question, stream }));
      assert.ok(error instanceof RateLimitError, error.constructor.name);
      assert.deepEqual([error.message, error.code], ['429 of the provider', 'c']);
    }
  });

  test('InternalServerError for a 500 of the provider', async () => {
    const client = await clientOf(stage.provider.url);
    stage.provider.answer = answerJson({ error: { message: 'of the provider', type: 't', code: 'c' } }, 500);
    const error = await failure(client.responses.create(question));
    assert.ok(error instanceof InternalServerError, error.constructor.name);
  });

  test('InternalServerError for a provider that does not answer in time', async () => {
    const client = await clientOf(stage.raw.url, { timeout: 100 });
    stage.raw.answer = () => {};
    const error = await failure(client.responses.create(question));
    assert.ok(error instanceof InternalServerError, error.constructor.name);
    assert.deepEqual([error.status, error.code], [504, 'UPSTREAM_READ_TIMEOUT']);
  });

  test('a failed response is no error of the client, but one in the log', async () => {
    const client = await clientOf(stage.provider.url);
    const failed = { ...begun, status: 'failed', error: { code: 'server_error', message: 'of the provider' } };
    const last = toEvent({ type: 'response.failed', response: failed, sequence_number: 4 });
    stage.provider.answer = answerStream(beginning + last);
    const seen: string[] = [];
    for await (const { type } of await client.responses.create({ ...question, stream: true })) seen.push(type);
    assert.equal(seen.at(-1), 'response.failed');
    assert.equal((await logged(client))[0]?.weir_error, 'UPSTREAM_ERROR_EVENT');
  });

  for (const place of ['between two events', 'in the middle of an event'] as const) {
    test(`APIError with code and message out of a stream that breaks ${place}`, async () => {
      const client = await clientOf(stage.raw.url);
      const half = place === 'between two events' ? '' : (events[4] ?? '').slice(0, 60);
      stage.raw.answer = ({ socket }) => {
        socket.write(chunkedHead + chunk(beginning + half).toString());
        setTimeout(() => socket.destroy(), 10);
      };
      const stream = client.responses.stream(question);
      let heard = '';
      stream.on('response.output_text.delta', ({ delta }) => (heard += delta));
      // The half of an event is no JSON: what the client says of that is its own.
      if (place === 'in the middle of an event') await assert.rejects(stream.finalResponse());
      else {
        const error = await failure(stream.finalResponse());
        assert.equal(error.code, 'UPSTREAM_RESET');
        assert.match(error.message, /the upstream closed the connection too early/);
      }
      assert.equal(heard, 'Hé');
      assert.equal((await logged(client))[0]?.weir_error, 'UPSTREAM_RESET');
    });
  }
});
