import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { JsonObject } from '../json.ts';
import type { ProtocolName } from '../protocols/protocol.ts';
import { findPromptFormat, promptFormats } from './index.ts';
import type { AddedMessage, PromptFormat, PromptMessage } from './prompt-format.ts';

function formatOf(protocol: ProtocolName): PromptFormat {
  const format = findPromptFormat(protocol);
  assert.ok(format);
  return format;
}

const user = (text: string): PromptMessage => ({ role: 'user', text });

const readings: readonly [
  what: string,
  protocol: ProtocolName,
  body: JsonObject,
  messages: readonly PromptMessage[],
][] = [
  [
    'strings and parts of text, other parts left out',
    'openai-chat',
    {
      messages: [
        { role: 'developer', content: 'd' },
        { role: 'user', content: [{ type: 'text', text: 'a' }, { type: 'image_url' }, { type: 'text', text: 'b' }] },
        { role: 'assistant', content: null, tool_calls: [] },
        { role: 'tool', content: 'result' },
      ],
    },
    [{ role: 'developer', text: 'd' }, user('a b'), { role: 'tool', text: 'result' }],
  ],
  [
    'results of tools, in blocks or as a string',
    'anthropic-messages',
    {
      messages: [
        {
          role: 'user',
          content: [
            { type: 'tool_result', tool_use_id: 't', content: [{ type: 'text', text: 'a' }, { type: 'image' }] },
            { type: 'tool_result', tool_use_id: 'u', content: 'b' },
            { type: 'tool_use', input: { text: 'not this' } },
          ],
        },
      ],
    },
    [user('a b')],
  ],
  [
    'results of tools',
    'bedrock-converse',
    {
      messages: [
        { role: 'user', content: [{ toolResult: { toolUseId: 't', content: [{ text: 'a' }, { json: {} }] } }] },
      ],
    },
    [user('a')],
  ],
  ['messages that are no array', 'openai-chat', { messages: { role: 'user', content: 'a' } }, []],
  [
    'messages of any shape',
    'openai-chat',
    { messages: [null, 1, 'a', [], { content: 'x' }, { role: 7, content: 'y' }, { role: 'user', content: [1, null] }] },
    [
      { role: '', text: 'x' },
      { role: '', text: 'y' },
    ],
  ],
  [
    'the system prompt before the messages',
    'anthropic-messages',
    { system: 's', messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }] }] },
    [{ role: 'system', text: 's' }, user('a')],
  ],
  [
    'a system prompt in blocks',
    'anthropic-messages',
    {
      system: [
        { type: 'text', text: 's' },
        { type: 'text', text: 't' },
      ],
    },
    [{ role: 'system', text: 's t' }],
  ],
  [
    'blocks of text',
    'bedrock-converse',
    { system: [{ text: 's' }], messages: [{ role: 'user', content: [{ text: 'a' }, { image: {} }, { text: 'b' }] }] },
    [{ role: 'system', text: 's' }, user('a b')],
  ],
  [
    'instructions, and an input of text',
    'openai-responses',
    { instructions: 'i', input: 'a' },
    [{ role: 'system', text: 'i' }, user('a')],
  ],
  [
    'items of every kind; what has no role is the user\u2019s',
    'openai-responses',
    {
      input: [
        'plain',
        { role: 'assistant', content: [{ type: 'output_text', text: 'b' }] },
        { type: 'message', role: 'user', content: 'c' },
        { type: 'input_text', text: 'd' },
        { type: 'function_call_output', output: 'e' },
        { type: 'function_call_output', output: [{ type: 'input_text', text: 'f' }] },
        { type: 'reasoning' },
        null,
      ],
    },
    [user('plain'), { role: 'assistant', text: 'b' }, user('c'), user('d'), user('e'), user('f')],
  ],
  ['a text to embed', 'openai-embeddings', { input: 'a' }, [user('a')]],
  ['all texts to embed as one', 'openai-embeddings', { input: ['a', 'b'] }, [user('a b')]],
  ['no tokens', 'openai-embeddings', { input: [1, 2] }, []],
];

describe('reading prompts', () => {
  for (const [what, protocol, body, messages] of readings) {
    test(`${protocol}: ${what}`, () => assert.deepEqual(formatOf(protocol).messages(body), messages));
  }

  test('nobody knows the prompts of passthrough', () => assert.equal(findPromptFormat('passthrough'), undefined));
});

