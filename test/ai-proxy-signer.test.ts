import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { AwsSigV4 } from '../src/cloud-auth/aws-sigv4.ts';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { eventually } from './support/gateway.ts';
import { answerJson as answerGrant, googlePrivateKey, readAssertion } from './support/google.ts';
import { call, startCall } from './support/http-call.ts';
import {
  answerJson,
  chatAnswer,
  fieldOf,
  startProvider,
  type Provider,
  type RecordedRequest,
} from './support/mock-provider.ts';

const aws = { access_key_id: 'AKID', secret_access_key: 'aws-secret-canary', session_token: 'session' };
const region = 'eu-west-1';
const converse = { messages: [{ role: 'user', content: [{ text: 'Hi' }] }] };
const chat = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };

let stage: AiStage;
let tokens: Provider;
before(async () => {
  tokens = await startProvider(grant);
  stage = await startStage();
});
after(async () => {
  await stage[Symbol.asyncDispose]();
  await tokens[Symbol.asyncDispose]();
});
beforeEach(() => {
  stage.provider.requests.length = 0;
  stage.provider.answer = answerJson(chatAnswer);
  tokens.requests.length = 0;
  tokens.answer = grant;
});

function grant(request: RecordedRequest, response: Parameters<Provider['answer']>[1]): void {
  readAssertion(request);
  answerGrant(response, 200, { access_token: 'google-token-canary', expires_in: 3600 });
}

async function openRoute(conf: object): Promise<string> {
  const url = await stage.route({ override: { endpoint: stage.provider.url }, ...conf });
  const id = url.slice(url.lastIndexOf('/') + 1);
  assert.equal((await stage.gateway.admin('PATCH', `/routes/${id}`, { uri: `/${id}/*` })).status, 200);
  return url;
}

