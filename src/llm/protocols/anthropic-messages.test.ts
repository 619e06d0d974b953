import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { observeBody, StreamObserver } from '../framing/tap.ts';
import { noUsage } from '../usage.ts';
import { anthropicMessages } from './anthropic-messages.ts';

// Shapes: https://platform.claude.com/docs/en/api/messages and /docs/en/build-with-claude/streaming

const message = {
  id: 'msg_01',
  type: 'message',
  role: 'assistant',
  model: 'claude-sonnet-4-5',
  content: [
    { type: 'thinking', thinking: 'Hm.', signature: 's' },
    { type: 'text', text: 'Two' },
    { type: 'text', text: 'apples' },
  ],
  stop_reason: 'end_turn',
  stop_sequence: null,
  usage: {
    input_tokens: 10,
    cache_creation_input_tokens: 200,
    cache_read_input_tokens: 3000,
    output_tokens: 8,
    output_tokens_details: { thinking_tokens: 5 },
    service_tier: 'standard',
  },
};

describe('whole answers of anthropic-messages', () => {
  const read = (answer: object): ReturnType<typeof observeBody> =>
    observeBody(anthropicMessages, Buffer.from(JSON.stringify(answer)), { captureText: true });

  it('say what they cost and what their text is', () => {
    assert.deepEqual(read(message), {
      usage: {
        promptTokens: 10,
        completionTokens: 8,
        totalTokens: 18,
        cacheReadInputTokens: 3000,
        cacheCreationInputTokens: 200,
        reasoningTokens: 5,
      },
      rawUsage: message.usage,
      hasToolCalls: false,
      text: 'Two apples',
      textTruncated: false,
    });
  });

  const tools = [
    { name: 'V42 a tool of the client', type: 'tool_use', called: true },
    { name: 'a tool that Anthropic runs', type: 'server_tool_use', called: false },
  ];
  for (const { name, type, called } of tools) {
    it(`${name}: ${called ? 'a call' : 'none'}, whether or not the text is wanted`, () => {
      const body = Buffer.from(JSON.stringify({ ...message, content: [{ type, id: 't', name: 'f', input: {} }] }));
      for (const captureText of [false, true]) {
        const facts = observeBody(anthropicMessages, body, { captureText });
        assert.deepEqual([facts.hasToolCalls, facts.text, facts.usage.totalTokens], [called, null, 18]);
      }
    });
  }

  it('that are errors say nothing', () => {
    const facts = read({ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } });
    assert.deepEqual([facts.usage, facts.rawUsage, facts.text], [noUsage, null, null]);
  });
});

type Event = { readonly type: string; readonly [member: string]: unknown };

const start = {
  type: 'message_start',
  message: { ...message, content: [], stop_reason: null, usage: { input_tokens: 10, output_tokens: 1 } },
};
const blockStart = { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } };
const textDelta = (text: string): Event => ({
  type: 'content_block_delta',
  index: 0,
  delta: { type: 'text_delta', text },
});
const blockStop = { type: 'content_block_stop', index: 0 };
const messageDelta = (usage: object): Event => ({
  type: 'message_delta',
  delta: { stop_reason: 'end_turn', stop_sequence: null },
  usage,
});
const stop = { type: 'message_stop' };
const overloaded = { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } };

function named(events: readonly Event[], eol = '\n'): Buffer {
  const blocks = events.map((event) => `event: ${event.type}${eol}data: ${JSON.stringify(event)}${eol}${eol}`);
  return Buffer.from(blocks.join(''));
}

function unnamed(events: readonly Event[]): Buffer {
  return Buffer.from(events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(''));
}

function observe(chunks: readonly Uint8Array[], captureText: boolean): StreamObserver {
  const observer = new StreamObserver(anthropicMessages, { captureText });
  for (const chunk of chunks) observer.chunk(chunk);
  observer.end();
  return observer;
}

const seen = ({ usage, events, sawDone, hasToolCalls, text, failed, errorText }: StreamObserver): object => ({
  usage,
  events,
  sawDone,
  hasToolCalls,
  text,
  failed,
  errorText,
});

const ping = { type: 'ping' };
const plain = [start, blockStart, ping, textDelta('Hé'), textDelta('llo'), blockStop] as const;
const whole = [...plain, messageDelta({ output_tokens: 8 }), stop];