const lastTexts: readonly [what: string, protocol: ProtocolName, body: JsonObject, text: string][] = [
  [
    'the last message of the user, not the last of all',
    'openai-chat',
    {
      messages: [
        { role: 'user', content: 'a' },
        { role: 'user', content: 'b' },
        { role: 'assistant', content: 'c' },
      ],
    },
    'b',
  ],
  [
    'parts of text, joined by a space',
    'openai-chat',
    { messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }, { type: 'image_url' }, { text: 'b' }] }] },
    'a b',
  ],
  [
    'what the user said before a tool did',
    'openai-chat',
    {
      messages: [
        { role: 'user', content: 'a' },
        { role: 'assistant', tool_calls: [] },
        { role: 'tool', content: 'r' },
      ],
    },
    'a',
  ],
  [
    'not the result of a tool, although the user sends it',
    'anthropic-messages',
    {
      system: 's',
      messages: [
        { role: 'user', content: 'a' },
        { role: 'assistant', content: [{ type: 'tool_use' }] },
        { role: 'user', content: [{ type: 'tool_result', content: 'r' }] },
      ],
    },
    'a',
  ],
  [
    'the text beside the result of a tool',
    'anthropic-messages',
    {
      messages: [
        {
          role: 'user',
          content: [
            { type: 'tool_result', content: 'r' },
            { type: 'text', text: 'a' },
          ],
        },
      ],
    },
    'a',
  ],
  [
    'blocks of text',
    'bedrock-converse',
    { messages: [{ role: 'user', content: [{ text: 'a' }, { toolResult: { content: [{ text: 'r' }] } }] }] },
    'a',
  ],
  ['an input of text', 'openai-responses', { instructions: 'i', input: 'a' }, 'a'],
  [
    'the last item of the user',
    'openai-responses',
    {
      input: [
        {
          role: 'user',
          content: [
            { type: 'input_text', text: 'a' },
            { type: 'input_text', text: 'b' },
          ],
        },
        { type: 'reasoning', content: [{ type: 'reasoning_text', text: 'r' }] },
        { type: 'function_call_output', output: 'o' },
        { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'c' }] },
      ],
    },
    'a b',
  ],
  ['an item that names no role', 'openai-responses', { input: ['a', { type: 'input_text', text: 'b' }] }, 'b'],
  ['all texts to embed', 'openai-embeddings', { input: ['a', 'b', 3] }, 'a b'],
  [
    'not what stands before an image',
    'openai-chat',
    {
      messages: [
        { role: 'user', content: 'a' },
        { role: 'user', content: [{ type: 'image_url' }] },
      ],
    },
    '',
  ],
  [
    'not what stands before an image beside the result of a tool',
    'anthropic-messages',
    {
      messages: [
        { role: 'user', content: 'a' },
        { role: 'user', content: [{ type: 'tool_result', content: 'r' }, { type: 'image' }] },
      ],
    },
    '',
  ],
  [
    'what the user said before the result of a tool',
    'bedrock-converse',
    {
      messages: [
        { role: 'user', content: [{ text: 'a' }] },
        { role: 'user', content: [{ toolResult: { content: [{ text: 'r' }] } }] },
      ],
    },
    'a',
  ],
  [
    'not what stands before a message without text',
    'bedrock-converse',
    {
      messages: [
        { role: 'user', content: [{ text: 'a' }] },
        { role: 'user', content: [] },
      ],
    },
    '',
  ],
  ...['', ' \n', null].map((content): (typeof lastTexts)[number] => [
    `not what stands before ${JSON.stringify(content)}`,
    'openai-chat',
    {
      messages: [
        { role: 'user', content: 'a' },
        { role: 'user', content },
      ],
    },
    '',
  ]),
  [
    'not what stands before an item that is an image',
    'openai-responses',
    { input: [{ role: 'user', content: 'a' }, { type: 'input_image' }] },
    '',
  ],
  ['nothing but white space', 'openai-chat', { messages: [{ role: 'user', content: ' \n' }] }, ''],
  ['no user', 'openai-chat', { messages: [{ role: 'system', content: 's' }, null, 7] }, ''],
  ['messages that are none', 'bedrock-converse', { messages: 'a' }, ''],
  ['an input that is none', 'openai-responses', { input: { role: 'user' } }, ''],
];

