import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WeirError } from '../../../base/errors.ts';
import type { JsonObject } from '../../json.ts';
import { anthropicToOpenai } from './anthropic-to-openai.ts';

const hi = { role: 'user', content: 'hi' };
const weather = { name: 'weather', description: 'of a city', input_schema: { type: 'object' } };
const chatWeather = {
  type: 'function',
  function: { name: 'weather', description: 'of a city', parameters: { type: 'object' } },
};

function convert(body: JsonObject): JsonObject {
  const conversion = anthropicToOpenai.convertRequest(body);
  if (conversion instanceof WeirError) throw conversion;
  return conversion.body;
}

describe('parameters', () => {
  const rows: { name: string; given: JsonObject; sent: JsonObject }[] = [
    { name: 'nothing is added', given: {}, sent: {} },
    {
      name: 'what has the same name and meaning is copied',
      given: { model: 'm', temperature: 0, top_p: 0.5, service_tier: 'auto' },
      sent: { model: 'm', temperature: 0, top_p: 0.5, service_tier: 'auto' },
    },
    { name: 'a service tier that is no text is dropped', given: { service_tier: 1 }, sent: {} },
    {
      name: 'null is nothing',
      given: { model: null, temperature: null, max_tokens: null, stop_sequences: null },
      sent: {},
    },
    { name: 'V22 max_tokens is renamed', given: { max_tokens: 9 }, sent: { max_completion_tokens: 9 } },
    { name: 'stop_sequences are renamed', given: { stop_sequences: ['a'] }, sent: { stop: ['a'] } },
    { name: 'no stop sequences are none', given: { stop_sequences: [] }, sent: {} },
    { name: 'metadata.user_id is the user', given: { metadata: { user_id: 'u', other: 1 } }, sent: { user: 'u' } },
    { name: 'metadata without it is nothing', given: { metadata: 'u' }, sent: {} },
    {
      name: 'a stream is asked for usage',
      given: { stream: true, stream_options: { x: 1 } },
      sent: { stream: true, stream_options: { include_usage: true } },
    },
    { name: 'no stream stays none', given: { stream: false }, sent: { stream: false } },
    { name: 'a stream that is no boolean is dropped', given: { stream: 'true' }, sent: {} },
    {
      name: 'unknown members are dropped',
      given: { top_k: 5, container: {}, mcp_servers: [], anthropic_version: 'x', context_management: {} },
      sent: {},
    },
    ...([0, 1023] as const).map((budget) => thinking(budget, 'minimal')),
    ...([1024, 2047] as const).map((budget) => thinking(budget, 'low')),
    ...([2048, 4095] as const).map((budget) => thinking(budget, 'medium')),
    ...([4096, 64_000] as const).map((budget) => thinking(budget, 'high')),
    { name: 'thinking without a budget says nothing', given: { thinking: { type: 'enabled' } }, sent: {} },
    { name: 'thinking may be off', given: { thinking: { type: 'disabled', budget_tokens: 5000 } }, sent: {} },
    {
      name: 'adaptive thinking is medium',
      given: { thinking: { type: 'adaptive' } },
      sent: { reasoning_effort: 'medium' },
    },
    {
      name: 'adaptive thinking takes the effort',
      given: { thinking: { type: 'adaptive' }, output_config: { effort: 'low' } },
      sent: { reasoning_effort: 'low' },
    },
    { name: 'an effort alone says nothing', given: { output_config: { effort: 'low' } }, sent: {} },
    {
      name: 'output_format becomes a strict response_format',
      given: { output_format: { type: 'json_schema', schema: { type: 'object', properties: { a: {} } } } },
      sent: {
        response_format: structured({
          type: 'object',
          properties: { a: {} },
          required: ['a'],
          additionalProperties: false,
        }),
      },
    },
    {
      name: 'so does output_config.format',
      given: { output_config: { format: { type: 'json_schema', schema: { type: 'array' } } } },
      sent: { response_format: structured({ type: 'array' }) },
    },
    {
      name: 'output_format comes first',
      given: {
        output_format: { type: 'json_schema', schema: { title: 'a' } },
        output_config: { format: { type: 'json_schema', schema: { title: 'b' } } },
      },
      sent: { response_format: structured({ title: 'a' }) },
    },
    { name: 'other formats are dropped', given: { output_format: { type: 'text', schema: {} } }, sent: {} },
    { name: 'a format without a schema is dropped', given: { output_format: { type: 'json_schema' } }, sent: {} },
  ];
  for (const { name, given, sent } of rows) {
    it(name, () => {
      const body = Object.freeze({ ...given, messages: [hi] });
      assert.deepEqual(convert(body), { ...sent, messages: [hi] });
    });
  }

  function thinking(budget: number, effort: string): { name: string; given: JsonObject; sent: JsonObject } {
    const given = { thinking: { type: 'enabled', budget_tokens: budget } };
    return { name: `a budget of ${budget} tokens is ${effort}`, given, sent: { reasoning_effort: effort } };
  }

  function structured(schema: JsonObject): JsonObject {
    return { type: 'json_schema', json_schema: { name: 'structured_output', strict: true, schema } };
  }
});

