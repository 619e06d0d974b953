import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { WeirError, type ErrorCode } from '../../base/errors.ts';
import { parseSseBlock, SseSplitter } from '../framing/sse.ts';
import type { StreamEvent } from '../framing/stream-event.ts';
import type { JsonObject } from '../json.ts';
import { anthropicMessages } from './anthropic-messages.ts';
import { detectProtocol, protocols } from './index.ts';
import { openaiChat } from './openai-chat.ts';
import { openaiEmbeddings } from './openai-embeddings.ts';
import { openaiResponses } from './openai-responses.ts';
import { passthrough } from './passthrough.ts';
import type { Protocol, ProtocolName } from './protocol.ts';

const ofOpenai = [openaiChat, openaiEmbeddings, passthrough];

const detections: { name: string; path?: string; body: unknown; protocol: ProtocolName | null }[] = [
  { name: '/converse with messages', path: '/m/converse', body: { messages: [] }, protocol: 'bedrock-converse' },
  { name: '/converse with an object', path: '/m/converse', body: { messages: {} }, protocol: 'bedrock-converse' },
  { name: '/converse without messages', path: '/m/converse', body: { prompt: 'x' }, protocol: 'passthrough' },
  { name: '/converse with input', path: '/m/converse', body: { input: 'x' }, protocol: 'openai-embeddings' },
  { name: '/v1/messages', path: '/v1/messages', body: { messages: [] }, protocol: 'anthropic-messages' },
  { name: 'a prefix', path: '/a/b/v1/messages', body: { messages: [] }, protocol: 'anthropic-messages' },
  { name: 'counting tokens', path: '/v1/messages/count_tokens', body: { messages: [] }, protocol: 'passthrough' },
  { name: 'V23 no messages', path: '/v1/messages', body: { model: 'c' }, protocol: 'anthropic-messages' },
  { name: 'an array there', path: '/v1/messages', body: [1], protocol: 'anthropic-messages' },
  { name: '{} there is nothing', path: '/v1/messages', body: {}, protocol: null },
  { name: 'what comes after', path: '/v1/messages/x', body: { messages: [] }, protocol: 'openai-chat' },
  { name: 'a slash at the end', path: '/v1/messages/', body: { messages: [] }, protocol: 'openai-chat' },
  { name: '/v1/responses', path: '/v1/responses', body: { input: 'x' }, protocol: 'openai-responses' },
  { name: 'a prefix and a list', path: '/a/v1/responses', body: { input: [] }, protocol: 'openai-responses' },
  { name: 'input null is present', path: '/v1/responses', body: { input: null }, protocol: 'openai-responses' },
  { name: 'input first', path: '/v1/responses', body: { input: 1, messages: [] }, protocol: 'openai-responses' },
  { name: 'messages there are chat', path: '/v1/responses', body: { messages: [] }, protocol: 'openai-chat' },
  { name: 'a prompt there is passed on', path: '/v1/responses', body: { prompt: {} }, protocol: 'passthrough' },
  { name: 'messages as an array', body: { messages: [] }, protocol: 'openai-chat' },
  { name: 'messages as an object', body: { messages: {} }, protocol: 'openai-chat' },
  { name: 'messages beside input', body: { messages: [], input: 'x' }, protocol: 'openai-chat' },
  { name: 'input', body: { input: 'x' }, protocol: 'openai-embeddings' },
  { name: 'input null', body: { input: null }, protocol: 'openai-embeddings' },
  { name: 'messages as a string beside input', body: { messages: 'x', input: 1 }, protocol: 'openai-embeddings' },
  { name: 'messages as a string', body: { messages: 'x' }, protocol: 'passthrough' },
  { name: 'messages null', body: { messages: null }, protocol: 'passthrough' },
  { name: 'V34 any other object', path: '/v1/images/generations', body: { prompt: 'x' }, protocol: 'passthrough' },
  { name: 'what Vertex is asked', path: '/x:predict', body: { instances: [{}] }, protocol: 'passthrough' },
  { name: 'a filled array', body: [1], protocol: 'passthrough' },
  { name: 'V6 {}', body: {}, protocol: null },
  { name: 'V6 []', body: [], protocol: null },
  { name: 'a number', body: 5, protocol: null },
  { name: 'a string', body: 'messages', protocol: null },
  { name: 'null', body: null, protocol: null },
];

