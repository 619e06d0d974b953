import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openaiChat } from '../protocols/openai-chat.ts';
import { openaiEmbeddings } from '../protocols/openai-embeddings.ts';
import type { Protocol } from '../protocols/protocol.ts';
import { passthrough } from '../protocols/passthrough.ts';
import { noUsage } from '../usage.ts';
import { maxCapturedText, observeBody, StreamObserver } from './tap.ts';

const delta = (content: string): object => ({ choices: [{ index: 0, delta: { content } }], usage: null });
const finalUsage = { choices: [], usage: { prompt_tokens: 8, completion_tokens: 5, total_tokens: 13 } };

function stream(...events: (object | string)[]): Buffer {
  return Buffer.from(
    events.map((event) => (typeof event === 'string' ? event : `data: ${JSON.stringify(event)}\n\n`)).join(''),
  );
}

function observe(chunks: readonly Uint8Array[], captureText = false): StreamObserver {
  const observer = new StreamObserver(openaiChat, { captureText });
  for (const chunk of chunks) observer.chunk(chunk);
  observer.end();
  return observer;
}

const whole = stream(delta('Hé'), ': ping\n\n', delta('llo'), '\n\n', finalUsage, 'data: [DONE]\n\n');

describe('the end of a chat', () => {
  const choice = (reason: unknown): object => ({ choices: [{ index: 0, delta: {}, finish_reason: reason }] });
  for (const [reason, finished] of [
    ['stop', true],
    ['tool_calls', true],
    ['', false],
    ['null', false],
    [null, false],
  ] as const) {
    it(`is ${finished ? '' : 'not '}told by finish_reason ${JSON.stringify(reason)}, also without [DONE]`, () => {
      for (const captureText of [false, true]) {
        const observer = observe([stream(delta('a'), choice(reason))], captureText);
        assert.deepEqual([observer.finished, observer.sawDone], [finished, false]);
      }
    });
  }
});