describe('tools', () => {
  const one = { tools: [chatWeather] };
  const named = { type: 'function', function: { name: 'weather' } };
  const rows: { name: string; given: JsonObject; sent: JsonObject }[] = [
    { name: 'a tool becomes a function', given: { tools: [weather] }, sent: one },
    { name: 'its type may be said', given: { tools: [{ ...weather, type: 'custom' }] }, sent: one },
    {
      name: 'what it lacks is not invented, what is unknown is dropped',
      given: { tools: [{ name: 'weather', cache_control: {}, input_schema: null, description: 7 }] },
      sent: { tools: [{ type: 'function', function: { name: 'weather' } }] },
    },
    ...[
      'computer_20250124',
      'bash_20250124',
      'text_editor_20250728',
      'web_search_20250305',
      'code_execution_20250825',
    ].map((type) => ({
      name: `the built-in ${type} is dropped`,
      given: { tools: [{ type, name: 'x', input_schema: {} }, weather] },
      sent: one,
    })),
    {
      name: 'a type that nobody knows how to call is dropped',
      given: { tools: [{ type: 'mcp_toolset', mcp_server_name: 'x' }, weather] },
      sent: one,
    },
    {
      name: 'a foreign type with a schema is kept',
      given: { tools: [{ ...weather, type: 'function' }] },
      sent: one,
    },
    { name: 'tools that are no list are none', given: { tools: {} }, sent: {} },
    {
      name: 'auto stays',
      given: { tools: [weather], tool_choice: { type: 'auto' } },
      sent: { ...one, tool_choice: 'auto' },
    },
    {
      name: 'any is required',
      given: { tools: [weather], tool_choice: { type: 'any' } },
      sent: { ...one, tool_choice: 'required' },
    },
    {
      name: 'none stays',
      given: { tools: [weather], tool_choice: { type: 'none' } },
      sent: { ...one, tool_choice: 'none' },
    },
    {
      name: 'one tool is chosen by name',
      given: { tools: [weather], tool_choice: { type: 'tool', name: 'weather' } },
      sent: { ...one, tool_choice: named },
    },
    { name: 'an unknown choice is dropped', given: { tools: [weather], tool_choice: { type: 'x' } }, sent: one },
    { name: 'a choice that is no object is dropped', given: { tools: [weather], tool_choice: 'auto' }, sent: one },
    {
      name: 'parallel calls can be forbidden',
      given: { tools: [weather], tool_choice: { type: 'auto', disable_parallel_tool_use: true } },
      sent: { ...one, tool_choice: 'auto', parallel_tool_calls: false },
    },
    {
      name: 'and allowed, which is the default',
      given: { tools: [weather], tool_choice: { type: 'auto', disable_parallel_tool_use: false } },
      sent: { ...one, tool_choice: 'auto' },
    },
    {
      name: 'without a tool there is no choice',
      given: { tools: [], tool_choice: { type: 'any', disable_parallel_tool_use: true } },
      sent: {},
    },
    {
      name: 'without a tool that survives there is none either',
      given: {
        tools: [{ type: 'web_search_20250305', name: 'web_search' }],
        tool_choice: { type: 'auto', disable_parallel_tool_use: true },
      },
      sent: {},
    },
    {
      name: 'a tool that was dropped cannot be chosen',
      given: {
        tools: [{ type: 'web_search_20250305', name: 'web_search' }, weather],
        tool_choice: { type: 'tool', name: 'web_search' },
      },
      sent: one,
    },
  ];
  for (const { name, given, sent } of rows) {
    it(name, () => assert.deepEqual(convert({ ...given, messages: [hi] }), { ...sent, messages: [hi] }));
  }

  it('a name that OpenAI refuses is changed alike in definition, choice and history', () => {
    const sent = 'files_read_all_c4acc06c';
    const body = convert({
      tools: [{ name: 'files.read/all' }],
      tool_choice: { type: 'tool', name: 'files.read/all' },
      messages: [
        hi,
        { role: 'assistant', content: [{ type: 'tool_use', id: 't', name: 'files.read/all', input: {} }] },
      ],
    });
    const chosen = { type: 'function', function: { name: sent } };
    const call = { id: 't', type: 'function', function: { name: sent, arguments: '{}' } };
    assert.deepEqual(body, {
      tools: [chosen],
      tool_choice: chosen,
      messages: [hi, { role: 'assistant', content: null, tool_calls: [call] }],
    });
  });
});

