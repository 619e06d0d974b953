import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { observeBody, StreamObserver } from '../framing/tap.ts';
import { noUsage } from '../usage.ts';
import { openaiResponses } from './openai-responses.ts';

// Shapes: https://platform.openai.com/docs/api-reference/responses and /responses-streaming

const text = (text: string): object => ({ type: 'output_text', text, annotations: [], logprobs: [] });
const messageItem = { type: 'message', id: 'msg_1', role: 'assistant', status: 'completed', content: [text('Two')] };
const callItem = { type: 'function_call', id: 'fc_1', call_id: 'call_1', name: 'f', arguments: '{}' };
const rawUsage = {
  input_tokens: 100,
  input_tokens_details: { cached_tokens: 64, cache_write_tokens: 32 },
  output_tokens: 50,
  output_tokens_details: { reasoning_tokens: 20 },
  total_tokens: 150,
};
const usage = {
  promptTokens: 100,
  completionTokens: 50,
  totalTokens: 150,
  cacheReadInputTokens: 64,
  cacheCreationInputTokens: 32,
  reasoningTokens: 20,
};
const response = {
  id: 'resp_1',
  object: 'response',
  status: 'completed',
  error: null,
  output: [{ type: 'reasoning', id: 'rs_1', summary: [] }, messageItem],
  usage: rawUsage,
  metadata: {},
};

describe('whole answers of openai-responses', () => {
  const read = (answer: object, captureText = true): ReturnType<typeof observeBody> =>
    observeBody(openaiResponses, Buffer.from(JSON.stringify(answer)), { captureText });

  it('say what they cost and what their text is', () => {
    const facts = { usage, rawUsage, hasToolCalls: false, textTruncated: false };
    assert.deepEqual(read(response), { ...facts, text: 'Two' });
    assert.deepEqual(read(response, false), { ...facts, text: null });
  });

  it('have the text of every part, and refusals are none', () => {
    const parts = [text('a'), { type: 'refusal', refusal: 'no' }, text('b')];
    const output = [{ ...messageItem, content: parts }, callItem, { ...messageItem, content: [text('c')] }];
    assert.equal(read({ ...response, output }).text, 'a b c');
  });

  it('have the sum for a total if they tell none', () => {
    const { usage } = read({ usage: { input_tokens: 3, output_tokens: 4 } });
    assert.deepEqual(usage, { ...noUsage, promptTokens: 3, completionTokens: 4, totalTokens: 7 });
  });

  it('V42 say that a function is called, whether or not the text is wanted', () => {
    for (const captureText of [false, true]) {
      assert.equal(read({ ...response, output: [callItem] }, captureText).hasToolCalls, true);
      const searched = { ...response, output: [{ type: 'web_search_call', id: 'ws_1' }] };
      assert.equal(read(searched, captureText).hasToolCalls, false);
    }
  });

  it('that are errors say nothing', () => {
    const facts = read({ error: { message: 'no', type: 'invalid_request_error', param: null, code: null } });
    assert.deepEqual([facts.usage, facts.rawUsage, facts.text], [noUsage, null, null]);
  });
});

type Event = { readonly type: string; readonly [member: string]: unknown };

const about = (type: string, more: object = {}): Event => ({ type, response: { ...response, usage: null, ...more } });
const textDelta = (delta: string): Event => ({ type: 'response.output_text.delta', delta });
const created = about('response.created', { status: 'in_progress', output: [] });
const added = { type: 'response.output_item.added', output_index: 0, item: { ...messageItem, content: [] } };
const textDone = { type: 'response.output_text.done', text: 'Héllo' };
const completed = about('response.completed', { usage: rawUsage });
const errorEvent = { type: 'error', code: 'server_error', message: 'It broke', param: null };
const failedEvent = about('response.failed', { error: { code: 'rate_limit_exceeded', message: 'Slow down' } });

function named(events: readonly Event[]): Buffer {
  const blocks = events.map((event, i) => {
    const json = JSON.stringify({ ...event, sequence_number: i });
    return `event: ${event.type}\ndata: ${json}\n\n`;
  });
  return Buffer.from(blocks.join(''));
}

function unnamed(events: readonly Event[]): Buffer {
  return Buffer.from(
    named(events)
      .toString()
      .replaceAll(/^event: .*\n/gm, ''),
  );
}

