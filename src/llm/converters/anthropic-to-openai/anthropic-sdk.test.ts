import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { WeirError } from '../../../base/errors.ts';
import { isJsonObject, type JsonObject } from '../../json.ts';
import { anthropicToOpenai } from './anthropic-to-openai.ts';

const params = {
  model: 'asked',
  max_tokens: 100,
  messages: [{ role: 'user' as const, content: 'weather?' }],
  tools: [{ name: 'weather.of/city', input_schema: { type: 'object' as const } }],
};
const sentToolName = 'weather_of_city_8232bd81';

/** Anthropic's own client, in front of a provider that gives the chat answer, or the chat events, `reply`. */
function clientOf(reply: JsonObject | readonly unknown[], status = 200): Anthropic {
  return new Anthropic({
    apiKey: 'unused',
    maxRetries: 0,
    fetch: (_url, init) => {
      assert.ok(typeof init?.body === 'string');
      const request: unknown = JSON.parse(init.body);
      assert.ok(isJsonObject(request));
      const conversion = anthropicToOpenai.convertRequest(request);
      assert.ok(!(conversion instanceof WeirError));
      if (isJsonObject(reply)) {
        const body = JSON.stringify(conversion.convertAnswer(reply, 'effective', status));
        return Promise.resolve(new Response(body, { status, headers: { 'content-type': 'application/json' } }));
      }
      const stream = conversion.startStream('effective');
      assert.ok(stream !== null);
      const outputs = reply.map((data) =>
        stream.event({ event: 'message', data: typeof data === 'string' ? data : JSON.stringify(data) }),
      );
      const body = outputs.join('') + stream.end();
      return Promise.resolve(new Response(body, { status, headers: { 'content-type': 'text/event-stream' } }));
    },
  });
}

const chunk = (delta: JsonObject, finishReason: string | null = null): JsonObject => ({
  id: 'chatcmpl-1',
  choices: [{ index: 0, delta, finish_reason: finishReason }],
});
const call = (index: number, id: string | undefined, args: string): JsonObject => ({
  index,
  ...(id !== undefined && { id, type: 'function' }),
  function: { ...(id !== undefined && { name: sentToolName }), arguments: args },
});
const usage = { prompt_tokens: 100, completion_tokens: 20, prompt_tokens_details: { cached_tokens: 60 } };

const full = {
  id: 'msg_chatcmpl-1',
  model: 'effective',
  content: [
    { type: 'thinking', thinking: 'Two cities.', signature: '' },
    { type: 'text', text: 'Looking – 🌊' },
    { type: 'tool_use', id: 'c1', name: 'weather.of/city', input: { city: 'Paris' } },
    { type: 'tool_use', id: 'c2', name: 'weather.of/city', input: { city: 'Rome' } },
  ],
  stop_reason: 'tool_use',
  stop_sequence: null,
  usage: { input_tokens: 40, output_tokens: 20, cache_read_input_tokens: 60, cache_creation_input_tokens: 0 },
};

function checkFull(message: Anthropic.Message): void {
  const { id, model, content, stop_reason, stop_sequence, usage } = message;
  const plain: unknown = JSON.parse(JSON.stringify({ id, model, content, stop_reason, stop_sequence, usage }));
  assert.deepEqual(plain, full);
}

describe('Anthropic’s SDK reads', () => {
  it('a whole answer: thinking, text, parallel tools, usage', async () => {
    const message = {
      reasoning_content: 'Two cities.',
      content: 'Looking – 🌊',
      tool_calls: [call(0, 'c1', '{"city":"Paris"}'), call(1, 'c2', '{"city":"Rome"}')],
    };
    const answer = { id: 'chatcmpl-1', choices: [{ index: 0, message, finish_reason: 'tool_calls' }], usage };
    checkFull(await clientOf(answer).messages.create(params));
  });

  const beginning = [
    chunk({ role: 'assistant', content: '' }),
    chunk({ reasoning_content: 'Two ' }),
    chunk({ reasoning_content: 'cities.' }),
    chunk({ content: 'Looking ' }),
    chunk({ content: '– 🌊' }),
  ];
  const ending = [chunk({}, 'tool_calls'), { id: 'chatcmpl-1', choices: [], usage }, '[DONE]'];
  const orders: { name: string; calls: JsonObject[] }[] = [
    {
      name: 'one call after the other',
      calls: [
        call(0, 'c1', ''),
        call(0, undefined, '{"city":'),
        call(0, undefined, '"Paris"}'),
        call(1, 'c2', '{"city":"Rome"}'),
      ],
    },
    {
      name: 'calls mixed',
      calls: [
        call(0, 'c1', '{"city"'),
        call(1, 'c2', '{"city"'),
        call(1, undefined, ':"Rome"}'),
        call(0, undefined, ':"Paris"}'),
      ],
    },
  ];
  for (const { name, calls } of orders) {
    it(`V24 a stream with the pieces of its ${name}`, async () => {
      const events = [...beginning, ...calls.map((piece) => chunk({ tool_calls: [piece] })), ...ending];
      checkFull(await clientOf(events).messages.stream(params).finalMessage());
    });
  }

  it('a stream that ends with [DONE] only', async () => {
    const message = await clientOf([chunk({ content: 'a' }), '[DONE]'])
      .messages.stream(params)
      .finalMessage();
    assert.deepEqual([message.stop_reason, message.usage.output_tokens], ['end_turn', 0]);
    assert.deepEqual(message.content, [{ type: 'text', text: 'a' }]);
  });

  it('an error of the provider as an error', async () => {
    const client = clientOf({ error: { message: 'bad model', type: 'invalid_request_error' } }, 400);
    await assert.rejects(client.messages.create(params), (error) => {
      assert.ok(error instanceof Anthropic.BadRequestError);
      assert.deepEqual(error.error, { type: 'error', error: { type: 'invalid_request_error', message: 'bad model' } });
      return true;
    });
  });

  const broken: { name: string; events: unknown[]; message: RegExp }[] = [
    {
      name: 'an error in the middle',
      events: [...beginning, { error: { message: 'overloaded' } }, '[DONE]'],
      message: /overloaded/,
    },
    { name: 'an error at the start', events: [{ error: 'overloaded' }], message: /overloaded/ },
    { name: 'a cut', events: beginning, message: /before its answer was complete/ },
  ];
  for (const { name, events, message } of broken) {
    it(`a stream with ${name} as an error, never as a message`, async () => {
      const stream = clientOf(events).messages.stream(params);
      await assert.rejects(stream.finalMessage(), (error) => {
        assert.ok(error instanceof Anthropic.APIError);
        assert.match(error.message, message);
        return true;
      });
      assert.equal(stream.receivedMessages.length, 0);
    });
  }
});
