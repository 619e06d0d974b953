import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { ApiError, GoogleGenAI } from '@google/genai';
import OpenAI, { RateLimitError } from 'openai';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { answerEvents, geminiAnswer, geminiEvents } from './support/gemini-mock.ts';
import { call } from './support/http-call.ts';
import { answerJson, chatAnswer, chatStream, chunk, fieldOf } from './support/mock-provider.ts';

const operatorKey = 'key-of-the-operator';
const chunkedHead = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';

let stage: AiStage;
before(async () => {
  stage = await startStage();
});
after(() => stage[Symbol.asyncDispose]());
beforeEach(() => {
  stage.provider.requests.length = 0;
});

describe('the official OpenAI client with the provider gemini', { timeout: 120_000 }, () => {
  let client: OpenAI;
  before(async () => {
    const auth = { header: { Authorization: `Bearer ${operatorKey}` } };
    const aiProxy = { provider: 'gemini', auth, override: { endpoint: stage.provider.url } };
    // What Google itself has as the base URL of this client.
    await stage.gateway.putRoute('openai', { uri: '/v1beta/openai/*', plugins: { 'ai-proxy': aiProxy } });
    const baseURL = `${stage.gateway.url}/v1beta/openai/`;
    client = new OpenAI({ baseURL, apiKey: 'of-the-client', maxRetries: 0, logLevel: 'off' });
  });
  const question: OpenAI.Chat.ChatCompletionCreateParamsNonStreaming = {
    model: 'gemini-x',
    messages: [{ role: 'user', content: 'hi' }],
  };

  test('gets a chat completion', async () => {
    stage.provider.answer = answerJson(chatAnswer);
    const answer = await client.chat.completions.create({ ...question, max_tokens: 9 });
    assert.equal(answer.choices[0]?.message.content, '2');
    const [request] = stage.provider.requests;
    assert.equal(request?.target, '/v1beta/openai/chat/completions');
    assert.equal(fieldOf(request, 'authorization'), `Bearer ${operatorKey}`);
    const [logged] = await stage.logged(`${stage.gateway.url}/v1beta/openai/chat/completions`);
    assert.deepEqual(
      [logged?.request_type, logged?.request_llm_model, logged?.llm_total_tokens],
      ['ai_chat', 'gemini-x', '13'],
    );
  });

  test('gets a streamed chat', async () => {
    stage.provider.answer = answerEvents(chatStream);
    const stream = await client.chat.completions.create({ ...question, stream: true });
    let text = '';
    for await (const piece of stream) text += piece.choices[0]?.delta.content ?? '';
    assert.equal(text, 'one zwei ä€');
  });

  test("gets Google's errors, which come in a list, as those of their status", async () => {
    stage.provider.answer = answerJson([{ error: { code: 429, message: 'quota', status: 'RESOURCE_EXHAUSTED' } }], 429);
    await assert.rejects(client.chat.completions.create(question), (error) => {
      assert.ok(error instanceof RateLimitError);
      assert.match(error.message, /quota/);
      return true;
    });
  });
});

