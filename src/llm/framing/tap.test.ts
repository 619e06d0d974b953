import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openaiChat } from '../protocols/openai-chat.ts';
import { openaiEmbeddings } from '../protocols/openai-embeddings.ts';
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

    it('a stream that is cut in an event keeps what was known', () => {
      const cut = whole.subarray(0, whole.indexOf('usage":{'));
      const observer = observe([cut], captureText);
      assert.deepEqual([observer.usage, observer.sawDone], [noUsage, false]);
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