describe('protocol detection', () => {
  for (const { name, path = '/anything', body, protocol } of detections) {
    it(`${name}: ${protocol ?? 'nothing'}`, () => {
      assert.equal(detectProtocol(path, body)?.name ?? null, protocol);
    });
  }
});

describe('streaming', () => {
  for (const protocol of [anthropicMessages, openaiResponses, openaiChat, passthrough]) {
    it(`${protocol.name} asks for it with any stream but false and null`, () => {
      for (const stream of [false, null, undefined]) assert.equal(protocol.isStreaming({ stream }), false);
      assert.equal(protocol.isStreaming({}), false);
      for (const stream of [true, 'true', 'on', 1, 0, '', {}]) assert.equal(protocol.isStreaming({ stream }), true);
    });
  }

  it('openai-embeddings never streams', () => {
    assert.equal(openaiEmbeddings.isStreaming({ input: 'x', stream: true }), false);
  });

  it('V3 openai-chat adds include_usage and keeps the other options of the client', () => {
    const prepare = openaiChat.prepareStream;
    assert.deepEqual(prepare?.({ a: 1 }), { a: 1, stream_options: { include_usage: true } });
    assert.deepEqual(prepare?.({ stream_options: { include_usage: false, include_obfuscation: false } }), {
      stream_options: { include_usage: true, include_obfuscation: false },
    });
    assert.deepEqual(prepare?.({ stream_options: 'x' }), { stream_options: { include_usage: true } });
    const asked = { stream_options: { include_usage: true } };
    assert.equal(prepare?.(asked), asked);
  });

  it('the other bodies are sent as they are: those APIs refuse stream_options', () => {
    for (const protocol of [anthropicMessages, openaiResponses, openaiEmbeddings, passthrough]) {
      assert.equal(protocol.prepareStream, null, protocol.name);
    }
  });
});

describe('end-user id', () => {
  const ofOpenai = [openaiChat, openaiResponses];
  const rows: { name: string; protocols: readonly Protocol[]; body: JsonObject; id: string }[] = [
    {
      name: 'V43 safety_identifier beats user',
      protocols: ofOpenai,
      body: { safety_identifier: 's', user: 'u' },
      id: 's',
    },
    { name: 'user alone counts', protocols: ofOpenai, body: { user: 'u' }, id: 'u' },
    {
      name: 'user counts beside null',
      protocols: ofOpenai,
      body: { safety_identifier: null, user: 'u' },
      id: 'u',
    },
    { name: 'user counts beside a number', protocols: ofOpenai, body: { safety_identifier: 7, user: 'u' }, id: 'u' },
    { name: 'what is no string does not count', protocols: ofOpenai, body: { user: 7 }, id: '' },
    { name: 'user of embeddings', protocols: [openaiEmbeddings], body: { user: 'u' }, id: 'u' },
    { name: 'metadata.user_id', protocols: [anthropicMessages], body: { metadata: { user_id: 'm' } }, id: 'm' },
    { name: 'only a string', protocols: [anthropicMessages], body: { metadata: { user_id: 7 } }, id: '' },
    { name: 'no metadata', protocols: [anthropicMessages], body: { metadata: null, user: 'u' }, id: '' },
    { name: 'passthrough has none', protocols: [passthrough], body: { user: 'u' }, id: '' },
    { name: 'there may be none', protocols: [...ofOpenai, openaiEmbeddings, anthropicMessages], body: {}, id: '' },
  ];
  for (const { name, protocols, body, id } of rows) {
    for (const protocol of protocols) {
      it(`${protocol.name}: ${name}`, () => assert.equal(protocol.endUserId(body), id));
    }
  }
});

