import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WeirError } from '../../../base/errors.ts';
import { isJsonObject, type JsonObject } from '../../json.ts';
import { anthropicToOpenai } from './anthropic-to-openai.ts';

function convert(answer: JsonObject, model = 'asked'): JsonObject {
  const conversion = anthropicToOpenai.convertRequest({
    messages: [{ role: 'user', content: 'hi' }],
    tools: [{ name: 'files.read/all' }],
  });
  if (conversion instanceof WeirError) throw conversion;
  return conversion.convertAnswer(answer, model, 200);
}

function answerOf(message: JsonObject, finishReason: unknown = 'stop'): JsonObject {
  return { id: 'chatcmpl-1', model: 'm-0613', choices: [{ index: 0, message, finish_reason: finishReason }] };
}

function call(id: unknown, name: unknown, args: unknown): JsonObject {
  return { id, type: 'function', function: { name, arguments: args } };
}

it('V22 an answer becomes a message, with the name of its tool restored', () => {
  const answer = {
    ...answerOf(
      {
        role: 'assistant',
        content: 'Reading.',
        reasoning_content: 'Which file?',
        tool_calls: [call('call_1', 'files_read_all_c4acc06c', '{"path":"a"}')],
      },
      'tool_calls',
    ),
    usage: { prompt_tokens: 100, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 64 } },
  };
  assert.deepEqual(convert(answer), {
    id: 'msg_chatcmpl-1',
    type: 'message',
    role: 'assistant',
    model: 'asked',
    content: [
      { type: 'thinking', thinking: 'Which file?', signature: '' },
      { type: 'text', text: 'Reading.' },
      { type: 'tool_use', id: 'call_1', name: 'files.read/all', input: { path: 'a' } },
    ],
    stop_reason: 'tool_use',
    stop_sequence: null,
    usage: { input_tokens: 36, output_tokens: 5, cache_read_input_tokens: 64, cache_creation_input_tokens: 0 },
  });
});

describe('content', () => {
  const empty = [{ type: 'text', text: '' }];
  const use = (id: string, input: unknown): JsonObject => ({ type: 'tool_use', id, name: 'f', input });
  const rows: { name: string; message: JsonObject; content: unknown }[] = [
    { name: 'text', message: { content: '2' }, content: [{ type: 'text', text: '2' }] },
    {
      name: 'text in parts',
      message: { content: [{ type: 'text', text: 'a' }, null, { type: 'text', text: 'b' }] },
      content: [{ type: 'text', text: 'ab' }],
    },
    { name: 'a refusal', message: { content: null, refusal: 'No.' }, content: [{ type: 'text', text: 'No.' }] },
    {
      name: 'thinking under its other name',
      message: { content: 'a', reasoning: 'hm', reasoning_content: null },
      content: [
        { type: 'thinking', thinking: 'hm', signature: '' },
        { type: 'text', text: 'a' },
      ],
    },
    {
      name: 'thinking under both names, once',
      message: { reasoning: 'hm', reasoning_content: 'hm' },
      content: [{ type: 'thinking', thinking: 'hm', signature: '' }],
    },
    {
      name: 'several calls',
      message: { tool_calls: [call('1', 'f', '{"a":1}'), call('2', 'f', '{"a":2}')] },
      content: [use('1', { a: 1 }), use('2', { a: 2 })],
    },
    { name: 'malformed arguments', message: { tool_calls: [call('1', 'f', '{"a":')] }, content: [use('1', {})] },
    { name: 'arguments that are no object', message: { tool_calls: [call('1', 'f', '[1]')] }, content: [use('1', {})] },
    { name: 'empty arguments', message: { tool_calls: [call('1', 'f', '')] }, content: [use('1', {})] },
    { name: 'no arguments', message: { tool_calls: [call('1', 'f', undefined)] }, content: [use('1', {})] },
    {
      name: 'arguments that are an object already',
      message: { tool_calls: [call('1', 'f', { a: 1 })] },
      content: [use('1', { a: 1 })],
    },
    { name: 'calls of nothing', message: { tool_calls: [call('1', '', '{}'), null, 5, {}] }, content: empty },
    { name: 'nothing', message: { content: null }, content: empty },
    { name: 'wrong types', message: { content: 5, reasoning: {}, tool_calls: {} }, content: empty },
  ];
  for (const { name, message, content } of rows) {
    it(name, () => assert.deepEqual(convert(answerOf(message))['content'], content));
  }

  it('a choice without a message', () => {
    assert.deepEqual(convert({ choices: [{ finish_reason: 'stop' }] })['content'], empty);
  });

  it('numbers in arguments keep their digits', () => {
    const answer = convert(answerOf({ tool_calls: [call('1', 'f', '{"id":1234567890123456789}')] }));
    assert.match(JSON.stringify(answer), /"input":\{"id":1234567890123456789\}/);
  });

  it('a call without an identifier gets one', () => {
    const answer = convert(answerOf({ tool_calls: [call('', 'f', '{}'), call(undefined, 'f', '{}')] }));
    const content: unknown = answer['content'];
    assert.ok(Array.isArray(content));
    const ids = content.map((block: unknown) => (isJsonObject(block) ? String(block['id']) : ''));
    assert.equal(new Set(ids).size, 2);
    for (const id of ids) assert.match(id, /^toolu_[0-9a-f]{32}$/);
  });
});

