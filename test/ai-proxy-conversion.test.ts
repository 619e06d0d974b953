import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { eventually } from './support/gateway.ts';
import { call, openCall } from './support/http-call.ts';
import {
  answerJson,
  chatAnswer,
  chatEvent,
  chunk,
  fieldOf,
  rawAnswer,
  textEvent,
  type Answer,
} from './support/mock-provider.ts';

const chunkedHead = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
const lastChunk = '0\r\n\r\n';
const longName = `weather ${'x'.repeat(70)}`;
const ask = { model: 'claude', max_tokens: 9, messages: [{ role: 'user', content: 'hi' }] };

let stage: AiStage;
before(async () => {
  stage = await startStage();
});
after(() => stage[Symbol.asyncDispose]());
beforeEach(() => {
  stage.provider.requests.length = 0;
  stage.provider.answer = answerJson(chatAnswer);
});

/** A route for every path below an address of its own. @returns That address. */
async function openRoute(conf: object): Promise<string> {
  const url = await stage.route(conf);
  const id = url.slice(url.lastIndexOf('/') + 1);
  assert.equal((await stage.gateway.admin('PATCH', `/routes/${id}`, { uri: `/${id}/*` })).status, 200);
  return url;
}

const messagesUrl = async (conf: object = {}): Promise<string> => `${await openRoute(conf)}/v1/messages`;

function answerStream(text: string): Answer {
  return (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', ETag: '"x"' }).end(text);
  };
}