describe('system prompt', () => {
  const billing = 'x-anthropic-billing-header: cc_version=2.1; cc_entrypoint=cli;';
  const rows: { name: string; system: unknown; sent: string | null }[] = [
    { name: 'a text', system: 'Be brief.', sent: 'Be brief.' },
    {
      name: 'blocks are joined, cache_control is dropped',
      system: [
        { type: 'text', text: 'Be ', cache_control: { type: 'ephemeral' } },
        { type: 'text', text: 'brief.' },
      ],
      sent: 'Be brief.',
    },
    {
      name: 'other blocks are left out',
      system: [{ type: 'image' }, null, 'x', { type: 'text', text: 'a' }],
      sent: 'a',
    },
    { name: 'an empty text is none', system: '', sent: null },
    { name: 'no blocks are none', system: [], sent: null },
    { name: 'what is neither is none', system: { text: 'x' }, sent: null },
    { name: 'the hash of a billing line goes', system: `${billing} cch=00000;`, sent: billing },
    {
      name: 'wherever it stands in the line, and however often',
      system: [
        { type: 'text', text: `${billing} cch=a1; x=1; cch=b2` },
        { type: 'text', text: ' Be brief.' },
      ],
      sent: `${billing} x=1; Be brief.`,
    },
    { name: 'what follows the line stays', system: `${billing} cch=1\ncch=2;`, sent: `${billing}\ncch=2;` },
    { name: 'other texts keep such words', system: 'say cch=1;', sent: 'say cch=1;' },
  ];
  for (const { name, system, sent } of rows) {
    it(name, () => {
      const first = sent === null ? [] : [{ role: 'system', content: sent }];
      assert.deepEqual(convert({ system, messages: [hi] })['messages'], [...first, hi]);
    });
  }

  it('a hostile billing line costs linear time', () => {
    const system = `x-anthropic-billing-header:${' '.repeat(300_000)}x${'cch='.repeat(100_000)}`;
    const startedAt = performance.now();
    convert({ system, messages: [hi] });
    assert.ok(performance.now() - startedAt < 1000);
  });
});

