import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import OpenAI, { APIError, AuthenticationError, RateLimitError } from 'openai';
import { type DemoProvider, startDemoProvider } from '../src/demo/provider.ts';

const apiKey = 'the-key';
let provider: DemoProvider;
let origin: string;
let client: OpenAI;

before(async () => {
  provider = await startDemoProvider({ host: '127.0.0.1', port: 0, apiKey, pace: 0 });
  origin = `http://127.0.0.1:${provider.port}`;
  client = new OpenAI({ baseURL: `${origin}/v1`, apiKey, maxRetries: 0 });
});

after(() => provider.close());

function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${origin}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}`, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

function chat(question: string, more: object = {}): { model: string; messages: { role: 'user'; content: string }[] } {
  return { model: 'some-model', messages: [{ role: 'user', content: question }], ...more };
}

async function readJson(response: Response) {
  return JSON.parse(await response.text());
}

/** The data of the events of a stream. */
async function readEvents(response: Response): Promise<string[]> {
  const text = await response.text();
  return text
    .split('\n\n')
    .filter((event) => event !== '')
    .map((event) => event.replace(/^data: /, ''));
}

const weatherTool = {
  type: 'function',
  function: {
    name: 'get_weather',
    parameters: {
      type: 'object',
      properties: {
        city: { type: 'string' },
        unit: { type: 'string', enum: ['celsius', 'fahrenheit'] },
        days: { type: 'integer' },
        hourly: { type: 'boolean' },
      },
    },
  },
} as const;

describe('chat completions', () => {
  test('a plain answer has the shape of an OpenAI chat completion', async () => {
    const answer = await client.chat.completions.create(chat('What is 1+1?'));
    assert.equal(answer.object, 'chat.completion');
    assert.match(answer.id, /^chatcmpl-/);
    assert.ok(Math.abs(answer.created - Date.now() / 1000) < 5);
    assert.equal(answer.model, 'some-model');
    assert.deepEqual(answer.choices, [
      {
        index: 0,
        message: { role: 'assistant', content: '1 + 1 = 2', refusal: null },
        logprobs: null,
        finish_reason: 'stop',
      },
    ]);
    assert.deepEqual(answer.usage, { prompt_tokens: 9, completion_tokens: 5, total_tokens: 14 });
  });

  test('the same question gets the same text under another id', async () => {
    const [first, second] = [
      await client.chat.completions.create(chat('Tell me a story')),
      await client.chat.completions.create(chat('Tell me a story')),
    ];
    assert.equal(first.choices[0]?.message.content, second.choices[0]?.message.content);
    assert.notEqual(first.id, second.id);
  });

  test('a stream brings the role, then the words of the plain answer, then the reason to stop', async () => {
    const plain = await client.chat.completions.create(chat('Tell me a story'));
    const response = await post('/v1/chat/completions', chat('Tell me a story', { stream: true }));
    assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
    const events = await readEvents(response);
    assert.equal(events.at(-1), '[DONE]');
    const chunks = events.slice(0, -1).map((data) => JSON.parse(data));
    assert.deepEqual(new Set(chunks.map(({ object }) => object)), new Set(['chat.completion.chunk']));
    assert.equal(new Set(chunks.map(({ id }) => id)).size, 1);
    assert.ok(chunks.every((chunk) => !('usage' in chunk)));
    const deltas = chunks.map(({ choices: [choice] }) => choice.delta);
    assert.deepEqual(deltas[0], { role: 'assistant', content: '', refusal: null });
    assert.deepEqual(deltas.at(-1), {});
    assert.equal(deltas.map(({ content }) => content ?? '').join(''), plain.choices[0]?.message.content);
    assert.deepEqual(
      chunks.map(({ choices: [choice] }) => choice.finish_reason),
      [...Array.from({ length: chunks.length - 1 }, () => null), 'stop'],
    );
    assert.equal(chunks.length, (plain.usage?.completion_tokens ?? 0) + 2);
  });

  test('a stream with include_usage ends with the usage alone', async () => {
    const stream = await client.chat.completions.create({
      ...chat('What is 1+1?'),
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = await Array.fromAsync(stream);
    assert.deepEqual(chunks.at(-1)?.choices, []);
    assert.deepEqual(chunks.at(-1)?.usage, { prompt_tokens: 9, completion_tokens: 5, total_tokens: 14 });
    assert.ok(chunks.slice(0, -1).every(({ usage }) => usage === null));
  });

  for (const member of ['max_tokens', 'max_completion_tokens']) {
    test(`${member} cuts the answer`, async () => {
      const answer = await client.chat.completions.create(chat('What is 1+1?', { [member]: 3 }));
      assert.equal(answer.choices[0]?.message.content, '1 + 1');
      assert.equal(answer.choices[0]?.finish_reason, 'length');
      assert.equal(answer.usage?.completion_tokens, 3);
    });
  }

  test('n answers are given, plain and streamed', async () => {
    const plain = await client.chat.completions.create(chat('What is 1+1?', { n: 2 }));
    assert.deepEqual(
      plain.choices.map(({ index }) => index),
      [0, 1],
    );
    assert.equal(plain.usage?.completion_tokens, 10);
    const stream = await client.chat.completions.create({ ...chat('What is 1+1?', { n: 2 }), stream: true });
    const texts = ['', ''];
    for await (const { choices } of stream) {
      for (const { index, delta } of choices) texts[index] += delta.content ?? '';
    }
    assert.deepEqual(texts, ['1 + 1 = 2', '1 + 1 = 2']);
  });

  test('members that are null count as absent, and content may come in parts', async () => {
    const response = await post('/v1/chat/completions', {
      model: 'm',
      stream: null,
      stop: null,
      n: null,
      max_tokens: null,
      tools: null,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'What is' },
            { type: 'text', text: '2*3?' },
          ],
        },
      ],
    });
    const { choices } = await readJson(response);
    assert.equal(choices[0].message.content, '2 * 3 = 6');
  });

  test('only the last thing that the user said is answered', async () => {
    const messages = [
      { role: 'system', content: 'You are a mathematician' },
      { role: 'user', content: 'hello' },
      { role: 'assistant', content: 'Hello!' },
      { role: 'user', content: 'What is 2+2?' },
    ];
    const { choices } = await readJson(await post('/v1/chat/completions', { model: 'm', messages }));
    assert.equal(choices[0].message.content, '2 + 2 = 4');
  });

  const badRequests: readonly (readonly [string, unknown, RegExp])[] = [
    ['no model', { messages: [{ role: 'user', content: 'x' }] }, /"model" is required/],
    ['no messages', { model: 'm' }, /"messages" is required/],
    ['an empty list of messages', { model: 'm', messages: [] }, /"messages"/],
    ['an unknown role', { model: 'm', messages: [{ role: 'boss', content: 'x' }] }, /"role"/],
    ['too many answers', chat('x', { n: 1000 }), /"n"/],
    ['a body that is no JSON', '{"model":', /JSON/],
  ];
  for (const [name, body, message] of badRequests) {
    test(`${name}: 400 in OpenAI's shape that names the member`, async () => {
      const response = await post('/v1/chat/completions', body);
      assert.equal(response.status, 400);
      const { error } = await readJson(response);
      assert.match(error.message, message);
      assert.equal(error.type, 'invalid_request_error');
    });
  }
});

