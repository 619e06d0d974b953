import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseSseBlock } from '../../framing/sse.ts';
import { parseJsonObject, type JsonObject } from '../../json.ts';
import { ChatToMessagesStream } from './chat-to-messages-stream.ts';
import { ToolNames } from './tool-names.ts';

const done = '[DONE]';

function newStream(model = 'asked'): ChatToMessagesStream {
  const names = new ToolNames();
  names.toOpenai('files.read/all');
  return new ChatToMessagesStream(model, names);
}

/** Feeds events, JSON or text, and ends the stream. */
function outputOf(events: readonly unknown[], stream = newStream()): string {
  const outputs = events.map((data) =>
    stream.event({ event: 'message', data: typeof data === 'string' ? data : JSON.stringify(data) }),
  );
  return outputs.join('') + stream.end();
}

function parse(output: string): JsonObject[] {
  if (output === '') return [];
  assert.ok(output.endsWith('\n\n'));
  return output
    .slice(0, -2)
    .split('\n\n')
    .map((block) => {
      const event = parseSseBlock(Buffer.from(block).toString('latin1'));
      const data = parseJsonObject(event?.data ?? '');
      assert.ok(data !== null && data['type'] === event?.event, `named as it is typed: ${block}`);
      return data;
    });
}

const convert = (...events: unknown[]): JsonObject[] => parse(outputOf(events));

// Short forms, of what is sent and of what is expected.
const chunk = (delta: JsonObject, finishReason: unknown = null): JsonObject => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  model: 'm-0613',
  choices: [{ index: 0, delta, finish_reason: finishReason }],
});
const usageOnly = { choices: [], usage: { prompt_tokens: 8, completion_tokens: 5, total_tokens: 13 } };
const text = (content: string): JsonObject => chunk({ content });
const piece = (index: unknown, more: { id?: string; name?: string; args?: unknown }): JsonObject => ({
  index,
  ...(more.id !== undefined && { id: more.id, type: 'function' }),
  function: {
    ...(more.name !== undefined && { name: more.name }),
    ...(more.args !== undefined && { arguments: more.args }),
  },
});
const calls = (...pieces: JsonObject[]): JsonObject => chunk({ tool_calls: pieces });

const start = {
  type: 'message_start',
  message: {
    id: 'msg_chatcmpl-1',
    type: 'message',
    role: 'assistant',
    model: 'asked',
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: { input_tokens: 0, output_tokens: 0 },
  },
};
const opened = (index: number, block: JsonObject): JsonObject => ({
  type: 'content_block_start',
  index,
  content_block: block,
});
const delta = (index: number, type: string, member: string, value: string): JsonObject => ({
  type: 'content_block_delta',
  index,
  delta: { type, [member]: value },
});
const closed = (index: number): JsonObject => ({ type: 'content_block_stop', index });
const textBlock = (index: number, ...pieces: string[]): JsonObject[] => [
  opened(index, { type: 'text', text: '' }),
  ...pieces.map((value) => delta(index, 'text_delta', 'text', value)),
  closed(index),
];
const thinkingBlock = (index: number, ...pieces: string[]): JsonObject[] => [
  opened(index, { type: 'thinking', thinking: '', signature: '' }),
  ...pieces.map((value) => delta(index, 'thinking_delta', 'thinking', value)),
  closed(index),
];
const toolBlock = (index: number, id: string, name: string, ...pieces: string[]): JsonObject[] => [
  opened(index, { type: 'tool_use', input: {}, id, name }),
  ...pieces.map((value) => delta(index, 'input_json_delta', 'partial_json', value)),
  closed(index),
];
const stopped = (reason: string, [input, output, read] = [0, 0, 0] as readonly number[]): JsonObject[] => [
  {
    type: 'message_delta',
    delta: { stop_reason: reason, stop_sequence: null },
    usage: {
      input_tokens: input,
      output_tokens: output,
      cache_read_input_tokens: read ?? 0,
      cache_creation_input_tokens: 0,
    },
  },
  { type: 'message_stop' },
];
const failed = (type: string, message: string): JsonObject => ({ type: 'error', error: { type, message } });
const cut = failed('api_error', 'the provider ended the stream before its answer was complete');

