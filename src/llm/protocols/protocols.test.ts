import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WeirError } from '../../base/errors.ts';
import { parseSseBlock } from '../framing/sse.ts';
import { detectProtocol, protocols } from './index.ts';
import { openaiChat } from './openai-chat.ts';
import { openaiEmbeddings } from './openai-embeddings.ts';
import { passthrough } from './passthrough.ts';

const detections: { name: string; path?: string; body: unknown; protocol: string | null }[] = [
  { name: 'messages as an array are chat', body: { messages: [] }, protocol: 'openai-chat' },
  { name: 'messages as an object are chat', body: { messages: {} }, protocol: 'openai-chat' },
  { name: 'messages beside input are chat', body: { messages: [], input: 'x' }, protocol: 'openai-chat' },
  { name: 'input is embeddings', body: { input: 'x' }, protocol: 'openai-embeddings' },
  { name: 'input null is embeddings', body: { input: null }, protocol: 'openai-embeddings' },
  { name: 'input on /v1/responses is passed on', path: '/v1/responses', body: { input: 'x' }, protocol: 'passthrough' },
  { name: 'messages as a string are passed on', body: { messages: 'x' }, protocol: 'passthrough' },
  { name: 'any other object is passed on', body: { prompt: 'x' }, protocol: 'passthrough' },
  { name: 'a filled array is passed on', body: [1], protocol: 'passthrough' },
  { name: 'V6 {} is nothing', body: {}, protocol: null },
  { name: 'V6 [] is nothing', body: [], protocol: null },
  { name: 'a number is nothing', body: 5, protocol: null },
  { name: 'a string is nothing', body: 'messages', protocol: null },
  { name: 'null is nothing', body: null, protocol: null },
];

describe('protocol detection', () => {
  for (const { name, path = '/anything', body, protocol } of detections) {
    it(name, () => assert.equal(detectProtocol(path, body)?.name ?? null, protocol));
  }
});

describe('streaming', () => {
  it('is asked for with stream true and nothing else', () => {
    for (const stream of [false, 'true', 1, null, undefined]) {
      assert.equal(openaiChat.isStreaming({ messages: [], stream }), false);
      assert.equal(passthrough.isStreaming({ stream }), false);
    }
    assert.equal(openaiChat.isStreaming({ messages: [], stream: true }), true);
    assert.equal(passthrough.isStreaming({ stream: true }), true);
    assert.equal(openaiEmbeddings.isStreaming({ input: 'x', stream: true }), false);
  });

  it('adds include_usage and keeps the other options of the client', () => {
    const prepare = openaiChat.prepareStream;
    assert.deepEqual(prepare?.({ a: 1 }), { a: 1, stream_options: { include_usage: true } });
    assert.deepEqual(prepare?.({ stream_options: { include_usage: false, include_obfuscation: false } }), {
      stream_options: { include_usage: true, include_obfuscation: false },
    });
    assert.deepEqual(prepare?.({ stream_options: 'x' }), { stream_options: { include_usage: true } });
    const asked = { stream_options: { include_usage: true } };
    assert.equal(prepare?.(asked), asked);
  });

  it('chat ends with [DONE]', () => {
    assert.equal(openaiChat.isDone({ event: 'message', data: '[DONE]' }), true);
    assert.equal(openaiChat.isDone({ event: 'message', data: '{"a":"[DONE]"}' }), false);
  });
});

describe('end-user id', () => {
  const rows = [
    { name: 'V43 safety_identifier beats user', body: { safety_identifier: 's', user: 'u' }, id: 's' },
    { name: 'user alone counts', body: { user: 'u' }, id: 'u' },
    { name: 'what is no string does not count', body: { user: 7 }, id: '' },
    { name: 'there may be none', body: {}, id: '' },
  ];
  for (const { name, body, id } of rows) it(name, () => assert.equal(openaiChat.endUserId(body), id));
});

describe('usage', () => {
  it('reads every count of a chat answer', () => {
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

  it('has no completion in embeddings', () => {
    const usage = openaiEmbeddings.usageOf({ usage: { prompt_tokens: 8, total_tokens: 8 } })?.usage;
    assert.deepEqual([usage?.promptTokens, usage?.completionTokens, usage?.totalTokens], [8, 0, 8]);
  });

  it('is not read from passthrough', () => {
    assert.equal(passthrough.usageOf({ usage: { prompt_tokens: 8 } }), null);
  });
});

it('payload logging gets messages or input', () => {
  assert.deepEqual(openaiChat.requestMessages({ messages: [1] }), [1]);
  assert.equal(openaiEmbeddings.requestMessages({ input: 'x' }), 'x');
  assert.equal(passthrough.requestMessages({ prompt: 'x' }), undefined);
});

describe('errors', () => {
  const upstream = new WeirError('UPSTREAM_CONNECT', ['192.0.2.1:443: refused']);
  for (const protocol of protocols) {
    it(`${protocol.name} writes them as OpenAI does, whole and inside a stream`, () => {
      const { contentType, body } = protocol.renderError(upstream);
      assert.equal(contentType, 'application/json');
      assert.deepEqual(JSON.parse(body), {
        error: { message: upstream.message, type: 'server_error', param: null, code: 'UPSTREAM_CONNECT' },
      });
      const event = protocol.renderErrorEvent(upstream).toString();
      assert.ok(event.endsWith('\n\n'));
      assert.equal(parseSseBlock(event.slice(0, -2))?.data, body);
    });
  }

  it('calls what the client did an invalid request', () => {
    const { body } = openaiChat.renderError(new WeirError('LLM_BODY_EMPTY'));
    assert.match(body, /"type":"invalid_request_error"/);
  });
});
