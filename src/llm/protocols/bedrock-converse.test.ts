import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WeirError, type ErrorCode } from '../../base/errors.ts';
import { AwsEventSplitter } from '../framing/aws-event-stream.ts';
import type { StreamEvent } from '../framing/stream-event.ts';
import { bedrockConverse } from './bedrock-converse.ts';
import { detectProtocol } from './index.ts';

const messages = [{ role: 'user', content: [{ text: 'Hi' }] }];

describe('a Converse request', () => {
  const rows: { path: string; body: object; protocol: string }[] = [
    { path: '/model/m/converse', body: { messages }, protocol: 'bedrock-converse' },
    { path: '/converse', body: { messages: {} }, protocol: 'bedrock-converse' },
    { path: '/converse', body: { messages, input: 'x' }, protocol: 'bedrock-converse' },
    { path: '/converse', body: { messages: 'x' }, protocol: 'passthrough' },
    { path: '/converse', body: { input: 'x' }, protocol: 'openai-embeddings' },
    { path: '/converse/', body: { messages }, protocol: 'openai-chat' },
    { path: '/converse-stream', body: { messages }, protocol: 'bedrock-converse' },
    { path: '/converse-stream', body: { messages: 'x' }, protocol: 'passthrough' },
  ];
  for (const { path, body, protocol } of rows) {
    it(`${path} with ${JSON.stringify(body)} is ${protocol}`, () => {
      assert.equal(detectProtocol(path, body)?.name, protocol);
    });
  }

  it('asks for a stream with stream true and nothing else', () => {
    for (const stream of [false, 'true', 1, null, undefined]) {
      assert.equal(bedrockConverse.isStreaming({ messages, stream }), false);
    }
    assert.equal(bedrockConverse.isStreaming({ messages, stream: true }), true);
  });

  it('asks for a stream with the path of ConverseStream, whatever the body says', () => {
    const protocol = detectProtocol('/model/m/converse-stream', { messages, stream: false });
    assert.equal(protocol?.isStreaming({ messages, stream: false }), true);
  });

  for (const [path, model] of [
    ['/model/m/converse', 'm'],
    ['/model/m/converse-stream', 'm'],
    ['/gateway/model/a:b/converse', 'a:b'],
    [
      '/model/arn:aws:bedrock:eu-west-1:1:inference-profile/x/converse',
      'arn:aws:bedrock:eu-west-1:1:inference-profile/x',
    ],
    ['/converse', ''],
    ['/model/converse', ''],
    ['/model//converse', ''],
    ['/models/m/converse', ''],
  ] as const) {
    it(`names ${model === '' ? 'no model' : model} in ${path}`, () => {
      assert.equal(bedrockConverse.modelInPath?.(path), model);
    });
  }

  it('counts its tools where Bedrock has them', () => {
    const tools = [{ toolSpec: { name: 'a' } }];
    assert.equal(bedrockConverse.toolsOf({ toolConfig: { tools } }), tools);
    for (const body of [{ tools }, { toolConfig: null }, {}]) assert.equal(bedrockConverse.toolsOf(body), undefined);
  });

  it('shows its messages to payload logging and names no end user', () => {
    assert.equal(bedrockConverse.requestMessages({ messages }), messages);
    assert.equal(bedrockConverse.endUserId({ messages, user: 'u' }), '');
  });
});

describe('a Converse answer', () => {
  const raw = {
    inputTokens: 30,
    outputTokens: 12,
    totalTokens: 142,
    cacheReadInputTokens: 64,
    cacheWriteInputTokens: 36,
  };
  const expected = {
    promptTokens: 30,
    completionTokens: 12,
    totalTokens: 142,
    cacheReadInputTokens: 64,
    cacheCreationInputTokens: 36,
    reasoningTokens: 0,
  };

  it('reports usage, whole and in the metadata of a stream', () => {
    assert.deepEqual(bedrockConverse.usageOf({ usage: raw, metrics: { latencyMs: 5 } }), { usage: expected, raw });
  });

  it('without a total has the sum as its total', () => {
    const report = bedrockConverse.usageOf({ usage: { inputTokens: 8, outputTokens: 5 } });
    assert.equal(report?.usage.totalTokens, 13);
  });

  it('has the text of all its blocks', () => {
    const content = [{ text: 'Hé' }, { reasoningContent: { reasoningText: { text: 'no' } } }, { text: 'llo' }];
    assert.equal(bedrockConverse.textOf({ output: { message: { role: 'assistant', content } } }), 'Hé llo');
  });

  it('calls a tool with a toolUse block, which its marker finds', () => {
    const answer = { output: { message: { content: [{ text: 'x' }, { toolUse: { toolUseId: '1', name: 'n' } }] } } };
    assert.equal(bedrockConverse.hasToolCalls(answer), true);
    assert.ok(JSON.stringify(answer).includes(bedrockConverse.toolCallMarker ?? 'no marker'));
  });

  it('that is something else says nothing', () => {
    const odd = [5, null, 'x', [], {}, [5, null], { message: 5 }, { message: { content: [null, 5, 'x', {}] } }];
    for (const output of odd) {
      assert.equal(bedrockConverse.textOf({ output }), null);
      assert.equal(bedrockConverse.hasToolCalls({ output, start: output }), false);
      assert.equal(bedrockConverse.deltaTextOf({ delta: output }), '');
      assert.equal(bedrockConverse.usageOf({ usage: Array.isArray(output) ? output : 5 }), null);
    }
  });
});