function observe(chunks: readonly Uint8Array[], captureText: boolean): StreamObserver {
  const observer = new StreamObserver(openaiResponses, { captureText });
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

const begun = [created, added, textDelta('Hé'), textDelta('llo'), textDone];

for (const captureText of [false, true]) {
  describe(`streams of openai-responses ${captureText ? 'with' : 'without'} their text`, () => {
    const expected = {
      usage,
      events: 6,
      sawDone: true,
      hasToolCalls: false,
      text: captureText ? 'Héllo' : null,
      failed: false,
      errorText: null,
    };
    const unfinished = { ...expected, usage: noUsage };
    const rows: { name: string; last: Event; seen: object }[] = [
      { name: 'response.completed is the end and has the usage', last: completed, seen: expected },
      {
        name: 'response.incomplete is an end, and may have usage',
        last: about('response.incomplete', { usage: rawUsage }),
        seen: expected,
      },
      {
        name: 'response.failed is an end and a failure',
        last: failedEvent,
        seen: { ...unfinished, failed: true, errorText: 'rate_limit_exceeded: Slow down' },
      },
      {
        name: 'error is an end and a failure',
        last: errorEvent,
        seen: { ...unfinished, failed: true, errorText: 'server_error: It broke' },
      },
      { name: 'nothing else is an end', last: textDelta(''), seen: { ...unfinished, sawDone: false } },
    ];
    for (const { name, last, seen: expectedSeen } of rows) {
      for (const [how, write] of Object.entries({ named, unnamed })) {
        it(`${name} (${how} events)`, () => {
          assert.deepEqual(seen(observe([write([...begun, last])], captureText)), expectedSeen);
        });
      }
    }

    it('V26 say the same wherever they are split', () => {
      for (const bytes of [named([...begun, completed]), unnamed([...begun, completed])]) {
        for (let cut = 0; cut <= bytes.length; cut++) {
          const observer = observe([bytes.subarray(0, cut), bytes.subarray(cut)], captureText);
          assert.deepEqual(seen(observer), expected, `split at ${cut}`);
        }
      }
    });

    it('V42 say that a function is called', () => {
      for (const last of [
        { type: 'response.output_item.added', item: callItem },
        { type: 'response.output_item.done', item: callItem },
        about('response.completed', { output: [callItem] }),
      ]) {
        assert.equal(observe([named([created, last])], captureText).hasToolCalls, true, last.type);
      }
    });

    it('take an error in the shape of the other APIs for one', () => {
      const bytes = Buffer.from('data: {"error":{"message":"gone","type":"server_error","code":502}}\n\n');
      const observer = observe([named(begun), bytes], captureText);
      assert.deepEqual([observer.failed, observer.errorText], [true, '502: gone']);
    });

    it('that talk about errors and usage have none', () => {
      const observer = observe([named([textDelta(JSON.stringify([completed, errorEvent]))])], captureText);
      assert.deepEqual([observer.failed, observer.sawDone, observer.usage], [false, false, noUsage]);
    });

    it('are over only with the last byte of the last event', () => {
      const bytes = named([...begun, completed]);
      const end = bytes.length - 2;
      for (let cut = 0; cut <= bytes.length; cut++) {
        assert.equal(observe([bytes.subarray(0, cut)], captureText).sawDone, cut >= end, `cut at ${cut}`);
      }
    });

    it('that break keep what was known', () => {
      const bytes = named([...begun, completed]);
      const observer = observe([bytes.subarray(0, bytes.indexOf('llo') + 2)], captureText);
      assert.deepEqual([observer.sawDone, observer.text], [false, captureText ? 'Hé' : null]);
    });
  });
}

it('only pieces of openai-responses are not parsed', () => {
  const markers = openaiResponses.streamMarkers ?? /^/;
  const { type, ...more } = added;
  assert.match(`data: ${JSON.stringify({ ...more, type })}`, markers);
  for (const event of [created, added, textDone, completed, failedEvent, errorEvent]) {
    assert.match(named([event]).toString(), markers);
    assert.match(unnamed([event]).toString(), markers);
  }
  for (const type of [
    'response.output_text.delta',
    'response.reasoning_summary_text.delta',
    'response.function_call_arguments.delta',
    'response.image_generation_call.partial_image',
  ]) {
    const event = { type, delta: '"usage":{"input_tokens":1}' };
    assert.doesNotMatch(named([event]).toString(), markers);
    assert.doesNotMatch(unnamed([event]).toString(), markers);
  }
});

it('an event name of a million characters is searched in linear time', () => {
  const time = (length: number): number => {
    const block = `event: response.${'a.delta'.repeat(length / 7)}x\ndata: {}`;
    const start = performance.now();
    for (let i = 0; i < 5; i++) assert.equal(openaiResponses.streamMarkers?.test(block), true);
    return performance.now() - start;
  };
  time(100_000);
  // Sixteen times the length: quadratic work would take some 256 times as long.
  const short = Math.max(time(62_500), 1);
  assert.ok(time(1_000_000) < short * 80);
});