describe("Google's own client, whose protocol passes through", { timeout: 120_000 }, () => {
  const model = 'gemini-x';

  /** A route at the path that Google has it at: it is a part of what passes through. */
  async function clientOf(endpoint: string, apiVersion: string): Promise<GoogleGenAI> {
    const auth = { header: { 'x-goog-api-key': operatorKey } };
    const aiProxy = { provider: 'gemini', auth, override: { endpoint }, timeout: 2000 };
    await stage.gateway.putRoute(apiVersion, { uri: `/${apiVersion}/*`, plugins: { 'ai-proxy': aiProxy } });
    return new GoogleGenAI({ apiKey: 'of-the-client', httpOptions: { baseUrl: stage.gateway.url, apiVersion } });
  }

  test('generates content', async () => {
    const client = await clientOf(stage.provider.url, 'v1beta');
    stage.provider.answer = (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json; charset=UTF-8' }).end(geminiAnswer);
    };
    const answer = await client.models.generateContent({
      model,
      contents: 'Hé – 🌊',
      config: { temperature: 0.5, tools: [{ functionDeclarations: [{ name: 'get_weather' }] }] },
    });
    assert.equal(answer.candidates?.[0]?.content?.parts?.[0]?.text, 'Héllo 🌊');
    assert.deepEqual(answer.functionCalls, [{ name: 'get_weather', args: { city: 'Paris "é"' } }]);
    assert.equal(answer.usageMetadata?.totalTokenCount, 13);

    const [request] = stage.provider.requests;
    assert.equal(request?.target, '/v1beta/models/gemini-x:generateContent');
    assert.deepEqual(JSON.parse(request?.body.toString() ?? ''), {
      contents: [{ parts: [{ text: 'Hé – 🌊' }], role: 'user' }],
      tools: [{ functionDeclarations: [{ name: 'get_weather' }] }],
      generationConfig: { temperature: 0.5 },
    });
    assert.equal(fieldOf(request, 'x-goog-api-key'), operatorKey);
    const [logged] = await stage.logged(`${stage.gateway.url}/v1beta/models/gemini-x:generateContent`);
    assert.deepEqual([logged?.status, logged?.weir_error, logged?.llm_total_tokens], ['200', '', '0']);
  });

  test('streams content', async () => {
    const client = await clientOf(stage.provider.url, 'v1beta');
    stage.provider.answer = answerEvents(geminiEvents.join(''));
    let text = '';
    let tokens = 0;
    const calls: unknown[] = [];
    for await (const piece of await client.models.generateContentStream({ model, contents: 'hi' })) {
      for (const part of piece.candidates?.[0]?.content?.parts ?? []) text += part.text ?? '';
      calls.push(...(piece.functionCalls ?? []));
      tokens += piece.usageMetadata?.totalTokenCount ?? 0;
    }
    assert.deepEqual([text, calls.length, tokens], ['Héllo 🌊', 1, 13]);
    assert.equal(stage.provider.requests[0]?.target, '/v1beta/models/gemini-x:streamGenerateContent?alt=sse');
    const [logged] = await stage.logged(`${stage.gateway.url}/v1beta/models/gemini-x:streamGenerateContent?alt=sse`);
    assert.deepEqual([logged?.status, logged?.weir_error], ['200', '']);
  });

  test('is what bytes pass through for, in both directions', async () => {
    await clientOf(stage.provider.url, 'v1beta');
    const body = '{ "contents" : [ {"parts":[{"text":"\\u0068i"}]} ], "n": 1.0 }';
    const headers = { 'content-type': 'application/json' };
    for (const [path, answered] of [
      ['/v1beta/models/a:generateContent', geminiAnswer],
      ['/v1beta/models/a:streamGenerateContent?alt=sse', geminiEvents.join('')],
    ] as const) {
      stage.provider.answer = answerEvents(answered);
      assert.equal((await call(stage.gateway.url + path, { body, headers })).text, answered);
      assert.equal(stage.provider.requests.at(-1)?.body.toString(), body);
    }
  });

  test('counts tokens and embeds', async () => {
    const client = await clientOf(stage.provider.url, 'v1beta');
    stage.provider.answer = answerJson({ totalTokens: 3 });
    assert.equal((await client.models.countTokens({ model, contents: 'hi' })).totalTokens, 3);
    stage.provider.answer = answerJson({ embeddings: [{ values: [0.5] }] });
    const { embeddings } = await client.models.embedContent({ model, contents: ['hi'] });
    assert.deepEqual(embeddings, [{ values: [0.5] }]);
  });

  async function failure(asking: Promise<unknown>): Promise<Error> {
    const error: unknown = await asking.then(
      () => assert.fail('it did not fail'),
      (raised: unknown) => raised,
    );
    assert.ok(error instanceof Error);
    return error;
  }

  test('gets an ApiError with the status and the text of Google', async () => {
    const client = await clientOf(stage.provider.url, 'v1beta');
    stage.provider.answer = answerJson({ error: { code: 429, message: 'quota', status: 'RESOURCE_EXHAUSTED' } }, 429);
    for (const asking of [
      client.models.generateContent({ model, contents: 'hi' }),
      client.models.generateContentStream({ model, contents: 'hi' }),
    ]) {
      const error = await failure(asking);
      assert.ok(error instanceof ApiError, String(error));
      assert.equal(error.status, 429);
      assert.match(error.message, /RESOURCE_EXHAUSTED/);
    }
  });

  test('gets an ApiError for a Google that cannot be reached', async () => {
    const client = await clientOf('http://127.0.0.1:1', 'v1alpha');
    const error = await failure(client.models.generateContent({ model, contents: 'hi' }));
    assert.ok(error instanceof ApiError, String(error));
    assert.equal(error.status, 502);
    assert.match(error.message, /UPSTREAM_CONNECT/);
  });

  for (const place of ['between two events', 'in the middle of an event'] as const) {
    test(`never takes a stream for complete that breaks ${place}`, async () => {
      const client = await clientOf(stage.raw.url, 'v1alpha');
      const [first = '', second = ''] = geminiEvents;
      stage.raw.answer = ({ socket }) => {
        const half = place === 'between two events' ? '' : second.slice(0, 20);
        socket.write(chunkedHead + chunk(first + half).toString());
        setTimeout(() => socket.destroy(), 10);
      };
      let text = '';
      const reading = (async () => {
        for await (const piece of await client.models.generateContentStream({ model, contents: 'hi' })) {
          text += piece.text ?? '';
        }
      })();
      await failure(reading);
      assert.equal(text, 'Hé');
    });
  }

  test('that aborts in the middle of a stream closes the upstream', async () => {
    const client = await clientOf(stage.raw.url, 'v1alpha');
    stage.raw.answer = ({ socket }) => {
      socket.write(chunkedHead + chunk(geminiEvents[0] ?? '').toString());
    };
    const controller = new AbortController();
    const config = { abortSignal: controller.signal };
    const stream = await client.models.generateContentStream({ model, contents: 'hi', config });
    const reading = (async () => {
      for await (const piece of stream) if (piece.text === 'Hé') controller.abort();
    })();
    await failure(reading);
    await stage.raw.closed(stage.raw.connections.length - 1);
  });
});