describe('stop reason', () => {
  const rows: [finishReason: unknown, calls: number, stopReason: string][] = [
    ['stop', 0, 'end_turn'],
    ['length', 0, 'max_tokens'],
    ['length', 1, 'max_tokens'],
    ['tool_calls', 1, 'tool_use'],
    ['function_call', 0, 'tool_use'],
    ['content_filter', 0, 'end_turn'],
    ['content_filter', 1, 'end_turn'],
    ['whatever', 0, 'end_turn'],
    [null, 0, 'end_turn'],
    [undefined, 0, 'end_turn'],
    ['stop', 1, 'tool_use'],
    [null, 1, 'tool_use'],
  ];
  for (const [finishReason, calls, stopReason] of rows) {
    it(`${String(finishReason)} with ${calls} calls is ${stopReason}`, () => {
      const message = { tool_calls: Array.from({ length: calls }, () => call('1', 'f', '{}')) };
      assert.equal(convert(answerOf(message, finishReason))['stop_reason'], stopReason);
    });
  }
});

describe('usage', () => {
  const rows: { name: string; usage: unknown; counts: [number, number, number, number] }[] = [
    { name: 'none', usage: undefined, counts: [0, 0, 0, 0] },
    { name: 'null', usage: null, counts: [0, 0, 0, 0] },
    { name: 'plain', usage: { prompt_tokens: 8, completion_tokens: 5 }, counts: [8, 5, 0, 0] },
    {
      name: 'more cached than asked',
      usage: { prompt_tokens: 8, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 9 } },
      counts: [0, 5, 9, 0],
    },
    {
      name: 'written to the cache',
      usage: { prompt_tokens: 8, prompt_tokens_details: { cache_creation_input_tokens: 3 } },
      counts: [8, 0, 0, 3],
    },
    { name: 'DeepSeek’s cache', usage: { prompt_tokens: 8, prompt_cache_hit_tokens: 6 }, counts: [2, 0, 6, 0] },
  ];
  for (const { name, usage, counts } of rows) {
    it(name, () => {
      const [input, output, read, created] = counts;
      assert.deepEqual(convert({ ...answerOf({ content: 'a' }), usage })['usage'], {
        input_tokens: input,
        output_tokens: output,
        cache_read_input_tokens: read,
        cache_creation_input_tokens: created,
      });
    });
  }
});

describe('identifier and model', () => {
  it('an identifier of Anthropic’s stays', () => {
    assert.equal(convert({ ...answerOf({}), id: 'msg_1' })['id'], 'msg_1');
  });

  it('a missing one is made up', () => {
    for (const id of [undefined, '', 7]) {
      assert.match(String(convert({ ...answerOf({}), id })['id']), /^msg_[0-9a-f]{32}$/);
    }
  });

  it('the model is the effective one, else that of the answer', () => {
    assert.equal(convert(answerOf({}), '')['model'], 'm-0613');
    assert.equal(convert({ ...answerOf({}), model: 5 }, '')['model'], '');
  });
});

describe('errors', () => {
  const rows: { name: string; answer: JsonObject; type: string; message: string }[] = [
    {
      name: 'an error of OpenAI’s',
      answer: { error: { message: 'bad key', type: 'invalid_request_error', param: null, code: 'invalid_api_key' } },
      type: 'invalid_request_error',
      message: 'bad key',
    },
    {
      name: 'one with a code only',
      answer: { error: { message: 'm', type: null, code: 'overloaded' } },
      type: 'overloaded',
      message: 'm',
    },
    { name: 'one with a number', answer: { error: { message: 'm', code: 429 } }, type: 'api_error', message: 'm' },
    { name: 'a text', answer: { error: 'slow' }, type: 'api_error', message: 'slow' },
    {
      name: 'one without a text',
      answer: { error: {} },
      type: 'api_error',
      message: 'the provider gave no answer and no reason',
    },
    {
      name: 'one within the choice',
      answer: {
        choices: [{ error: { message: 'gone', code: 502 }, message: { content: 'half' }, finish_reason: 'error' }],
      },
      type: 'api_error',
      message: 'gone',
    },
    { name: 'another shape', answer: { detail: 'Not Found' }, type: 'api_error', message: 'Not Found' },
    { name: 'yet another', answer: { object: 'error', message: 'm' }, type: 'api_error', message: 'm' },
    {
      name: 'no choice at all',
      answer: { choices: [] },
      type: 'api_error',
      message: 'the provider gave no answer and no reason',
    },
    {
      name: 'a list',
      answer: [] as unknown as JsonObject,
      type: 'api_error',
      message: 'the provider gave no answer and no reason',
    },
  ];
  for (const { name, answer, type, message } of rows) {
    it(name, () => assert.deepEqual(convert(answer), { type: 'error', error: { type, message } }));
  }

  it('error: null beside an answer is none', () => {
    assert.equal(convert({ ...answerOf({ content: 'a' }), error: null })['type'], 'message');
  });
});