describe('tools', () => {
  test('a question that names a tool is answered with a call of it, with arguments from the question', async () => {
    const request = chat('How is the weather in New York for the next 3 days?', { tools: [weatherTool] });
    const answer = await client.chat.completions.create(request);
    const [choice] = answer.choices;
    assert.equal(choice?.finish_reason, 'tool_calls');
    assert.equal(choice.message.content, null);
    const [call] = choice.message.tool_calls ?? [];
    assert.ok(call?.type === 'function');
    assert.match(call.id, /^call_/);
    assert.equal(call.function.name, 'get_weather');
    assert.deepEqual(JSON.parse(call.function.arguments), {
      city: 'New York',
      unit: 'celsius',
      days: 3,
      hourly: true,
    });
  });

  test('a streamed call is put together by the official client to the same call', async () => {
    const request = chat('What is the weather in Paris?', { tools: [weatherTool] });
    const plain = await client.chat.completions.create(request);
    const streamed = await client.chat.completions.stream({ ...request, stream: true }).finalChatCompletion();
    const callOf = (answer: typeof plain): unknown => {
      const call = answer.choices[0]?.message.tool_calls?.[0];
      return call?.type === 'function' ? [call.function.name, JSON.parse(call.function.arguments)] : undefined;
    };
    assert.deepEqual(callOf(streamed), callOf(plain));
    assert.equal(streamed.choices[0]?.finish_reason, 'tool_calls');
  });

  const choices: readonly (readonly [string, object, string])[] = [
    ['none: no call', { tool_choice: 'none' }, 'stop'],
    ['required: a call whatever the question', { tool_choice: 'required' }, 'tool_calls'],
    ['a named one: a call of it', { tool_choice: { type: 'function', function: weatherTool.function } }, 'tool_calls'],
    ['absent: a call only if the question fits', {}, 'stop'],
  ];
  for (const [name, more, reason] of choices) {
    test(`tool_choice ${name}`, async () => {
      const answer = await client.chat.completions.create(chat('What is 1+1?', { tools: [weatherTool], ...more }));
      assert.equal(answer.choices[0]?.finish_reason, reason);
    });
  }

  test('the result of a tool ends in an answer, not in another call', async () => {
    const messages = [
      { role: 'user', content: 'What is the weather?' },
      { role: 'assistant', content: null, tool_calls: [] },
      { role: 'tool', tool_call_id: 'x', content: 'sunny, 21 degrees' },
    ];
    const response = await post('/v1/chat/completions', { model: 'm', messages, tools: [weatherTool] });
    const { choices } = await readJson(response);
    assert.match(choices[0].message.content, /sunny, 21 degrees/);
  });
});