describe('usage', () => {
  it('openai-chat reads every count of an answer', () => {
    const raw = {
      prompt_tokens: 100,
      completion_tokens: 50,
      prompt_tokens_details: { cached_tokens: 64, cache_creation_input_tokens: 32 },
      completion_tokens_details: { reasoning_tokens: 20 },
    };
    assert.deepEqual(openaiChat.usageOf({ usage: raw }), {
      usage: {
        promptTokens: 100,
        completionTokens: 50,
        totalTokens: 150,
        cacheReadInputTokens: 64,
        cacheCreationInputTokens: 32,
        reasoningTokens: 20,
      },
      raw,
    });
  });

  it('openai-chat reads cache_write_tokens, as OpenAI itself calls it', () => {
    const usage = { prompt_tokens: 9, completion_tokens: 1, prompt_tokens_details: { cache_write_tokens: 4 } };
    assert.equal(openaiChat.usageOf({ usage })?.usage.cacheCreationInputTokens, 4);
  });

  it('openai-embeddings has no completion', () => {
    const usage = openaiEmbeddings.usageOf({ usage: { prompt_tokens: 8, total_tokens: 8 } })?.usage;
    assert.deepEqual([usage?.promptTokens, usage?.completionTokens, usage?.totalTokens], [8, 0, 8]);
  });

  it('passthrough reads none', () => {
    assert.equal(passthrough.usageOf({ usage: { prompt_tokens: 8 } }), null);
  });
});

it('payload logging gets messages or input', () => {
  assert.deepEqual(openaiChat.requestMessages({ messages: [1] }), [1]);
  assert.deepEqual(anthropicMessages.requestMessages({ messages: [2], system: 's' }), [2]);
  assert.equal(openaiResponses.requestMessages({ input: 'x', instructions: 'i' }), 'x');
  assert.equal(openaiEmbeddings.requestMessages({ input: 'x' }), 'x');
  assert.equal(passthrough.requestMessages({ prompt: 'x' }), undefined);
});