const rows: { name: string; events: unknown[]; expected: JsonObject[] }[] = [
  {
    name: 'V24 finish_reason, then usage, then [DONE]: one message_delta with usage, one message_stop',
    events: [chunk({ role: 'assistant', content: '' }), text('He'), text('llo'), chunk({}, 'stop'), usageOnly, done],
    expected: [start, ...textBlock(0, 'He', 'llo'), ...stopped('end_turn', [8, 5])],
  },
  {
    name: 'usage beside finish_reason waits for [DONE]',
    events: [text('a'), { ...chunk({}, 'length'), usage: usageOnly.usage }, done],
    expected: [start, ...textBlock(0, 'a'), ...stopped('max_tokens', [8, 5])],
  },
  {
    name: 'usage in every event: the last one counts',
    events: [
      { ...text('a'), usage: { prompt_tokens: 8, completion_tokens: 1 } },
      {
        ...chunk({}, 'stop'),
        usage: { prompt_tokens: 8, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 3 } },
      },
      done,
    ],
    expected: [start, ...textBlock(0, 'a'), ...stopped('end_turn', [5, 2, 3])],
  },
  {
    name: 'usage in two halves is joined',
    events: [
      { ...text('a'), usage: { prompt_tokens: 8 } },
      chunk({}, 'stop'),
      { choices: [], usage: { completion_tokens: 5 } },
    ],
    expected: [start, ...textBlock(0, 'a'), ...stopped('end_turn', [8, 5])],
  },
  {
    name: 'V28 usage: null is nothing',
    events: [{ ...text('a'), usage: null }, { ...chunk({}, 'stop'), usage: null }, usageOnly, done],
    expected: [start, ...textBlock(0, 'a'), ...stopped('end_turn', [8, 5])],
  },
  {
    name: 'usage before finish_reason is kept',
    events: [text('a'), usageOnly, chunk({}, 'stop'), done],
    expected: [start, ...textBlock(0, 'a'), ...stopped('end_turn', [8, 5])],
  },
  {
    name: '[DONE] without finish_reason is an end without usage',
    events: [text('a'), done],
    expected: [start, ...textBlock(0, 'a'), ...stopped('end_turn')],
  },
  {
    name: '[DONE] before any content ends the message as well',
    events: [chunk({ role: 'assistant' }), done],
    expected: [start, ...stopped('end_turn')],
  },
  {
    name: 'finish_reason without [DONE] and without usage ends with the stream',
    events: [text('a'), chunk({}, 'stop')],
    expected: [start, ...textBlock(0, 'a'), ...stopped('end_turn')],
  },
  {
    name: 'what comes after the end is not heard',
    events: [text('a'), chunk({}, 'stop'), usageOnly, usageOnly, text('b'), done, done, { error: 'x' }],
    expected: [start, ...textBlock(0, 'a'), ...stopped('end_turn', [8, 5])],
  },
  {
    name: 'a finish_reason that is null, "", "null" or no text is none; of several the first counts',
    events: [
      chunk({ content: 'a' }, null),
      chunk({ content: 'b' }, ''),
      chunk({ content: 'c' }, 'null'),
      chunk({ content: 'd' }, 7),
      chunk({}, 'length'),
      chunk({}, 'stop'),
      done,
    ],
    expected: [start, ...textBlock(0, 'a', 'b', 'c', 'd'), ...stopped('max_tokens')],
  },
  {
    name: 'text after finish_reason is not lost',
    events: [chunk({ content: 'a' }, 'stop'), text('b'), done],
    expected: [start, ...textBlock(0, 'a'), ...textBlock(1, 'b'), ...stopped('end_turn')],
  },
  {
    name: 'thinking, text and a call are three blocks',
    events: [
      chunk({ reasoning_content: 'h' }),
      chunk({ reasoning: 'm' }),
      text('So'),
      calls(piece(0, { id: 'c1', name: 'files_read_all_c4acc06c', args: '' })),
      calls(piece(0, { args: '{"a"' })),
      calls(piece(0, { args: ':1}' })),
      chunk({}, 'tool_calls'),
      done,
    ],
    expected: [
      start,
      ...thinkingBlock(0, 'h', 'm'),
      ...textBlock(1, 'So'),
      ...toolBlock(2, 'c1', 'files.read/all', '{"a"', ':1}'),
      ...stopped('tool_use'),
    ],
  },
  {
    name: 'all in one event come in order',
    events: [
      chunk(
        { content: 'b', reasoning_content: 'a', tool_calls: [piece(0, { id: 'c', name: 'f', args: '{}' })] },
        'tool_calls',
      ),
    ],
    expected: [
      start,
      ...thinkingBlock(0, 'a'),
      ...textBlock(1, 'b'),
      ...toolBlock(2, 'c', 'f', '{}'),
      ...stopped('tool_use'),
    ],
  },
  {
    name: 'thinking may come again',
    events: [chunk({ reasoning: 'a' }), text('b'), chunk({ reasoning: 'c' }), done],
    expected: [start, ...thinkingBlock(0, 'a'), ...textBlock(1, 'b'), ...thinkingBlock(2, 'c'), ...stopped('end_turn')],
  },
  {
    name: 'a refusal is text',
    events: [chunk({ refusal: 'No.' }), chunk({}, 'stop'), done],
    expected: [start, ...textBlock(0, 'No.'), ...stopped('end_turn')],
  },
  {
    name: 'parallel calls, one after the other',
    events: [
      calls(piece(0, { id: 'c1', name: 'f', args: '{"a":1}' })),
      calls(piece(1, { id: 'c2', name: 'g', args: '{"b"' })),
      calls(piece(1, { args: ':2}' })),
      chunk({}, 'tool_calls'),
    ],
    expected: [
      start,
      ...toolBlock(0, 'c1', 'f', '{"a":1}'),
      ...toolBlock(1, 'c2', 'g', '{"b"', ':2}'),
      ...stopped('tool_use'),
    ],
  },
  {
    name: 'parallel calls whose pieces are mixed are put in order',
    events: [
      calls(piece(0, { id: 'c1', name: 'f', args: '{"a"' }), piece(1, { id: 'c2', name: 'g', args: '{"b"' })),
      calls(piece(1, { args: ':' }), piece(0, { args: ':1}' })),
      calls(piece(1, { args: '2}' })),
      calls(piece(2, { id: 'c3', name: 'h', args: '{}' })),
      chunk({}, 'tool_calls'),
    ],
    expected: [
      start,
      ...toolBlock(0, 'c1', 'f', '{"a"', ':1}'),
      ...toolBlock(1, 'c2', 'g', '{"b":2}'),
      ...toolBlock(2, 'c3', 'h', '{}'),
      ...stopped('tool_use'),
    ],
  },
  {
    name: 'text in the middle of a call comes after it',
    events: [
      calls(piece(0, { id: 'c1', name: 'f', args: '{"a"' })),
      text('x'),
      calls(piece(0, { args: ':1}' })),
      text('y'),
      chunk({}, 'tool_calls'),
    ],
    expected: [start, ...toolBlock(0, 'c1', 'f', '{"a"', ':1}'), ...textBlock(1, 'xy'), ...stopped('tool_use')],
  },
  {
    name: 'calls that never become JSON come as they are',
    events: [
      calls(piece(0, { id: 'c1', name: 'f', args: '{"a' }), piece(1, { id: 'c2', name: 'g', args: '' })),
      chunk({}, 'tool_calls'),
    ],
    expected: [start, ...toolBlock(0, 'c1', 'f', '{"a'), ...toolBlock(1, 'c2', 'g'), ...stopped('tool_use')],
  },
  {
    name: 'calls that all have the number 0 are told apart by their identifiers',
    events: [
      calls(piece(0, { id: 'c1', name: 'f', args: '{"a":1}' })),
      calls(piece(0, { id: 'c2', name: 'f', args: '{"a":2}' })),
      chunk({}, 'stop'),
    ],
    expected: [
      start,
      ...toolBlock(0, 'c1', 'f', '{"a":1}'),
      ...toolBlock(1, 'c2', 'f', '{"a":2}'),
      ...stopped('tool_use'),
    ],
  },
  {
    name: 'an identifier and a name in every piece are one call',
    events: [
      calls(piece(0, { id: 'c1', name: 'f', args: '{"a"' })),
      calls(piece(0, { id: 'c1', name: 'f', args: ':1}' })),
      calls(piece(0, { id: 'other', args: ' ' })),
      chunk({}, 'tool_calls'),
    ],
    expected: [start, ...toolBlock(0, 'c1', 'f', '{"a"', ':1}', ' '), ...stopped('tool_use')],
  },
  {
    name: 'calls without numbers',
    events: [
      calls(piece(undefined, { id: 'c1', name: 'f', args: '{"a"' })),
      calls(piece(undefined, { args: ':1}' })),
      calls(piece(undefined, { id: 'c2', name: 'f', args: { b: 2 } })),
      chunk({}, 'tool_calls'),
    ],
    expected: [
      start,
      ...toolBlock(0, 'c1', 'f', '{"a"', ':1}'),
      ...toolBlock(1, 'c2', 'f', '{"b":2}'),
      ...stopped('tool_use'),
    ],
  },
  {
    name: 'mixed calls with identifiers alone',
    events: [
      calls(piece(undefined, { id: 'c1', name: 'f', args: '{"a"' })),
      calls(piece(undefined, { id: 'c2', name: 'g', args: '{"b"' })),
      calls(piece(undefined, { id: 'c1', args: ':1}' })),
      calls(piece(undefined, { id: 'c2', args: ':2}' })),
      chunk({}, 'tool_calls'),
    ],
    expected: [
      start,
      ...toolBlock(0, 'c1', 'f', '{"a"', ':1}'),
      ...toolBlock(1, 'c2', 'g', '{"b":2}'),
      ...stopped('tool_use'),
    ],
  },
  {
    name: 'an identifier may come with the name',
    events: [
      calls(piece(0, { args: '' })),
      calls(piece(0, { id: 'c1', name: 'f', args: '{}' })),
      chunk({}, 'tool_calls'),
    ],
    expected: [start, ...toolBlock(0, 'c1', 'f', '{}'), ...stopped('tool_use')],
  },
  {
    name: 'a call waits for its name',
    events: [
      calls(piece(0, { id: 'c1', args: '{"a"' })),
      calls(piece(0, { name: 'f', args: ':1}' })),
      calls(piece(1, { id: 'c2', args: '{}' })),
      chunk({}, 'tool_calls'),
    ],
    expected: [start, ...toolBlock(0, 'c1', 'f', '{"a"', ':1}'), ...stopped('tool_use')],
  },
  {
    name: 'an error in the stream ends it: no block is closed, no stop is pretended',
    events: [text('a'), { error: { message: 'overloaded', type: 'server_error' } }, text('b'), usageOnly, done],
    expected: [start, ...textBlock(0, 'a').slice(0, 2), failed('server_error', 'overloaded')],
  },
  {
    name: 'so does one after finish_reason',
    events: [chunk({ content: 'a' }, 'stop'), { error: 'gone' }, done],
    expected: [start, ...textBlock(0, 'a'), failed('api_error', 'gone')],
  },
  {
    name: 'and one within a choice',
    events: [{ choices: [{ delta: {}, finish_reason: 'error', error: { message: 'gone', code: 502 } }] }, done],
    expected: [failed('api_error', 'gone')],
  },
  { name: 'an error may come first', events: [{ error: { message: 'no', code: 'x' } }], expected: [failed('x', 'no')] },
  {
    name: 'error: null is none',
    events: [{ ...text('a'), error: null }, done],
    expected: [start, ...textBlock(0, 'a'), ...stopped('end_turn')],
  },
  {
    name: 'a stream that just ends was cut',
    events: [text('a')],
    expected: [start, ...textBlock(0, 'a').slice(0, 2), cut],
  },
  {
    name: 'usage does not make it complete',
    events: [text('a'), usageOnly],
    expected: [start, ...textBlock(0, 'a').slice(0, 2), cut],
  },
  {
    name: 'what is no JSON, or says nothing, is left out',
    events: ['', 'ping', '{"choices":', '5', '[]', 'null', {}, text('a'), { choices: {} }, { choices: [5] }, done],
    expected: [start, ...textBlock(0, 'a'), ...stopped('end_turn')],
  },
  {
    name: 'an event without choices does not begin the message',
    events: [{ id: '', model: '', choices: [], prompt_filter_results: [] }, text('a'), done],
    expected: [start, ...textBlock(0, 'a'), ...stopped('end_turn')],
  },
  {
    name: 'further choices are not heard',
    events: [text('a'), { choices: [{ index: 1, delta: { content: 'b' }, finish_reason: 'stop' }] }, text('c'), done],
    expected: [start, ...textBlock(0, 'a', 'c'), ...stopped('end_turn')],
  },
  {
    name: 'a message in place of a delta',
    events: [{ id: 'chatcmpl-1', choices: [{ message: { content: 'a' }, finish_reason: 'stop' }] }],
    expected: [start, ...textBlock(0, 'a'), ...stopped('end_turn')],
  },
  {
    name: 'wrong types are nothing',
    events: [
      chunk({ content: 5, reasoning: [], tool_calls: [null, 5, {}, { function: 'x' }] }),
      chunk({ tool_calls: {} }),
      done,
    ],
    expected: [start, ...stopped('end_turn')],
  },
  { name: 'no event at all is nothing', events: [], expected: [] },
  { name: '[DONE] alone is nothing', events: [done], expected: [] },
  { name: 'usage alone is nothing', events: [usageOnly, done], expected: [] },
  {
    name: 'a stream of another protocol is nothing',
    events: [
      { type: 'response.created', response: {} },
      { type: 'response.output_text.delta', delta: 'a' },
    ],
    expected: [],
  },
];