describe('messages', () => {
  const text = { type: 'text', text: 'look' };
  const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'aGk=' } };
  const imagePart = { type: 'image_url', image_url: { url: 'data:image/png;base64,aGk=' } };
  const pdf = { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: 'cGRm' } };
  const result = (id: string, content: unknown, more = {}): JsonObject => ({
    type: 'tool_result',
    tool_use_id: id,
    content,
    ...more,
  });
  const tool = (id: string, content: string): JsonObject => ({ role: 'tool', tool_call_id: id, content });
  const use = (id: string, input: unknown): JsonObject => ({ type: 'tool_use', id, name: 'weather', input });
  const call = (id: string, args: string): JsonObject => ({
    id,
    type: 'function',
    function: { name: 'weather', arguments: args },
  });
  const fromUser = (...content: unknown[]): JsonObject => ({ role: 'user', content });
  const fromAssistant = (...content: unknown[]): JsonObject => ({ role: 'assistant', content });

  const rows: { name: string; message: JsonObject; sent: JsonObject[] }[] = [
    { name: 'a text stays', message: { role: 'user', content: 'a' }, sent: [{ role: 'user', content: 'a' }] },
    {
      name: 'of the assistant too',
      message: { role: 'assistant', content: '' },
      sent: [{ role: 'assistant', content: '' }],
    },
    {
      name: 'blocks of the user stay parts',
      message: fromUser({ ...text, cache_control: { type: 'ephemeral' } }, text),
      sent: [fromUser(text, text)],
    },
    { name: 'an image in base64 is a data: URL', message: fromUser(image, text), sent: [fromUser(imagePart, text)] },
    {
      name: 'so is a document',
      message: fromUser(pdf),
      sent: [fromUser({ type: 'image_url', image_url: { url: 'data:application/pdf;base64,cGRm' } })],
    },
    ...['image', 'document'].map((type) => ({
      name: `the address of an ${type} stays one`,
      message: fromUser({ type, source: { type: 'url', url: 'https://example.com/x' } }),
      sent: [fromUser({ type: 'image_url', image_url: { url: 'https://example.com/x' } })],
    })),
    {
      name: 'a document of plain text is text',
      message: fromUser({ type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'look' } }),
      sent: [fromUser(text)],
    },
    {
      name: 'a document of blocks is what they are',
      message: fromUser(
        { type: 'document', source: { type: 'content', content: [text, image] } },
        { type: 'document', source: { type: 'content', content: 'look' } },
      ),
      sent: [fromUser(text, imagePart, text)],
    },
    {
      name: 'sources that cannot be passed on are left out',
      message: fromUser(
        { type: 'image', source: { type: 'file', file_id: 'f' } },
        { type: 'image', source: { type: 'base64', data: 7 } },
        { type: 'image', source: { type: 'url' } },
        { type: 'document', source: { type: 'text' } },
        { type: 'document', source: { type: 'content' } },
        { type: 'image' },
        text,
      ),
      sent: [fromUser(text)],
    },
    {
      name: 'texts of the assistant are joined',
      message: fromAssistant({ type: 'text', text: 'a' }, { type: 'text', text: 'b' }),
      sent: [{ role: 'assistant', content: 'ab' }],
    },
    {
      name: 'thinking is dropped',
      message: fromAssistant(
        { type: 'thinking', thinking: 'hm', signature: 's' },
        { type: 'redacted_thinking', data: 'x' },
        { type: 'text', text: 'a' },
      ),
      sent: [{ role: 'assistant', content: 'a' }],
    },
    {
      name: 'calls of tools are kept in order, beside the text',
      message: fromAssistant({ type: 'text', text: 'a' }, use('1', { city: 'Paris' }), use('2', {})),
      sent: [{ role: 'assistant', content: 'a', tool_calls: [call('1', '{"city":"Paris"}'), call('2', '{}')] }],
    },
    {
      name: 'without text their content is null',
      message: fromAssistant(use('1', null)),
      sent: [{ role: 'assistant', content: null, tool_calls: [call('1', '{}')] }],
    },
    {
      name: 'calls without identifier or name are left out',
      message: fromAssistant({ type: 'tool_use', name: 'x' }, { type: 'tool_use', id: 'x' }, text),
      sent: [{ role: 'assistant', content: 'look' }],
    },
    {
      name: 'results of tools are messages of their own',
      message: fromUser(result('1', 'sunny'), result('2', 'cold')),
      sent: [tool('1', 'sunny'), tool('2', 'cold')],
    },
    {
      name: 'and come before what else the user says, wherever they stand',
      message: fromUser(text, result('1', 'sunny'), image),
      sent: [tool('1', 'sunny'), fromUser(text, imagePart)],
    },
    {
      name: 'texts of a result are lines',
      message: fromUser(
        result('1', [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ]),
      ),
      sent: [tool('1', 'a\nb')],
    },
    {
      name: 'images of a result are shown by the user, who comes next',
      message: fromUser(result('1', [text, image]), text),
      sent: [tool('1', 'look'), fromUser(imagePart, text)],
    },
    {
      name: 'other blocks of a result are JSON',
      message: fromUser(result('1', [{ type: 'search_result', title: 't' }])),
      sent: [tool('1', '{"type":"search_result","title":"t"}')],
    },
    { name: 'a result may be empty', message: fromUser(result('1', undefined)), sent: [tool('1', '')] },
    {
      name: 'a failure is said',
      message: fromUser(result('1', 'no such city', { is_error: true })),
      sent: [tool('1', 'Error: no such city')],
    },
    {
      name: 'a success is not',
      message: fromUser(result('1', 'sunny', { is_error: false })),
      sent: [tool('1', 'sunny')],
    },
    {
      name: 'a result of nothing is left out',
      message: fromUser({ type: 'tool_result', content: 'x' }, text),
      sent: [fromUser(text)],
    },
    { name: 'no parts are an empty text', message: fromUser(), sent: [{ role: 'user', content: '' }] },
    {
      name: 'blocks that are none are left out',
      message: fromUser(null, 5, 'x', [], {}, text),
      sent: [fromUser(text)],
    },
  ];
  for (const { name, message, sent } of rows) {
    it(name, () => assert.deepEqual(convert({ messages: [message] })['messages'], sent));
  }
});