describe('errors', () => {
  const upstream = new WeirError('UPSTREAM_CONNECT', ['192.0.2.1:443: refused\nat "x"']);

  function eventsOf(bytes: Buffer): StreamEvent[] {
    const events: StreamEvent[] = [];
    const splitter = new SseSplitter((block) => {
      const event = parseSseBlock(block);
      if (event !== null) events.push(event);
    });
    splitter.push(bytes);
    assert.ok(bytes.toString().endsWith('\n\n'));
    return events;
  }

  for (const protocol of [...ofOpenai, openaiResponses]) {
    it(`${protocol.name} writes a whole one as OpenAI does`, () => {
      const { contentType, body } = protocol.renderError(upstream);
      assert.equal(contentType, 'application/json');
      assert.deepEqual(JSON.parse(body), {
        error: { message: upstream.message, type: 'server_error', param: null, code: 'UPSTREAM_CONNECT' },
      });
    });

    it(`${protocol.name} calls what the client did an invalid request`, () => {
      const { body } = protocol.renderError(new WeirError('LLM_BODY_EMPTY'));
      assert.match(body, /"type":"invalid_request_error"/);
    });
  }

  for (const protocol of ofOpenai) {
    it(`${protocol.name} writes the same into a stream`, () => {
      const [event, ...more] = eventsOf(protocol.renderErrorEvent(upstream, 3));
      assert.deepEqual(event, { event: 'message', data: protocol.renderError(upstream).body });
      assert.deepEqual(more, []);
    });
  }

  it('openai-responses writes its event error into a stream, numbered', () => {
    for (const [bytes, sequence_number] of [
      [openaiResponses.renderErrorEvent(upstream), 0],
      [openaiResponses.renderErrorEvent(upstream, 12), 12],
    ] as const) {
      const [event, ...more] = eventsOf(bytes);
      assert.equal(event?.event, 'error');
      const { code, message } = upstream;
      assert.deepEqual(JSON.parse(event.data), { type: 'error', code, message, param: null, sequence_number });
      assert.deepEqual(more, []);
    }
  });

  const ofAnthropic: { code: ErrorCode; status: number; type: string }[] = [
    { code: 'BAD_REQUEST', status: 400, type: 'invalid_request_error' },
    { code: 'ROUTE_NOT_FOUND', status: 404, type: 'not_found_error' },
    { code: 'REQUEST_TIMEOUT', status: 408, type: 'invalid_request_error' },
    { code: 'LLM_BODY_TOO_LARGE', status: 413, type: 'request_too_large' },
    { code: 'CLIENT_CLOSED_REQUEST', status: 499, type: 'invalid_request_error' },
    { code: 'INTERNAL', status: 500, type: 'api_error' },
    { code: 'UPSTREAM_CONNECT', status: 502, type: 'api_error' },
    { code: 'SHUTTING_DOWN', status: 503, type: 'overloaded_error' },
    { code: 'UPSTREAM_READ_TIMEOUT', status: 504, type: 'timeout_error' },
  ];
  for (const { code, status, type } of ofAnthropic) {
    it(`anthropic-messages calls ${code}, ${status}, ${type}, whole and in a stream`, () => {
      const error = new WeirError(code, ['details']);
      assert.equal(error.status, status);
      const { contentType, body } = anthropicMessages.renderError(error);
      assert.equal(contentType, 'application/json');
      assert.deepEqual(JSON.parse(body), {
        type: 'error',
        error: { type, message: error.message, details: { error_code: code } },
      });
      assert.deepEqual(eventsOf(anthropicMessages.renderErrorEvent(error)), [{ event: 'error', data: body }]);
    });
  }

  for (const protocol of [anthropicMessages, openaiResponses, openaiChat]) {
    it(`${protocol.name} knows its own error again when it reads a stream`, () => {
      const bytes = protocol.renderErrorEvent(upstream);
      assert.match(bytes.toString('latin1').slice(0, -2), protocol.streamMarkers ?? /^$/);
      assert.deepEqual(
        eventsOf(bytes).map((event) => protocol.isError(event)),
        [true],
      );
    });
  }
});

it('no JSON of others makes any protocol throw', () => {
  const names =
    'choices message messages delta content tool_calls usage response output item content_block metadata type text input error __proto__ input_tokens_details start'.split(
      ' ',
    );
  const words = ['text', 'text_delta', 'tool_use', 'output_text', 'function_call', 'response.output_text.delta', ''];
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom<unknown>(null, 1, -1, true, ...words),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...names), tie('tree'), { maxKeys: 4 }),
    ),
  }));
  const object = fc.dictionary(fc.constantFrom(...names), tree, { maxKeys: 6 });
  fc.assert(
    fc.property(object, fc.constantFrom('message', 'error', 'message_stop'), (json, name) => {
      const event = { event: name, data: JSON.stringify(json) };
      for (const protocol of protocols) {
        protocol.matches('/v1/messages', json);
        assert.equal(typeof protocol.isStreaming(json), 'boolean');
        protocol.prepareStream?.(json);
        assert.equal(typeof protocol.endUserId(json), 'string');
        protocol.requestMessages(json);
        assert.equal(typeof protocol.isDone(event), 'boolean');
        assert.equal(typeof protocol.isError(event), 'boolean');
        const usage = protocol.usageOf(json)?.usage;
        if (usage !== undefined) assert.ok(Object.values(usage).every((count) => count >= 0));
        assert.equal(typeof protocol.hasToolCalls(json), 'boolean');
        assert.notEqual(protocol.textOf(json), '');
        assert.equal(typeof protocol.deltaTextOf(json), 'string');
      }
    }),
    { numRuns: 300 },
  );
});