describe('a Messages request to a provider of chats', { timeout: 120_000 }, () => {
  test("V22 becomes a chat, with the client's key as a bearer token, and the answer a message with the tools' own names", async () => {
    const url = await messagesUrl();
    let toolName = '';
    stage.provider.answer = (request, response) => {
      toolName = JSON.parse(request.body.toString()).tools[0].function.name;
      const call = { id: 'c1', type: 'function', function: { name: toolName, arguments: '{"a":1}' } };
      const message = { role: 'assistant', content: null, tool_calls: [call] };
      const answer = { ...chatAnswer, choices: [{ index: 0, message, finish_reason: 'tool_calls' }] };
      answerJson(answer, 200, { 'x-request-id': 'r1', ETag: '"e"' })(request, response);
    };
    const answer = await call(url, {
      headers: { 'x-api-key': 'k', 'anthropic-version': '2023-06-01', 'x-stainless-lang': 'js', 'x-custom': 'c' },
      body: {
        ...ask,
        metadata: { user_id: 'u1' },
        tools: [
          { name: longName, input_schema: { type: 'object' } },
          { name: 'b', input_schema: { type: 'object' } },
        ],
      },
    });
    const [request] = stage.provider.requests;
    const sent = JSON.parse(request?.body.toString() ?? '') as Record<string, unknown>;
    assert.equal(request?.target, '/v1/chat/completions');
    assert.deepEqual([sent['model'], sent['max_completion_tokens'], 'max_tokens' in sent], ['claude', 9, false]);
    const fields = ['authorization', 'x-api-key', 'anthropic-version', 'x-stainless-lang', 'x-custom'];
    assert.deepEqual(
      fields.map((name) => fieldOf(request, name)),
      ['Bearer k', undefined, undefined, undefined, 'c'],
    );
    assert.notEqual(toolName, longName);

    const message = answer.json as Anthropic.Message;
    assert.deepEqual(
      [answer.status, message.type, message.stop_reason, message.model],
      [200, 'message', 'tool_use', 'claude'],
    );
    assert.deepEqual(message.content, [{ type: 'tool_use', id: 'c1', name: longName, input: { a: 1 } }]);
    assert.equal(answer.headers['content-type'], 'application/json');
    assert.equal(answer.headers['content-length'], String(answer.body.length));
    assert.deepEqual([answer.headers['x-request-id'], answer.headers['etag']], ['r1', undefined]);
    const [logged] = await stage.logged(url);
    assert.deepEqual(
      [logged?.llm_total_tokens, logged?.llm_has_tool_calls, logged?.llm_tool_count, logged?.llm_end_user_id],
      ['13', 'true', '2', 'u1'],
    );
    assert.deepEqual([logged?.request_llm_model, logged?.upstream_uri], ['claude', '/v1/chat/completions']);
  });

  test('V22 goes out with the configured key, options and limit, and never with both limits', async () => {
    const url = await messagesUrl({
      auth: { header: { Authorization: 'Bearer configured' } },
      options: { model: 'gpt' },
      override: { endpoint: stage.provider.url, llm_options: { max_tokens: 5 } },
    });
    const answer = await call(url, { headers: { 'x-api-key': 'k' }, body: ask });
    const [request] = stage.provider.requests;
    const sent = JSON.parse(request?.body.toString() ?? '') as Record<string, unknown>;
    assert.equal(fieldOf(request, 'authorization'), 'Bearer configured');
    assert.deepEqual([sent['model'], sent['max_tokens'], 'max_completion_tokens' in sent], ['gpt', 5, false]);
    assert.equal((answer.json as { model: string }).model, 'gpt');
    const [logged] = await stage.logged(url);
    assert.deepEqual([logged?.request_llm_model, logged?.llm_model], ['claude', 'gpt']);
  });

  test('V23 without messages is refused', async () => {
    const url = await messagesUrl();
    const answer = await call(url, { body: { model: 'c' } });
    assert.deepEqual([answer.status, answer.text], [400, '{"error_msg":"missing messages"}\n']);
    assert.equal((await stage.logged(url))[0]?.weir_error, 'LLM_CONVERSION');
    assert.equal(stage.provider.requests.length, 0);
  });

  const rows: {
    name: string;
    status: number;
    contentType?: string;
    headers?: Record<string, string>;
    body: string;
    /** What the client gets. */
    as: { status: number; type: string; message: RegExp };
    code: string;
  }[] = [
    ...[400, 401, 404, 429, 500, 503].map((status) => ({
      name: `an error of status ${status}`,
      status,
      body: '{"error":{"message":"slow down","type":"rate_limit_error","code":null}}',
      as: { status, type: 'rate_limit_error', message: /^slow down$/ },
      code: '',
    })),
    ...(
      [
        [400, 'invalid_request_error'],
        [401, 'authentication_error'],
        [429, 'rate_limit_error'],
        [503, 'overloaded_error'],
      ] as const
    ).map(([status, type]) => ({
      name: `an error of status ${status} that names no type`,
      status,
      body: '{"error":{"message":"slow down"}}',
      as: { status, type, message: /^slow down$/ },
      code: '',
    })),
    {
      name: 'an error page of a proxy',
      status: 502,
      contentType: 'text/html',
      body: '<h1>Bad gateway</h1>',
      as: { status: 502, type: 'api_error', message: /Bad gateway/ },
      code: '',
    },
    {
      name: 'an error without a word',
      status: 500,
      body: '',
      as: { status: 500, type: 'api_error', message: /status 500/ },
      code: '',
    },
    {
      name: 'a success that is an error',
      status: 200,
      body: '{"error":{"message":"no such model"}}',
      as: { status: 502, type: 'api_error', message: /no usable answer: no such model/ },
      code: 'UPSTREAM_ANSWER',
    },
    {
      name: 'a success without choices',
      status: 200,
      body: '{"object":"chat.completion"}',
      as: { status: 502, type: 'api_error', message: /no usable answer/ },
      code: 'UPSTREAM_ANSWER',
    },
    {
      name: 'a success that is no JSON',
      status: 200,
      body: 'OK',
      as: { status: 502, type: 'api_error', message: /no usable answer: it is no JSON/ },
      code: 'UPSTREAM_ANSWER',
    },
    {
      name: 'a success that is compressed',
      status: 200,
      headers: { 'Content-Encoding': 'gzip' },
      body: '(gzip)',
      as: { status: 502, type: 'api_error', message: /no usable answer: it is compressed \(gzip\)/ },
      code: 'UPSTREAM_ANSWER',
    },
    {
      name: 'an error that is compressed',
      status: 400,
      headers: { 'Content-Encoding': 'gzip' },
      body: '(gzip)',
      as: { status: 400, type: 'invalid_request_error', message: /status 400; it is compressed \(gzip\)/ },
      code: '',
    },
    {
      name: 'a success without a body',
      status: 200,
      body: '',
      as: { status: 502, type: 'api_error', message: /no usable answer/ },
      code: 'UPSTREAM_ANSWER',
    },
  ];
  for (const { name, status, contentType = 'application/json', headers = {}, body, as, code } of rows) {
    test(`${name} becomes Anthropic's error envelope, streamed or not`, async () => {
      const url = await messagesUrl();
      stage.provider.answer = (_request, response) => {
        response.writeHead(status, { 'Content-Type': contentType, 'Retry-After': '7', ...headers }).end(body);
      };
      for (const stream of [false, true]) {
        const answer = await call(`${url}?${stream}`, { body: { ...ask, stream } });
        const json = answer.json as { type: string; error: { type: string; message: string } };
        assert.deepEqual([answer.status, json.type, json.error.type], [as.status, 'error', as.type]);
        assert.match(json.error.message, as.message);
        assert.equal(answer.headers['content-type'], 'application/json');
        assert.equal(answer.headers['retry-after'], as.status === status ? '7' : undefined);
        const [logged] = await stage.logged(`${url}?${stream}`);
        assert.deepEqual([logged?.status, logged?.weir_error], [String(as.status), code]);
      }
    });
  }

  test('a provider that cannot be reached is an error in the same envelope', async () => {
    const url = await messagesUrl({ override: { endpoint: 'http://127.0.0.1:1' } });
    const answer = await call(url, { body: ask });
    const { type, error } = answer.json as { type: string; error: { details: { error_code: string } } };
    assert.deepEqual([answer.status, type, error.details.error_code], [502, 'error', 'UPSTREAM_CONNECT']);
  });
});