describe('a ConverseStream', () => {
  interface Row extends StreamEvent {
    readonly marked?: boolean;
    readonly done?: boolean;
    readonly error?: boolean;
  }
  const rows: Row[] = [
    { event: 'messageStart', data: '{"role":"assistant"}' },
    { event: 'contentBlockStart', data: '{"contentBlockIndex":0,"start":{}}', marked: true },
    { event: 'contentBlockDelta', data: '{"contentBlockIndex":0,"delta":{"text":"\\"metadata\\""}}' },
    { event: 'contentBlockStop', data: '{"contentBlockIndex":0}' },
    { event: 'messageStop', data: '{"stopReason":"end_turn"}', marked: true, done: true },
    { event: 'metadata', data: '{"usage":{"inputTokens":1}}', marked: true, done: true },
    { event: 'exception:throttlingException', data: '{"message":"x"}', marked: true, done: true, error: true },
    { event: 'exception:', data: '', marked: true, done: true, error: true },
  ];
  for (const { event, data, marked = false, done = false, error = false } of rows) {
    it(`event ${event}: ${marked ? '' : 'not '}to be looked at, ${done ? '' : 'not '}the end, ${error ? '' : 'no '}error`, () => {
      assert.equal(bedrockConverse.streamMarkers?.test(event), marked);
      assert.equal(bedrockConverse.isDone({ event, data }), done);
      assert.equal(bedrockConverse.isError({ event, data }), error);
    });
  }

  it('has its text in deltas, and only there', () => {
    assert.equal(bedrockConverse.deltaTextOf({ contentBlockIndex: 0, delta: { text: 'é' } }), 'é');
    assert.equal(bedrockConverse.deltaTextOf({ delta: { toolUse: { input: '{}' } } }), '');
    assert.equal(bedrockConverse.deltaTextOf({ text: 'x' }), '');
  });

  it('calls a tool where a block of it starts', () => {
    assert.equal(bedrockConverse.hasToolCalls({ start: { toolUse: { toolUseId: '1', name: 'n' } } }), true);
    assert.equal(bedrockConverse.hasToolCalls({ start: {} }), false);
  });
});

describe('errors for Bedrock clients', () => {
  const rows: { code: ErrorCode; whole: string; inStream: string }[] = [
    { code: 'LLM_BODY_EMPTY', whole: 'ValidationException', inStream: 'validationException' },
    { code: 'INTERNAL', whole: 'InternalServerException', inStream: 'internalServerException' },
    { code: 'SHUTTING_DOWN', whole: 'ServiceUnavailableException', inStream: 'serviceUnavailableException' },
    { code: 'UPSTREAM_RESET', whole: 'ServiceUnavailableException', inStream: 'modelStreamErrorException' },
  ];
  for (const { code, whole, inStream } of rows) {
    const error = new WeirError(code, ['détail']);
    it(`${code} is a ${whole}`, () => {
      const { contentType, body } = bedrockConverse.renderError(error);
      assert.equal(contentType, 'application/json');
      assert.deepEqual(JSON.parse(body), { __type: whole, message: error.message });
    });
    it(`${code} inside a stream is a ${inStream}`, () => {
      const events: StreamEvent[] = [];
      new AwsEventSplitter((event) => events.push(event)).push(bedrockConverse.renderErrorEvent(error));
      const data = JSON.stringify({ message: error.message });
      assert.deepEqual(events, [{ event: `exception:${inStream}`, data }]);
    });
  }
});