describe('a chat stream as a Messages stream', () => {
  for (const { name, events, expected } of rows) {
    it(name, () => {
      const stream = newStream();
      assert.deepEqual(parse(outputOf(events, stream)), expected);
      assert.equal(stream.hasOutput, expected.length > 0);
    });
  }
});

it('each piece is sent when it comes', () => {
  const stream = newStream();
  const feed = (data: unknown): number => parse(stream.event({ event: 'message', data: JSON.stringify(data) })).length;
  assert.equal(feed(chunk({ role: 'assistant' })), 1, 'message_start');
  assert.equal(feed(text('a')), 2, 'content_block_start, _delta');
  assert.equal(feed(text('b')), 1, 'content_block_delta');
  assert.equal(feed(calls(piece(0, { id: 'c', name: 'f', args: '{"a":1}' }))), 3, 'content_block_stop, _start, _delta');
  assert.equal(feed(calls(piece(1, { id: 'd', name: 'f', args: '' }))), 2, 'content_block_stop, _start');
  assert.equal(feed(chunk({}, 'tool_calls')), 1, 'content_block_stop');
  assert.equal(feed(usageOnly), 2, 'message_delta, message_stop');
});

it('an event that is named error is one, whatever it says', () => {
  const stream = newStream();
  assert.deepEqual(parse(stream.event({ event: 'error', data: '{"message":"no"}' })), [failed('api_error', 'no')]);
});