for (const captureText of [false, true]) {
  describe(`streams of anthropic-messages ${captureText ? 'with' : 'without'} their text`, () => {
    const expected = {
      usage: { ...noUsage, promptTokens: 10, completionTokens: 8, totalTokens: 18 },
      events: 8,
      sawDone: true,
      hasToolCalls: false,
      text: captureText ? 'Héllo' : null,
      failed: false,
      errorText: null,
    };
    const writings = [
      { name: 'LF', bytes: named(whole) },
      { name: 'CR LF', bytes: named(whole, '\r\n') },
      { name: 'events without a name', bytes: unnamed(whole) },
      {
        name: 'no space',
        bytes: Buffer.from(
          named(whole)
            .toString()
            .replaceAll(/^(event|data): /gm, '$1:'),
        ),
      },
      { name: 'white space in JSON', bytes: Buffer.from(named(whole).toString().replaceAll('":', '": ')) },
    ];
    for (const { name, bytes } of writings) {
      it(`V25 join the usage of message_start and message_delta (${name})`, () => {
        assert.deepEqual(seen(observe([bytes], captureText)), expected);
      });

      it(`V26 say the same wherever they are split (${name})`, () => {
        for (let cut = 0; cut <= bytes.length; cut++) {
          const observer = observe([bytes.subarray(0, cut), bytes.subarray(cut)], captureText);
          assert.deepEqual(seen(observer), expected, `split at ${cut}`);
        }
        const byteByByte = Array.from(bytes, (byte) => Uint8Array.of(byte));
        assert.deepEqual(seen(observe(byteByByte, captureText)), expected);
      });
    }

    it('keep the counts of the cache, and the last count where both events have one', () => {
      const first = { ...start.message.usage, cache_read_input_tokens: 3000, cache_creation_input_tokens: 200 };
      const last = {
        input_tokens: 12,
        cache_read_input_tokens: null,
        cache_creation_input_tokens: 0,
        output_tokens: 8,
        output_tokens_details: { thinking_tokens: 2 },
      };
      const events = [{ ...start, message: { ...start.message, usage: first } }, messageDelta(last), stop];
      const observer = observe([named(events)], captureText);
      assert.deepEqual(observer.usage, {
        promptTokens: 12,
        completionTokens: 8,
        totalTokens: 20,
        cacheReadInputTokens: 3000,
        cacheCreationInputTokens: 200,
        reasoningTokens: 2,
      });
      assert.deepEqual(observer.rawUsage, { ...last, cache_read_input_tokens: 3000, cache_creation_input_tokens: 200 });
    });

    it('V42 say that a tool is called', () => {
      const call = { type: 'tool_use', id: 'toolu_01', name: 'get_weather', input: {} };
      const json = { type: 'content_block_delta', index: 0, delta: { type: 'input_json_delta', partial_json: '{"a' } };
      const events = [start, { ...blockStart, content_block: call }, json, blockStop, messageDelta({}), stop];
      const observer = observe([named(events)], captureText);
      assert.deepEqual([observer.hasToolCalls, observer.text], [true, null]);
      const server = { ...blockStart, content_block: { ...call, type: 'server_tool_use' } };
      assert.equal(observe([named([start, server])], captureText).hasToolCalls, false);
    });

    it('that end with an error have failed, are done, and keep what was known', () => {
      for (const bytes of [named([...plain, overloaded]), unnamed([...plain, overloaded])]) {
        assert.deepEqual(seen(observe([bytes], captureText)), {
          ...expected,
          usage: { ...noUsage, promptTokens: 10, completionTokens: 1, totalTokens: 11 },
          events: 7,
          failed: true,
          errorText: 'overloaded_error: Overloaded',
        });
      }
    });

    it('that talk about errors and usage have none', () => {
      const text =
        JSON.stringify(overloaded) + JSON.stringify(messageDelta({ output_tokens: 99 })) + 'event: error\n\n';
      const observer = observe([named([textDelta(text), textDelta('error'), textDelta('message_stop')])], captureText);
      assert.deepEqual([observer.failed, observer.sawDone, observer.usage], [false, false, noUsage]);
    });

    it('are over only with the last byte of the last event', () => {
      const bytes = named(whole);
      const end = bytes.length - 2;
      for (let cut = 0; cut <= bytes.length; cut++) {
        assert.equal(observe([bytes.subarray(0, cut)], captureText).sawDone, cut >= end, `cut at ${cut}`);
      }
    });

    it('that break keep what was known', () => {
      const bytes = named(whole);
      const observer = observe([bytes.subarray(0, bytes.indexOf('llo') + 2)], captureText);
      assert.deepEqual([observer.sawDone, observer.failed, observer.text], [false, false, captureText ? 'Hé' : null]);
      assert.equal(observer.usage.promptTokens, 10);
    });
  });
}

it('only pieces and ends of blocks of anthropic-messages are not parsed', () => {
  const marked = (event: Event): boolean => anthropicMessages.streamMarkers?.test(named([event]).toString()) === true;
  for (const event of [start, blockStart, messageDelta({}), stop, overloaded, ping, { type: 'content_block_deltas' }]) {
    assert.equal(marked(event), true, event.type);
  }
  for (const event of [textDelta('x'), textDelta('"usage":{"output_tokens":1}'), blockStop]) {
    assert.equal(marked(event), false, JSON.stringify(event));
  }
  assert.equal(anthropicMessages.streamMarkers?.test(unnamed([textDelta('x')]).toString()), false);
  assert.equal(anthropicMessages.streamMarkers?.test('content_block_delta\n{}'), false);
});