describe('what the user has said last', () => {
  for (const [what, protocol, body, text] of lastTexts) {
    test(`${protocol}: ${what}`, () => assert.equal(formatOf(protocol).lastUserText(body), text));
  }
});

const system: AddedMessage = { role: 'system', content: 'S' };
const asked: AddedMessage = { role: 'user', content: 'U' };
const chat = { role: 'user', content: 'own' };
const turn = { role: 'user', content: [{ text: 'own' }] };

interface Change {
  readonly what: string;
  readonly protocol: ProtocolName;
  readonly how: 'prepend' | 'append';
  readonly added?: readonly AddedMessage[];
  readonly body: JsonObject;
  readonly changed: JsonObject;
}

const changes: readonly Change[] = [
  ...(['openai-chat', 'anthropic-messages'] as const).flatMap((protocol): Change[] => [
    {
      what: 'before the messages, roles kept',
      protocol,
      how: 'prepend',
      body: { model: 'm', messages: [chat] },
      changed: { model: 'm', messages: [system, asked, chat] },
    },
    {
      what: 'behind the messages, roles kept',
      protocol,
      how: 'append',
      body: { messages: [chat] },
      changed: { messages: [chat, system, asked] },
    },
    { what: 'where there are none yet', protocol, how: 'append', body: {}, changed: { messages: [system, asked] } },
  ]),
  {
    what: 'the system prompt of Anthropic stays as it is',
    protocol: 'anthropic-messages',
    how: 'prepend',
    added: [system],
    body: { system: 'own', messages: [] },
    changed: { system: 'own', messages: [system] },
  },
  {
    what: 'before the instructions',
    protocol: 'openai-responses',
    how: 'prepend',
    body: { instructions: 'own', input: 'a' },
    changed: { instructions: 'S\nU\nown', input: 'a' },
  },
  {
    what: 'as the instructions',
    protocol: 'openai-responses',
    how: 'prepend',
    body: { instructions: null, input: 'a' },
    changed: { instructions: 'S\nU', input: 'a' },
  },
  {
    what: 'at the end of an input of text',
    protocol: 'openai-responses',
    how: 'append',
    body: { input: 'own' },
    changed: { input: 'own\nS\nU' },
  },
  {
    what: 'as a message of the user behind the items',
    protocol: 'openai-responses',
    how: 'append',
    body: { input: [chat] },
    changed: { input: [chat, { type: 'message', role: 'user', content: 'S\nU' }] },
  },
  {
    what: 'system texts to the blocks of the system, others to the messages',
    protocol: 'bedrock-converse',
    how: 'prepend',
    body: { system: [{ text: 'own' }], messages: [turn] },
    changed: {
      system: [{ text: 'S' }, { text: 'own' }],
      messages: [{ role: 'user', content: [{ text: 'U' }] }, turn],
    },
  },
  {
    what: 'behind the blocks and the messages',
    protocol: 'bedrock-converse',
    how: 'append',
    body: { system: [{ text: 'own' }], messages: [turn] },
    changed: {
      system: [{ text: 'own' }, { text: 'S' }],
      messages: [turn, { role: 'user', content: [{ text: 'U' }] }],
    },
  },
  {
    what: 'no block where there is no system text',
    protocol: 'bedrock-converse',
    how: 'append',
    added: [asked],
    body: { messages: [] },
    changed: { messages: [{ role: 'user', content: [{ text: 'U' }] }] },
  },
  {
    what: 'nothing where there is no place',
    protocol: 'openai-embeddings',
    how: 'prepend',
    body: { input: 'a' },
    changed: { input: 'a' },
  },
];

describe('changing prompts', () => {
  for (const { what, protocol, how, added = [system, asked], body, changed } of changes) {
    test(`${protocol}, ${how}: ${what}`, () => {
      const before = structuredClone(body);
      assert.deepEqual(formatOf(protocol)[how](body, added), changed);
      assert.deepEqual(body, before, 'the body itself is not written to');
    });
  }

  test('JSON of any shape is survived by all of them', () => {
    const values = [null, 0, 'a', [], {}, [null], [[]], { __proto__: null }];
    for (const format of promptFormats) {
      for (const value of values) {
        const body = { messages: value, system: value, input: value, instructions: value };
        format.messages(body);
        format.prepend(body, [system, asked]);
        format.append(body, [system, asked]);
      }
    }
  });
});