describe('a chat stream for a client of Messages', { timeout: 120_000 }, () => {
  const finish = chatEvent({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: null });
  const usage = chatEvent({ choices: [], usage: { prompt_tokens: 8, completion_tokens: 5, total_tokens: 13 } });
  const done = 'data: [DONE]\n\n';
  const whole = `: ping\n\n${textEvent('Hé')}${textEvent('llo')}${finish}${usage}${done}`;
  const streamed = { ...ask, stream: true };

  function namesIn(text: string): string[] {
    return [...text.matchAll(/^event: (.*)$/gm)].map((match) => match[1] ?? '');
  }

  test('V24 is one message with one message_delta, which has the usage, and one message_stop', async () => {
    const url = await messagesUrl();
    stage.provider.answer = answerStream(whole);
    const answer = await call(url, { body: streamed });
    assert.deepEqual(namesIn(answer.text), [
      'message_start',
      'content_block_start',
      'content_block_delta',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ]);
    const delta = /event: message_delta\ndata: (.*)\n/.exec(answer.text)?.[1] ?? '';
    assert.equal((JSON.parse(delta) as { usage: { output_tokens: number } }).usage.output_tokens, 5);
    assert.deepEqual([answer.headers['content-type'], answer.headers['etag']], ['text/event-stream', undefined]);
    assert.deepEqual([answer.headers['content-length'], answer.complete], [undefined, true]);
    const [request] = stage.provider.requests;
    assert.match(request?.body.toString() ?? '', /"stream_options":\{"include_usage":true\}/);
    const [logged] = await stage.logged(url);
    assert.deepEqual(
      [logged?.request_type, logged?.llm_prompt_tokens, logged?.llm_completion_tokens, logged?.weir_error],
      ['ai_stream', '8', '5', ''],
    );
  });

  test('V24 V26 is the same wherever the bytes of the provider are split, at once or held for a while', async () => {
    for (const flushMs of [0, 5]) {
      const url = await messagesUrl({
        override: { endpoint: stage.raw.url },
        streaming_flush_interval_ms: flushMs,
      });
      stage.raw.answer = ({ socket }) => {
        socket.write(chunkedHead + chunk(whole).toString() + lastChunk);
      };
      const expected = withoutIds((await call(url, { body: streamed })).text);
      const bytes = Buffer.from(whole);
      for (let size = 1; size < 200; size += flushMs === 0 ? 13 : 67) {
        stage.raw.answer = async ({ socket }) => {
          socket.write(chunkedHead);
          for (let at = 0; at < bytes.length; at += size) {
            socket.write(chunk(bytes.subarray(at, at + size)));
            await new Promise((resolve) => setImmediate(resolve));
          }
          socket.write(lastChunk);
        };
        const answer = await call(url, { body: streamed });
        assert.equal(withoutIds(answer.text), expected, `in pieces of ${size}`);
      }
    }
  });

  function withoutIds(text: string): string {
    return text.replaceAll(/"id":"[^"]*"/g, '"id":""');
  }

  test('is passed on as it comes: the first piece is here before the last is sent', async () => {
    const url = await messagesUrl({ override: { endpoint: stage.raw.url } });
    let finishUp = (): void => {};
    stage.raw.answer = ({ socket }) => {
      socket.write(chunkedHead + chunk(textEvent('one')).toString());
      finishUp = () => socket.write(chunk(finish + usage + done).toString() + lastChunk);
    };
    const open = await openCall(url, { body: streamed });
    await eventually(() => open.received().includes('"one"'));
    assert.ok(!open.received().includes('message_stop'));
    finishUp();
    assert.ok((await open.finish()).text.includes('message_stop'));
  });

  test('that ends without a reason and without [DONE] ends with an error, not with a stop', async () => {
    const url = await messagesUrl();
    stage.provider.answer = answerStream(textEvent('one'));
    const answer = await call(url, { body: streamed });
    assert.equal(namesIn(answer.text).at(-1), 'error');
    assert.equal((await stage.logged(url))[0]?.weir_error, 'UPSTREAM_INCOMPLETE_STREAM');
  });

  test('whose provider reports an error ends with that error', async () => {
    const url = await messagesUrl();
    stage.provider.answer = answerStream(
      `${textEvent('one')}data: {"error":{"message":"overloaded","code":"busy"}}\n\n`,
    );
    const answer = await call(url, { body: streamed });
    assert.equal(namesIn(answer.text).at(-1), 'error');
    assert.match(answer.text, /overloaded/);
    const [logged] = await stage.logged(url);
    assert.equal(logged?.weir_error, 'UPSTREAM_ERROR_EVENT');
    await eventually(() => stage.gateway.errorLog().includes('busy: overloaded'));
  });

  for (const [name, text] of [
    ['another protocol', 'event: ping\ndata: {"type":"ping"}\n\n'],
    ['comments alone', ': ping\n\n: ping\n\n'],
    ['[DONE] alone', done],
  ] as const) {
    test(`that is ${name} is an answer of status 502`, async () => {
      const url = await messagesUrl();
      stage.provider.answer = answerStream(text);
      const answer = await call(url, { body: streamed });
      const { error } = answer.json as { error: { message: string; details: { error_code: string } } };
      assert.deepEqual([answer.status, error.details.error_code], [502, 'UPSTREAM_UNEXPECTED_STREAM']);
      assert.equal(
        error.message,
        'streaming response completed without producing any output; the upstream likely returned a different stream format than the converter expects',
      );
      assert.deepEqual((await stage.logged(url))[0]?.status, '502');
    });
  }

  test('that breaks before anything could be converted is an answer of status 502', async () => {
    const url = await messagesUrl({ override: { endpoint: stage.raw.url } });
    stage.raw.answer = ({ socket }) => {
      socket.write(chunkedHead + chunk(': ping\n\ndata: {"cho').toString());
      setTimeout(() => socket.destroy(), 20);
    };
    const answer = await call(url, { body: streamed });
    assert.equal(answer.status, 502);
    assert.match(answer.text, /^\{"type":"error".*UPSTREAM_RESET/);
  });

  test('with an event that is too large to be read ends with an error: nothing of an answer is left out', async () => {
    const url = await messagesUrl({ override: { endpoint: stage.raw.url } });
    const huge = chunk(textEvent('x'.repeat(2 * 1024 * 1024)));
    stage.raw.answer = ({ socket }) => {
      socket.write(chunkedHead + chunk(textEvent('one')).toString());
      socket.write(huge);
      socket.write(chunk(finish + usage + done).toString() + lastChunk);
    };
    const answer = await call(url, { body: streamed });
    assert.deepEqual([namesIn(answer.text).at(-1), answer.complete], ['error', true]);
    assert.match(answer.text, /an event is larger than 1 MiB/);
    assert.ok(!answer.text.includes('message_stop'));
    assert.equal((await stage.logged(url))[0]?.weir_error, 'UPSTREAM_ANSWER');
  });

  test('V29 whose client leaves is given up at once, and what was known is logged', async () => {
    const url = await messagesUrl({ override: { endpoint: stage.raw.url } });
    stage.raw.answer = ({ socket }) => void socket.write(chunkedHead + chunk(textEvent('one') + usage).toString());
    const open = await openCall(url, { body: streamed });
    await eventually(() => open.received().includes('"one"'));
    open.leave();
    await stage.raw.closed(stage.raw.connections.length - 1);
    const [logged] = await stage.logged(url);
    assert.deepEqual([logged?.status, logged?.llm_total_tokens], ['499', '13']);
  });

  test("is what Anthropic's own client reads, text, tool call and usage", async () => {
    const base = await openRoute({});
    const client = new Anthropic({ baseURL: base, apiKey: 'k', maxRetries: 0, logLevel: 'off' });
    stage.provider.answer = (request, response) => {
      const { tools } = JSON.parse(request.body.toString());
      const start = { index: 0, id: 'c1', type: 'function', function: { name: tools[0].function.name, arguments: '' } };
      const more = { index: 0, function: { arguments: '{"city":"Paris"}' } };
      const toolCalls = [start, more].map((part) =>
        chatEvent({ choices: [{ index: 0, delta: { tool_calls: [part] }, finish_reason: null }] }),
      );
      const end = chatEvent({ choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] });
      answerStream(textEvent('Let me see.') + toolCalls.join('') + end + usage + done)(request, response);
    };
    const stream = client.messages.stream({
      model: 'claude',
      max_tokens: 9,
      messages: [{ role: 'user', content: 'weather?' }],
      tools: [{ name: longName, input_schema: { type: 'object' } }],
    });
    const message = await stream.finalMessage();
    assert.deepEqual(
      message.content.map((block) => (block.type === 'text' ? block.text : block.type === 'tool_use' && block.input)),
      ['Let me see.', { city: 'Paris' }],
    );
    assert.equal(message.content[1]?.type === 'tool_use' && message.content[1].name, longName);
    assert.deepEqual([message.stop_reason, message.usage.output_tokens], ['tool_use', 5]);
    assert.equal(fieldOf(stage.provider.requests[0], 'authorization'), 'Bearer k');
    assert.equal((await stage.logged(`${base}/v1/messages`))[0]?.llm_has_tool_calls, 'true');
  });
});

test('an answer too large to be converted is an error, not half an answer', { timeout: 120_000 }, async () => {
  const url = await messagesUrl({ override: { endpoint: stage.raw.url } });
  const piece = chunk(Buffer.alloc(1024 * 1024, ' '));
  stage.raw.answer = async ({ socket }) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (let sent = 0; sent < 80 && !socket.destroyed; sent++) {
      if (!socket.write(piece)) await new Promise((resolve) => socket.once('drain', resolve).once('close', resolve));
    }
  };
  const answer = await call(url, { body: ask });
  assert.equal(answer.status, 502);
  assert.match(answer.text, /too large to be converted/);
  stage.raw.answer = ({ socket }) => void socket.write(rawAnswer(200, 'application/json', JSON.stringify(chatAnswer)));
  assert.equal((await call(url, { body: ask })).status, 200);
});