describe('requests that cannot be converted', () => {
  const rows: { name: string; body: JsonObject; message: string }[] = [
    { name: 'V23 without messages', body: { model: 'c' }, message: 'missing messages' },
    { name: 'with no message', body: { messages: [] }, message: 'missing messages' },
    { name: 'with messages that are no list', body: { messages: { 0: hi } }, message: 'missing messages' },
    { name: 'whose body is a list', body: [1] as unknown as JsonObject, message: 'missing messages' },
    { name: 'with a message that is none', body: { messages: [hi, 'x'] }, message: 'invalid message at index 2' },
    { name: 'with a message by nobody', body: { messages: [{ content: 'x' }] }, message: 'invalid message at index 1' },
    {
      name: 'with a message without content',
      body: { messages: [hi, hi, { role: 'user' }] },
      message: 'invalid message content at index 3',
    },
    {
      name: 'with a tool without a name',
      body: { messages: [hi], tools: [weather, { name: '' }] },
      message: 'invalid tool definition at index 2',
    },
    {
      name: 'with a tool that is none',
      body: { messages: [hi], tools: [null] },
      message: 'invalid tool definition at index 1',
    },
    {
      name: 'nested too deeply',
      body: { messages: [hi], output_format: { type: 'json_schema', schema: deepSchema(20_000) } },
      message: 'it is nested too deeply',
    },
  ];
  for (const { name, body, message } of rows) {
    it(`${name}: ${message}`, () => {
      const error = anthropicToOpenai.convertRequest(body);
      assert.ok(error instanceof WeirError);
      assert.deepEqual(
        [error.code, error.status, error.shape, error.message],
        ['LLM_CONVERSION', 400, 'error_msg', message],
      );
    });
  }

  function deepSchema(levels: number): JsonObject {
    return JSON.parse(`${'{"items":'.repeat(levels)}{}${'}'.repeat(levels)}`) as JsonObject;
  }
});

it('V22 the headers of Anthropic’s clients are dropped, and their key becomes a bearer token', () => {
  assert.deepEqual(anthropicToOpenai.droppedHeaderPrefixes, ['anthropic-', 'x-stainless-']);
  assert.equal(anthropicToOpenai.sendsApiKeyAsBearer, true);
});