it('the model of the events stands in for an unknown one', () => {
  assert.match(outputOf([text('a')], newStream('')), /"model":"m-0613"/);
});

it('a call without an identifier gets one', () => {
  assert.match(outputOf([calls(piece(0, { name: 'f', args: '{}' }))]), /"id":"toolu_[0-9a-f]{32}","name":"f"/);
});

it('arguments nested beyond the stack are left out', () => {
  const levels = 20_000;
  const deep = `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;
  const event = `{"choices":[{"delta":{"tool_calls":[{"id":"c","function":{"name":"f","arguments":${deep}}}]}}]}`;
  assert.deepEqual(convert(event, done).at(-1), { type: 'message_stop' });
});

it('line breaks and characters beyond ASCII pass', () => {
  const said = 'zwei\nZeilen\r\n – 🌊\u2028';
  assert.deepEqual(convert(text(said), done)[2], delta(0, 'text_delta', 'text', said));
});

describe('any stream', () => {
  const anyText = fc.oneof(fc.constantFrom('', 'a', '{', '}', '{}', '{"a":', '1}', 'c1', 'c2', 'null'), fc.string());
  const anyCall = fc.record(
    {
      index: fc.oneof(fc.nat(2), fc.anything()),
      id: fc.oneof(anyText, fc.anything()),
      function: fc.oneof(
        fc.record({ name: anyText, arguments: fc.oneof(anyText, fc.object()) }, { requiredKeys: [] }),
        fc.anything(),
      ),
    },
    { requiredKeys: [] },
  );
  const anyDelta = fc.record(
    {
      content: fc.oneof(anyText, fc.array(fc.record({ text: anyText })), fc.anything()),
      reasoning_content: fc.oneof(anyText, fc.anything()),
      tool_calls: fc.oneof(fc.array(anyCall, { maxLength: 3 }), fc.anything()),
    },
    { requiredKeys: [] },
  );
  const anyChoice = fc.record(
    {
      index: fc.constantFrom(0, 0, 0, 1, null),
      delta: fc.oneof({ weight: 5, arbitrary: anyDelta }, { weight: 1, arbitrary: fc.anything() }),
      finish_reason: fc.constantFrom(null, null, null, '', 'null', 'stop', 'length', 'tool_calls'),
    },
    { requiredKeys: [] },
  );
  const anyChunk = fc.record(
    {
      id: anyText,
      choices: fc.oneof(
        { weight: 9, arbitrary: fc.array(anyChoice, { maxLength: 2 }) },
        { weight: 1, arbitrary: fc.anything() },
      ),
      usage: fc.oneof(
        fc.constant(null),
        fc.record({ prompt_tokens: fc.integer(), completion_tokens: fc.double() }),
        fc.anything(),
      ),
      error: fc.oneof({ weight: 30, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.anything() }),
    },
    { requiredKeys: [] },
  );
  const anyData = fc.oneof(
    { weight: 20, arbitrary: anyChunk.map((value) => JSON.stringify(value)) },
    { weight: 1, arbitrary: fc.string() },
    { weight: 1, arbitrary: fc.json() },
    { weight: 1, arbitrary: fc.constant(done) },
  );

  it('becomes a well-formed one', () => {
    fc.assert(
      fc.property(fc.array(anyData, { maxLength: 20 }), (events) => {
        const stream = newStream();
        const output = outputOf(events, stream);
        assert.equal(stream.hasOutput, output !== '');
        checkWellFormed(parse(output));
      }),
      { numRuns: 1000 },
    );
  });

  it('that ends by its own rule never loses a piece of text', () => {
    fc.assert(
      fc.property(fc.array(anyDelta, { maxLength: 20 }), (deltas) => {
        // As the provider's JSON has it: undefined and the like do not exist there.
        const sent = deltas.map((value) => JSON.parse(JSON.stringify(value)) as JsonObject);
        const given = sent.map(({ content }) => contentOf(content)).join('');
        const received = parse(outputOf([...sent.map((value) => chunk(value)), done]))
          .map((event) => (event['delta'] as { text?: string } | undefined)?.text ?? '')
          .join('');
        assert.equal(received, given);
      }),
      { numRuns: 500 },
    );
  });

  function contentOf(content: unknown): string {
    if (typeof content === 'string') return content;
    if (!Array.isArray(content)) return '';
    return content
      .map((part: unknown) => {
        const said = (part as { text?: unknown } | null)?.text;
        return typeof said === 'string' ? said : '';
      })
      .join('');
  }
});

/** message_start first, blocks one after the other, message_delta and message_stop or an error last. */
function checkWellFormed(events: readonly JsonObject[]): void {
  let open: number | null = null;
  let next = 0;
  for (const [position, event] of events.entries()) {
    const isLast = position === events.length - 1;
    const expected = position === 0 ? ['message_start', 'error'] : undefined;
    assert.ok(expected?.includes(String(event['type'])) ?? event['type'] !== 'message_start');
    switch (event['type']) {
      case 'message_start':
        break;
      case 'content_block_start':
        assert.equal(open, null);
        assert.equal(event['index'], next);
        open = next;
        next += 1;
        break;
      case 'content_block_delta':
        assert.equal(event['index'], open);
        break;
      case 'content_block_stop':
        assert.equal(event['index'], open);
        open = null;
        break;
      case 'message_delta':
        assert.equal(open, null);
        assert.equal(events[position + 1]?.['type'], 'message_stop');
        break;
      case 'message_stop':
        assert.equal(events[position - 1]?.['type'], 'message_delta');
        assert.ok(isLast);
        break;
      case 'error':
        assert.ok(isLast);
        break;
      default:
        assert.fail(`an unknown event: ${String(event['type'])}`);
    }
  }
  const last = events.at(-1)?.['type'];
  assert.ok(last === undefined || last === 'message_stop' || last === 'error');
}