describe('embeddings and models', () => {
  test('vectors have length 1, the wanted dimensions, and are always the same', async () => {
    const request = { model: 'm', input: ['hello world', 'hello world', 'a tax form'], dimensions: 64 };
    const { data, usage, model } = await client.embeddings.create(request);
    assert.equal(model, 'm');
    assert.deepEqual(usage, { prompt_tokens: 7, total_tokens: 7 });
    assert.deepEqual(data[0]?.embedding, data[1]?.embedding);
    assert.notDeepEqual(data[0]?.embedding, data[2]?.embedding);
    for (const { embedding } of data) {
      assert.equal(embedding.length, 64);
      assert.ok(Math.abs(Math.hypot(...embedding) - 1) < 1e-5);
    }
  });

  test('texts with words in common are nearer to each other than to others', async () => {
    const input = ['the river carries water', 'water of the river', 'quarterly tax report'];
    const { data } = await client.embeddings.create({ model: 'm', input });
    const [first = [], near = [], far = []] = data.map(({ embedding }) => embedding);
    const dot = (a: number[], b: number[]): number => a.reduce((sum, value, place) => sum + value * (b[place] ?? 0), 0);
    assert.ok(dot(first, near) > dot(first, far) + 0.2);
  });

  test('base64 holds the same numbers as float', async () => {
    const request = { model: 'm', input: 'hello', dimensions: 5 };
    const [float, base64] = [
      await readJson(await post('/v1/embeddings', request)),
      await readJson(await post('/v1/embeddings', { ...request, encoding_format: 'base64' })),
    ];
    const bytes = Buffer.from(base64.data[0].embedding, 'base64');
    const numbers = Array.from({ length: 5 }, (_, place) => bytes.readFloatLE(place * 4));
    assert.deepEqual(numbers, float.data[0].embedding);
  });

  const inputs: readonly (readonly [string, unknown, number])[] = [
    ['one text', 'a', 1],
    ['a list of texts', ['a', 'b'], 2],
    ['token ids', [1, 2, 3], 1],
    ['a list of token ids', [[1, 2], [3]], 2],
  ];
  for (const [name, input, count] of inputs) {
    test(`${name} as input gives ${count} vector(s)`, async () => {
      const { data } = await readJson(await post('/v1/embeddings', { model: 'm', input }));
      assert.equal(data.length, count);
    });
  }

  test('an embeddings request without input is refused', async () => {
    const response = await post('/v1/embeddings', { model: 'm' });
    assert.equal(response.status, 400);
    assert.match((await readJson(response)).error.message, /"input" is required/);
  });

  test('models are listed', async () => {
    const { data } = await client.models.list();
    assert.deepEqual(
      data.map(({ id, object }) => [id, object]),
      [
        ['weir-demo', 'model'],
        ['weir-demo-embedding', 'model'],
      ],
    );
  });
});