for (const captureText of [false, true]) {
  describe(`observing a stream ${captureText ? 'with' : 'without'} its text`, () => {
    const seen = (observer: StreamObserver): object => ({
      usage: observer.usage,
      events: observer.events,
      sawDone: observer.sawDone,
      tools: observer.hasToolCalls,
      text: observer.text,
    });
    const expected = {
      usage: { ...noUsage, promptTokens: 8, completionTokens: 5, totalTokens: 13 },
      events: 4,
      sawDone: true,
      tools: false,
      text: captureText ? 'Héllo' : null,
    };

    it('finds usage and the end, and V27 does not count comments and empty events', () => {
      assert.deepEqual(seen(observe([whole], captureText)), expected);
    });

    it('V26 finds the same wherever the chunks are split', () => {
      for (let cut = 0; cut <= whole.length; cut++) {
        const chunks = [whole.subarray(0, cut), whole.subarray(cut)];
        assert.deepEqual(seen(observe(chunks, captureText)), expected, `split at ${cut}`);
      }
      assert.deepEqual(
        seen(
          observe(
            Array.from(whole, (byte) => Uint8Array.of(byte)),
            captureText,
          ),
        ),
        expected,
      );
    });

    it('V28 ignores usage null and takes the cache hits that DeepSeek reports', () => {
      const usage = { prompt_tokens: 20, completion_tokens: 2, total_tokens: 22, prompt_cache_hit_tokens: 16 };
      const observer = observe([stream(delta('a'), { ...delta('b'), usage }, 'data: [DONE]\n\n')], captureText);
      assert.deepEqual(observer.usage, {
        ...noUsage,
        promptTokens: 20,
        completionTokens: 2,
        totalTokens: 22,
        cacheReadInputTokens: 16,
      });
      assert.deepEqual(observer.rawUsage, usage);
    });

    it('V42 sees a tool call, and null or empty tool_calls are none', () => {
      const withTools = (tool_calls: unknown): Buffer => stream({ choices: [{ index: 0, delta: { tool_calls } }] });
      assert.equal(observe([withTools([{ index: 0, id: 'call_1' }])], captureText).hasToolCalls, true);
      assert.equal(observe([withTools([])], captureText).hasToolCalls, false);
      assert.equal(observe([withTools(null)], captureText).hasToolCalls, false);
      assert.equal(observe([stream(delta('"tool_calls": [1]'))], captureText).hasToolCalls, false);
    });

    it('text that talks about markers is not mistaken for them', () => {
      const observer = observe([stream(delta('"usage":{"prompt_tokens":99} [DONE]'))], captureText);
      assert.deepEqual([observer.usage, observer.sawDone, observer.rawUsage], [noUsage, false, null]);
    });

    it('finds usage in JSON written with white space', () => {
      const event = 'data: { "choices" : [ ], "usage" : { "prompt_tokens" : 3, "completion_tokens" : 4 } }\r\n\r\n';
      assert.equal(observe([stream(event)], captureText).usage.totalTokens, 7);
    });

    it('merges usage over events: later positive numbers win', () => {
      const first = { usage: { prompt_tokens: 10, completion_tokens: 1, total_tokens: 11 } };
      const last = { usage: { prompt_tokens: 0, completion_tokens: 8 } };
      const { usage } = observe([stream(first, last)], captureText);
      assert.deepEqual(usage, { ...noUsage, promptTokens: 10, completionTokens: 8, totalTokens: 18 });
    });

    it('survives events that are no JSON, or no object', () => {
      const observer = observe(
        [stream('data: {"usage":{"prompt_tokens":1\n\n', 'data: [1]\n\n', 'data: _tokens"\n\n', finalUsage)],
        captureText,
      );
      assert.equal(observer.usage.totalTokens, 13);
    });

    it('a stream that is cut in an event keeps what was known, its text too', () => {
      const cut = whole.subarray(0, whole.indexOf('usage":{'));
      const observer = new StreamObserver(openaiChat, { captureText });
      observer.chunk(cut);
      for (const end of [() => {}, () => observer.end()]) {
        end();
        assert.deepEqual([observer.usage, observer.sawDone, observer.failed], [noUsage, false, false]);
        assert.equal(observer.text, expected.text);
      }
    });

    const error = { message: 'It broke', type: 'server_error', code: 502 };
    const failures: { name: string; events: (object | string)[]; text: string | null }[] = [
      { name: 'an event with an error', events: [{ error }], text: '502: It broke' },
      { name: 'an error as a word', events: [{ error: 'gone' }], text: 'gone' },
      { name: 'an error behind other members', events: [{ ...delta('x'), error }], text: '502: It broke' },
      { name: 'white space', events: ['data: { "error" : { "code" : "c" } }\r\n\r\n'], text: 'c' },
      { name: 'the first of two errors', events: [{ error: 'one' }, { error: 'two' }], text: 'one' },
      { name: 'an error null is none', events: [{ ...delta('x'), error: null }], text: null },
      { name: 'an empty error is none', events: [{ ...delta('x'), error: '' }], text: null },
      { name: 'text about an error is none', events: [delta('{"error":{"message":"x"}}')], text: null },
      { name: 'a broken event is none', events: ['data: {"error":{"mess\n\n'], text: null },
      { name: 'an error deeper inside is none', events: [{ ...delta('x'), metadata: { error } }], text: null },
    ];
    for (const { name, events, text } of failures) {
      it(`sees what failed: ${name}`, () => {
        const observer = observe([stream(delta('a'), ...events)], captureText);
        assert.deepEqual([observer.failed, observer.errorText], [text !== null, text]);
        assert.equal(observer.events, events.length + 1);
      });
    }

    it('what is known after a failure still counts', () => {
      const observer = observe([stream({ error }, finalUsage, 'data: [DONE]\n\n')], captureText);
      assert.deepEqual([observer.failed, observer.sawDone, observer.usage.totalTokens], [true, true, 13]);
    });
  });
}

it('captured text is bounded and says when it is not all', () => {
  const piece = 'z'.repeat(maxCapturedText / 4 + 1);
  const observer = observe([stream(...Array.from({ length: 5 }, () => delta(piece)), finalUsage)], true);
  assert.equal(observer.text?.length, maxCapturedText);
  assert.equal(observer.textTruncated, true);
  assert.equal(observer.usage.totalTokens, 13);
});

describe('observing events out of another framing', () => {
  // Stands for a protocol whose events are told apart by their names alone.
  const named: Protocol = {
    ...openaiChat,
    streamMarkers: /^(?:metadata|exception)/,
    isDone: ({ event }) => event === 'metadata',
    isError: ({ event }) => event === 'exception',
  };
  const piece = { event: 'delta', data: JSON.stringify(delta('a')) };
  const metadata = { event: 'metadata', data: JSON.stringify(finalUsage) };
  const exception = { event: 'exception', data: '{"message":"Too many tokens"}' };

  for (const captureText of [false, true]) {
    it(`reads the same facts ${captureText ? 'with' : 'without'} the text`, () => {
      const observer = new StreamObserver(named, { captureText });
      for (const event of [piece, piece, metadata]) observer.event(event);
      observer.end();
      const { events, sawDone, failed, text, usage } = observer;
      assert.deepEqual([events, sawDone, failed, usage.totalTokens], [3, true, false, 13]);
      assert.equal(text, captureText ? 'aa' : null);
    });

    it(`sees an exception ${captureText ? 'with' : 'without'} the text`, () => {
      const observer = new StreamObserver(named, { captureText });
      for (const event of [piece, exception]) observer.event(event);
      assert.deepEqual(
        [observer.failed, observer.errorText, observer.sawDone],
        [true, 'exception: Too many tokens', false],
      );
    });
  }

  it('reads only events that the markers match, in their names or their data', () => {
    let parsed = 0;
    const counting: Protocol = { ...openaiChat, usageOf: (json) => (parsed++, openaiChat.usageOf(json)) };
    const observer = new StreamObserver(counting, { captureText: false });
    for (const event of [piece, piece, { event: 'message', data: metadata.data }]) observer.event(event);
    assert.deepEqual([parsed, observer.events, observer.usage.totalTokens], [1, 3, 13]);
  });

  it('reads nothing for protocols that Weir does not interpret', () => {
    const observer = new StreamObserver(passthrough, { captureText: true });
    observer.event(metadata);
    assert.deepEqual([observer.usage, observer.text, observer.events], [noUsage, null, 0]);
  });
});

