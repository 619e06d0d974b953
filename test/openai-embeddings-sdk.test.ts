import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import OpenAI, { BadRequestError, RateLimitError } from 'openai';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { googlePrivateKey, readAssertion } from './support/google.ts';
import { answerJson, fieldOf, startProvider, type Answer, type Provider } from './support/mock-provider.ts';

// Exact as 32-bit floats, which is what the client reads out of base64.
const vectors = [
  [0.5, -1.25, 3],
  [0, 2, -0.0625],
];

function toBase64(vector: readonly number[]): string {
  return Buffer.from(Float32Array.from(vector).buffer).toString('base64');
}

/** A provider in OpenAI's style: base64 if it is asked for. */
const answerOpenai: Answer = (request, response) => {
  const { input, encoding_format } = JSON.parse(request.body.toString());
  const data = vectors.slice(0, input.length).map((vector, index) => ({
    object: 'embedding',
    index,
    embedding: encoding_format === 'base64' ? toBase64(vector) : vector,
  }));
  const usage = { prompt_tokens: 6, total_tokens: 6 };
  answerJson({ object: 'list', data, model: 'as-served', usage })(request, response);
};

/** https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api */
const answerVertex: Answer = (request, response) => {
  const { instances } = JSON.parse(request.body.toString());
  const predictions = vectors
    .slice(0, instances.length)
    .map((values) => ({ embeddings: { values, statistics: { token_count: 3, truncated: false } } }));
  answerJson({ predictions, metadata: { billableCharacterCount: 2 } })(request, response);
};

let stage: AiStage;
let tokens: Provider;
before(async () => {
  stage = await startStage();
  tokens = await startProvider((request, response) => {
    readAssertion(request);
    answerJson({ access_token: 'token-of-google', expires_in: 3600 })(request, response);
  });
});
after(async () => {
  await stage[Symbol.asyncDispose]();
  await tokens[Symbol.asyncDispose]();
});
beforeEach(() => {
  stage.provider.requests.length = 0;
});

function serviceAccount(): string {
  return JSON.stringify({
    type: 'service_account',
    client_email: 'weir@p.iam.gserviceaccount.com',
    private_key: googlePrivateKey,
    token_uri: `${tokens.url}/token`,
  });
}

const sides = [
  {
    name: 'a provider in the style of OpenAI',
    conf: () => ({ provider: 'openai-compatible', auth: { header: { Authorization: 'Bearer of-the-operator' } } }),
    answer: answerOpenai,
    target: '/v1/embeddings',
    credential: 'Bearer of-the-operator',
    model: 'as-served',
    error: { error: { message: 'quota', type: 'requests', code: 'RESOURCE_EXHAUSTED' } },
  },
  {
    name: 'Vertex AI, through the converter',
    conf: () => ({
      provider: 'vertex-ai',
      provider_conf: { project_id: 'p', region: 'us-central1' },
      auth: { gcp: { service_account_json: serviceAccount() } },
    }),
    answer: answerVertex,
    target: '/v1/projects/p/locations/us-central1/publishers/google/models/text-embedding-005:predict',
    credential: 'Bearer token-of-google',
    model: 'text-embedding-005',
    error: { error: { code: 429, message: 'quota', status: 'RESOURCE_EXHAUSTED' } },
  },
] as const;

let routes = 0;

for (const { name, conf, answer, target, credential, model, error } of sides) {
  describe(`the official OpenAI client gets embeddings of ${name}`, { timeout: 120_000 }, () => {
    const ask = { model: 'text-embedding-005', input: ['a', 'é'] };

    async function clientOf(): Promise<OpenAI> {
      const id = `embeddings-${++routes}`;
      const aiProxy = { ...conf(), override: { endpoint: stage.provider.url } };
      await stage.gateway.putRoute(id, { uri: `/${id}/*`, plugins: { 'ai-proxy': aiProxy } });
      const baseURL = `${stage.gateway.url}/${id}/v1`;
      return new OpenAI({ baseURL, apiKey: 'of-the-client', maxRetries: 0, logLevel: 'off' });
    }

    test('as base64, which it asks for by itself', async () => {
      const client = await clientOf();
      let asked: unknown;
      stage.provider.answer = (request, response) => {
        asked = JSON.parse(request.body.toString());
        answer(request, response);
      };
      const answered = await client.embeddings.create(ask);
      assert.deepEqual(
        answered.data.map(({ index, embedding }) => [index, embedding]),
        [
          [0, vectors[0]],
          [1, vectors[1]],
        ],
      );
      assert.deepEqual([answered.model, answered.usage], [model, { prompt_tokens: 6, total_tokens: 6 }]);
      assert.match(JSON.stringify(asked), /"a".*"é"/);
      const [request] = stage.provider.requests;
      assert.deepEqual([request?.target, fieldOf(request, 'authorization')], [target, credential]);
      const [line] = await stage.logged(`${client.baseURL}/embeddings`);
      assert.deepEqual(
        [line?.request_type, line?.llm_prompt_tokens, line?.llm_total_tokens, line?.request_llm_model],
        ['ai_chat', '6', '6', 'text-embedding-005'],
      );
    });

    test('as numbers, if it is told to', async () => {
      const client = await clientOf();
      stage.provider.answer = answer;
      const { data } = await client.embeddings.create({ ...ask, encoding_format: 'float', dimensions: 3 });
      assert.deepEqual(
        data.map(({ embedding }) => embedding),
        vectors,
      );
      assert.match(stage.provider.requests[0]?.body.toString() ?? '', /"(?:dimensions|outputDimensionality)":3/);
    });

    test('or a RateLimitError with the text and the code of the provider', async () => {
      const client = await clientOf();
      stage.provider.answer = answerJson(error, 429, { 'retry-after': '3' });
      await assert.rejects(client.embeddings.create(ask), (raised) => {
        assert.ok(raised instanceof RateLimitError);
        assert.deepEqual([raised.message, raised.code], ['429 quota', 'RESOURCE_EXHAUSTED']);
        assert.equal(new Headers(raised.headers).get('retry-after'), '3');
        return true;
      });
    });
  });
}

test('what Vertex AI cannot be asked for is a BadRequestError that names it', { timeout: 120_000 }, async () => {
  const [, { conf }] = sides;
  const aiProxy = { ...conf(), override: { endpoint: stage.provider.url } };
  await stage.gateway.putRoute('refused', { uri: '/refused/*', plugins: { 'ai-proxy': aiProxy } });
  const client = new OpenAI({
    baseURL: `${stage.gateway.url}/refused/v1`,
    apiKey: 'x',
    maxRetries: 0,
    logLevel: 'off',
  });
  await assert.rejects(client.embeddings.create({ model: 'm', input: [] }), (error) => {
    assert.ok(error instanceof BadRequestError);
    assert.match(error.message, /input must not be empty/);
    return true;
  });
  assert.equal(stage.provider.requests.length, 0);
});