/** Signs what arrived once more, as AWS does, and compares. */
function expectSignature(request: RecordedRequest | undefined): void {
  assert.ok(request !== undefined);
  const time = fieldOf(request, 'x-amz-date') ?? '';
  const at = new Date(time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  assert.ok(Math.abs(Date.now() - at.getTime()) < 10_000, time);
  const signature = new AwsSigV4(
    { accessKeyId: aws.access_key_id, secretAccessKey: aws.secret_access_key, sessionToken: aws.session_token },
    { region, service: 'bedrock' },
  );
  const headers = { host: fieldOf(request, 'host') ?? '' };
  const { method, target, body } = request;
  const expected = signature.sign({ method, target, headers, body }, at);
  for (const [name, value] of Object.entries(expected)) assert.equal(fieldOf(request, name), value);
}

describe('a signature of AWS', { timeout: 120_000 }, () => {
  const bedrock = { provider: 'bedrock', provider_conf: { region }, auth: { aws } };

  for (const { name, conf, path, body } of [
    { name: 'the body as it came', conf: {}, path: '/model/a%3Ab/converse', body: converse },
    {
      name: 'the body as it was shaped',
      conf: { options: { model: 'arn:aws:bedrock:eu-west-1:1:inference-profile/x' } },
      path: '/converse',
      body: { ...converse, stream: true, zeta: 'é', alpha: 1 },
    },
    {
      name: 'the limit that is configured',
      conf: { override: { llm_options: { max_tokens: 7 } } },
      path: '/converse',
      body: { ...converse, model: 'm' },
    },
  ]) {
    test(`covers ${name}`, async () => {
      const { override = {} } = conf as { override?: object };
      const base = await openRoute({ ...bedrock, ...conf, override: { endpoint: stage.provider.url, ...override } });
      // What the client calls its credential is not the provider's, and headers of its own SDK would break ours.
      const headers = {
        authorization: 'AWS4-HMAC-SHA256 of-the-client',
        'x-amz-date': '20000101T000000Z',
        'x-amz-security-token': 'of-the-client',
        'x-amz-content-sha256': 'of-the-client',
      };
      assert.equal((await call(base + path, { body, headers })).status, 200);
      const [request] = stage.provider.requests;
      expectSignature(request);
      assert.ok(!JSON.stringify(request?.fields).includes('of-the-client'));
    });
  }

  test('covers the query of the endpoint', async () => {
    const base = await openRoute({
      ...bedrock,
      override: { endpoint: `${stage.provider.url}/model/a:b/converse?x=1&a=%20` },
    });
    await call(`${base}/converse`, { body: converse });
    const [request] = stage.provider.requests;
    assert.equal(request?.target, '/model/a%3Ab/converse?x=1&a=%20');
    expectSignature(request);
  });

  test('that cannot be made is an error of the gateway, without the credential in it', async () => {
    const base = await openRoute({ ...bedrock, auth: { aws: { ...aws, secret_access_key: 'aws-secret-canary\n' } } });
    const answer = await call(`${base}/model/m/converse`, { body: converse });
    assert.equal(answer.status, 500);
    assert.match(
      answer.text,
      /^\{"error_msg":"failed to get the credential for the provider: auth\.aws\.secret_access_key /,
    );
    assert.equal((await stage.logged(`${base}/model/m/converse`))[0]?.weir_error, 'LLM_AUTH');
    assert.equal(stage.provider.requests.length, 0);
  });
});

describe('a token of Google', { timeout: 120_000 }, () => {
  let accounts = 0;
  /** Each with a token of its own. */
  const vertex = (): object => ({
    provider: 'vertex-ai',
    provider_conf: { project_id: 'p', region: 'us-central1' },
    auth: {
      gcp: {
        service_account_json: JSON.stringify({
          type: 'service_account',
          client_email: `weir${++accounts}@p.iam.gserviceaccount.com`,
          private_key: googlePrivateKey,
          token_uri: `${tokens.url}/token`,
        }),
      },
    },
  });

  test('is fetched once and sent with every call, in place of whatever the client sent', async () => {
    const base = await openRoute(vertex());
    const calls = Array.from({ length: 5 }, () =>
      call(`${base}/x`, {
        body: chat,
        headers: { authorization: 'Bearer of-the-client', 'x-api-key': 'of-the-client' },
      }),
    );
    for (const { status, json } of await Promise.all(calls)) assert.deepEqual([status, json], [200, chatAnswer]);
    assert.equal((await call(`${base}/x`, { body: chat })).status, 200);
    assert.equal(tokens.requests.length, 1);
    assert.equal(stage.provider.requests.length, 6);
    for (const request of stage.provider.requests) {
      assert.equal(fieldOf(request, 'authorization'), 'Bearer google-token-canary');
      assert.ok(!JSON.stringify(request.fields).includes('of-the-client'));
      assert.equal(request.target, '/v1beta1/projects/p/locations/us-central1/endpoints/openapi/chat/completions');
    }
  });

  test('serves embeddings, which are converted', async () => {
    const base = await openRoute(vertex());
    const prediction = (values: number[]): object => ({ embeddings: { values, statistics: { token_count: 3 } } });
    stage.provider.answer = answerJson({ predictions: [prediction([1, 2]), prediction([3])] });
    const answer = await call(`${base}/v1/embeddings`, { body: { model: 'text-embedding-005', input: ['a', 'b'] } });
    const [request] = stage.provider.requests;
    assert.equal(
      request?.target,
      '/v1/projects/p/locations/us-central1/publishers/google/models/text-embedding-005:predict',
    );
    assert.equal(request?.body.toString(), '{"instances":[{"content":"a"},{"content":"b"}]}');
    assert.deepEqual(answer.json, {
      object: 'list',
      data: [
        { object: 'embedding', index: 0, embedding: [1, 2] },
        { object: 'embedding', index: 1, embedding: [3] },
      ],
      model: 'text-embedding-005',
      usage: { prompt_tokens: 6, total_tokens: 6 },
    });
    const [logged] = await stage.logged(`${base}/v1/embeddings`);
    assert.deepEqual([logged?.llm_prompt_tokens, logged?.llm_model], ['6', 'text-embedding-005']);
  });

  test('serves embeddings whose numbers have more digits than JavaScript writes', async () => {
    const base = await openRoute(vertex());
    const text =
      '{"predictions":[{"embeddings":{"values":[0.0058424929156899452,0.50,1E-5],"statistics":{"token_count":3.0}}}]}';
    stage.provider.answer = (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(text);
    };
    const answer = await call(`${base}/v1/embeddings`, { body: { model: 'text-embedding-005', input: 'a' } });
    const { data, usage } = answer.json as { data: { embedding: number[] }[]; usage: object };
    assert.deepEqual(data[0]?.embedding, [0.005842492915689945, 0.5, 0.00001]);
    assert.deepEqual(usage, { prompt_tokens: 3, total_tokens: 3 });
  });

  test('is not needed to see that embeddings name no model', async () => {
    const base = await openRoute(vertex());
    const answer = await call(`${base}/v1/embeddings`, { body: { input: 'a' } });
    assert.equal(answer.status, 400);
    assert.match(answer.text, /could not resolve upstream path/);
    assert.equal(tokens.requests.length, 0);
  });

  for (const [status, message] of [
    [400, { error: { code: 400, message: 'bad instance', status: 'INVALID_ARGUMENT' } }],
    [429, { error: { code: 429, message: 'quota', status: 'RESOURCE_EXHAUSTED' } }],
  ] as const) {
    test(`an error of Vertex with status ${status} is one of OpenAI for embeddings`, async () => {
      const base = await openRoute(vertex());
      stage.provider.answer = answerJson(message, status);
      const answer = await call(`${base}/v1/embeddings`, { body: { model: 'm', input: 'a' } });
      assert.equal(answer.status, status);
      const { error } = answer.json as { error: { message: string; code: string } };
      assert.deepEqual([error.message, error.code], [message.error.message, message.error.status]);
    });
  }

  test('that is refused is an error of the gateway, without the key in it', async () => {
    const base = await openRoute(vertex());
    tokens.answer = (_request, response) => answerGrant(response, 400, { error: 'invalid_grant' });
    const answer = await call(`${base}/x`, { body: chat });
    assert.equal(answer.status, 500);
    assert.match(answer.text, /^\{"error_msg":"failed to get the credential for the provider: .*invalid_grant/);
    assert.ok(!answer.text.includes('PRIVATE KEY'));
    assert.equal((await stage.logged(`${base}/x`))[0]?.weir_error, 'LLM_AUTH');
    assert.equal(stage.provider.requests.length, 0);
  });

  test('that takes long is not waited for by a client that has left: the provider hears nothing', async () => {
    const base = await openRoute(vertex());
    let release = (): void => {};
    tokens.answer = (request, response) => {
      release = () => grant(request, response);
    };
    const request = startCall(`${base}/x`, { body: chat });
    await eventually(() => tokens.requests.length === 1);
    request.destroy();
    await new Promise((resolve) => setTimeout(resolve, 30));
    release();
    const [logged] = await stage.logged(`${base}/x`);
    assert.deepEqual([logged?.status, logged?.weir_error], ['499', 'CLIENT_CLOSED_REQUEST']);
    assert.equal(stage.provider.requests.length, 0);
  });
});

test('no credential that is computed is in any log', { timeout: 120_000 }, async () => {
  for (const name of ['access.log', 'error.log', 'llm.log']) {
    const text = stage.gateway.readLog(name) + stage.gateway.output();
    for (const secret of ['aws-secret-canary', 'google-token-canary', 'PRIVATE KEY']) {
      assert.ok(!text.includes(secret), `${secret} in ${name}`);
    }
  }
});