it('events with an event line in front of their data are counted without being parsed', () => {
  let parsed = 0;
  const counting: Protocol = { ...openaiChat, usageOf: () => (parsed++, null) };
  const observer = new StreamObserver(counting, { captureText: false });
  observer.chunk(Buffer.from('event: x\ndata: {}\n\nevent: x\r\ndata:{}\r\n\r\nevent: x\n\nevent: y\nDATA: {}\n\n'));
  assert.deepEqual([observer.events, parsed], [3, 0]);
});

it('nothing is read out of the streams of protocols that Weir does not interpret', () => {
  const observer = new StreamObserver(passthrough, { captureText: true });
  observer.chunk(whole);
  observer.end();
  assert.deepEqual([observer.usage, observer.text, observer.events], [noUsage, null, 0]);
});

describe('observing a whole answer', () => {
  const answer = {
    choices: [
      { index: 0, message: { role: 'assistant', content: '2' } },
      { index: 1, message: { role: 'assistant', content: 'zwei' } },
    ],
    usage: { prompt_tokens: 8, completion_tokens: 5, total_tokens: 13 },
    service_tier: 'default',
  };
  const nothing = { usage: noUsage, rawUsage: null, hasToolCalls: false, text: null, textTruncated: false };
  const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

  it('reads the usage, and the text only if it is wanted', () => {
    const plain = observeBody(openaiChat, bytes(answer), { captureText: false });
    assert.deepEqual(plain, {
      ...nothing,
      usage: { ...noUsage, promptTokens: 8, completionTokens: 5, totalTokens: 13 },
      rawUsage: answer.usage,
    });
    assert.deepEqual(observeBody(openaiChat, bytes(answer), { captureText: true }), { ...plain, text: '2 zwei' });
  });

  it('V42 sees tool calls', () => {
    const called = { choices: [{ message: { content: null, tool_calls: [{ id: 'c' }] } }], usage: answer.usage };
    const facts = observeBody(openaiChat, bytes(called), { captureText: false });
    assert.deepEqual([facts.hasToolCalls, facts.usage.totalTokens], [true, 13]);
  });

  it('reads only the usage of the answer itself', () => {
    const nested = { data: [{ usage: { prompt_tokens: 99 } }], object: 'list' };
    assert.deepEqual(observeBody(openaiEmbeddings, bytes(nested), { captureText: false }), nothing);
    const both = { usage: { prompt_tokens: 3, total_tokens: 3 }, data: [{ usage: { prompt_tokens: 99 } }] };
    assert.equal(observeBody(openaiEmbeddings, bytes(both), { captureText: false }).usage.totalTokens, 3);
    const quoted = { usage: { total_tokens: 4 }, note: '"usage":{"total_tokens":9}', list: ['usage'] };
    assert.equal(observeBody(openaiEmbeddings, bytes(quoted), { captureText: false }).usage.totalTokens, 4);
  });

  for (const text of [
    '',
    'not json',
    '[]',
    '5',
    'null',
    '{"choices":5}',
    '{"choices":[null,{"message":1}]}',
    '{"usage":',
  ]) {
    it(`leaves every fact at its default for ${JSON.stringify(text)}`, () => {
      for (const captureText of [false, true]) {
        assert.deepEqual(observeBody(openaiChat, Buffer.from(text), { captureText }), nothing);
      }
    });
  }

  it('bounds the captured text', () => {
    const long = { choices: [{ message: { content: 'z'.repeat(maxCapturedText + 1) } }] };
    const facts = observeBody(openaiChat, bytes(long), { captureText: true });
    assert.deepEqual([facts.text?.length, facts.textTruncated], [maxCapturedText, true]);
  });
});