describe('refusals and faults on demand', () => {
  test('a wrong key and a missing one get 401', async () => {
    const stranger = new OpenAI({ baseURL: `${origin}/v1`, apiKey: 'another', maxRetries: 0 });
    await assert.rejects(stranger.models.list(), AuthenticationError);
    assert.equal((await fetch(`${origin}/v1/models`)).status, 401);
  });

  test('an unknown path gets 404 in OpenAI’s shape', async () => {
    const response = await post('/v1/nothing', {});
    assert.equal(response.status, 404);
    assert.equal((await readJson(response)).error.code, 'unknown_url');
  });

  test('a prompt can ask for 429, with Retry-After', async () => {
    await assert.rejects(client.chat.completions.create(chat('Please fail with 429.')), (error) => {
      assert.ok(error instanceof RateLimitError);
      assert.equal(error.code, 'rate_limit_exceeded');
      assert.equal(error.headers?.get('retry-after'), '2');
      return true;
    });
  });

  for (const status of [400, 401, 404, 418, 500, 503]) {
    test(`the header x-demo-status asks for ${status}, streamed too`, async () => {
      for (const stream of [false, true]) {
        const response = await post('/v1/chat/completions', chat('hello', { stream }), {
          'x-demo-status': `${status}`,
        });
        assert.equal(response.status, status);
        const { error } = await readJson(response);
        assert.equal(typeof error.message, 'string');
        assert.equal(error.type, status < 500 ? 'invalid_request_error' : 'server_error');
      }
    });
  }

  test('a broken stream is cut in the middle, a plain answer too', async () => {
    const streamed = await post('/v1/chat/completions', chat('hello', { stream: true }), { 'x-demo': 'broken-stream' });
    let received = '';
    await assert.rejects(async () => {
      for await (const chunk of streamed.body ?? []) received += Buffer.from(chunk).toString();
    });
    assert.match(received, /"content":"Hello!"/);
    assert.doesNotMatch(received, /DONE/);
    const plain = await post('/v1/chat/completions', chat('hello'), { 'x-demo': 'broken-stream' });
    assert.equal(plain.status, 200);
    await assert.rejects(plain.text());
  });

  test('a stalled stream begins and goes no further', async () => {
    const response = await post('/v1/chat/completions', chat('fail with a stall', { stream: true }));
    const reader = response.body?.getReader();
    assert.ok(reader);
    let received = '';
    for (;;) {
      const quiet = Promise.withResolvers<null>();
      const timer = setTimeout(quiet.resolve, 100, null);
      const next: Awaited<ReturnType<typeof reader.read>> | null = await Promise.race([reader.read(), quiet.promise]);
      clearTimeout(timer);
      if (next === null) break;
      assert.equal(next.done, false);
      received += Buffer.from(next.value ?? []).toString();
    }
    assert.match(received, /"role":"assistant"/);
    await reader.cancel();
  });

  test('garbage is a 200 that is no JSON', async () => {
    const response = await post('/v1/chat/completions', chat('fail with garbage'));
    assert.equal(response.status, 200);
    await assert.rejects(readJson(response), SyntaxError);
  });

  test('an empty stream is a 200 without any event', async () => {
    const response = await post('/v1/chat/completions', chat('fail with an empty-stream', { stream: true }));
    assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
    assert.equal(await response.text(), '');
  });

  test('a reset closes the connection without an answer', async () => {
    await assert.rejects(client.chat.completions.create(chat('hello'), { headers: { 'x-demo': 'reset' } }), APIError);
  });

  test('an unknown value of x-demo is refused with the known ones', async () => {
    const response = await post('/v1/chat/completions', chat('hello'), { 'x-demo': 'nonsense' });
    assert.equal(response.status, 400);
    assert.match((await readJson(response)).error.message, /slow, broken-stream, stall/);
  });

  test('a slow answer takes eight times as long', async (t) => {
    const brisk = await startDemoProvider({ host: '127.0.0.1', port: 0, pace: 0.05 });
    t.after(() => brisk.close());
    const measure = async (headers: Record<string, string>): Promise<number> => {
      const startedAt = performance.now();
      const body = JSON.stringify(chat('What is 1+1?'));
      const init = { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body };
      await (await fetch(`http://127.0.0.1:${brisk.port}/v1/chat/completions`, init)).text();
      return performance.now() - startedAt;
    };
    // (150 + 5 * 5) ms * 0.05 = 8.75 ms, times 8: 70 ms.
    assert.ok((await measure({})) >= 8);
    assert.ok((await measure({ 'x-demo': 'slow' })) >= 69);
  });

  test('with pacing the first event comes before the last', async (t) => {
    const brisk = await startDemoProvider({ host: '127.0.0.1', port: 0, pace: 0.2 });
    t.after(() => brisk.close());
    const openai = new OpenAI({ baseURL: `http://127.0.0.1:${brisk.port}/v1`, apiKey: 'any', maxRetries: 0 });
    const times: number[] = [];
    for await (const _ of await openai.chat.completions.create({ ...chat('hello'), stream: true })) {
      times.push(performance.now());
    }
    assert.ok((times.at(-1) ?? 0) - (times[0] ?? 0) > 50);
  });
});
