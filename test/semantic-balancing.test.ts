import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { eventually } from './support/gateway.ts';
import { call, startCall, type CallResult } from './support/http-call.ts';
import {
  answerJson,
  chatAnswer,
  fieldOf,
  startProvider,
  startRawProvider,
  type Answer,
  type Provider,
  type RecordedRequest,
} from './support/mock-provider.ts';

let stage: AiStage;
/** The instances: answers with the model that it was asked for. */
let chat: Provider;
let embeddings: Provider;
/** Models of instances that fail. */
const failing = new Set<string>();

before(async () => {
  stage = await startStage();
  chat = await startProvider((request, response) => {
    const { model } = JSON.parse(request.body.toString()) as { model: string };
    answerJson({ ...chatAnswer, model }, failing.has(model) ? 500 : 200)(request, response);
  });
  embeddings = await startProvider(answerEmbeddings);
});

after(() => Promise.all([stage, chat, embeddings].map((part) => part[Symbol.asyncDispose]())));

beforeEach(() => {
  failing.clear();
  embeddings.answer = answerEmbeddings;
  embeddings.requests.length = 0;
});

/** What texts are about: how often they name each of these. */
const topics = ['code', 'poem', 'sum'];

function embed(text: string): number[] {
  return [...topics.map((topic) => text.split(topic).length - 1), 0.1];
}

function inputOf(request: RecordedRequest): string[] {
  return (JSON.parse(request.body.toString()) as { input: string[] }).input;
}

const answerEmbeddings: Answer = (request, response) => {
  const data = inputOf(request).map((text, index) => ({ object: 'embedding', index, embedding: embed(text) }));
  // In the opposite order: the indexes count.
  answerJson({ object: 'list', data: data.reverse(), model: 'e' })(request, response);
};

const isBatch = (request: RecordedRequest): boolean => inputOf(request).length > 1;

const examples = { coder: ['write code', 'fix this code'], poet: ['a poem'], clerk: ['a sum', 'what is the sum'] };
const allExamples = Object.values(examples).flat();

interface RouteOptions {
  readonly embeddings?: object;
  readonly options?: object;
  readonly conf?: object;
  /** Over each instance of that name. */
  readonly instances?: Readonly<Record<string, object>>;
}

/** A route with three instances, each named as the model that it asks for. */
function route({ embeddings: api, options, conf, instances = {} }: RouteOptions = {}): Promise<string> {
  const all = Object.entries(examples).map(([name, texts]) => ({
    name,
    provider: 'openai-compatible',
    weight: 1,
    auth: {},
    override: { endpoint: chat.url },
    options: { model: name },
    examples: texts,
    ...instances[name],
  }));
  const endpoint = `${embeddings.url}/v1/embeddings`;
  const semantic = { embeddings: { provider: 'openai', model: 'e', auth: {}, endpoint, ...api }, ...options };
  return stage.route(
    {},
    {
      plugins: {
        'ai-proxy-multi': { balancer: { algorithm: 'semantic' }, instances: all, semantic_opts: semantic, ...conf },
      },
    },
  );
}

const asks = (content: unknown): object => ({ messages: [{ role: 'user', content }] });

async function servedBy(url: string, content: unknown): Promise<string> {
  return modelOf(await call(url, { body: asks(content) }));
}

function modelOf({ status, json }: CallResult): string {
  assert.equal(status, 200);
  return (json as { model: string }).model;
}

/** What the log warns about a route, as soon as it does. */
async function warningsOf(url: string): Promise<string[]> {
  const owner = new RegExp(`routes${new URL(url).pathname}\\b`);
  const isAbout = (line: string): boolean => owner.test(line) && line.includes('the fallback instance serves');
  const warnings = (): string[] => stage.gateway.errorLog().split('\n').filter(isAbout);
  await eventually(() => warnings().length > 0);
  return warnings();
}

describe('semantic balancing', { timeout: 120_000 }, () => {
  test('sends each request to the instance with the most similar example', async () => {
    const url = await route();
    assert.equal(await servedBy(url, 'a poem, please'), 'poet');
    assert.equal(await servedBy(url, 'my code has a bug in its code'), 'coder');
    assert.equal(
      await servedBy(url, [
        { type: 'text', text: 'the' },
        { type: 'text', text: 'sum' },
      ]),
      'clerk',
    );
  });

  test('embeds all examples in one call before the first request, and each request in one', async () => {
    const url = await route({ embeddings: { auth: { header: { Authorization: 'Bearer e1' }, query: { k: 'q 1' } } } });
    await eventually(() => embeddings.requests.length === 1);
    await servedBy(url, 'code');
    await servedBy(url, [{ type: 'text', text: 'a' }, { type: 'image_url' }, { type: 'text', text: 'poem' }]);
    assert.deepEqual(
      embeddings.requests.map(({ body }) => JSON.parse(body.toString()) as object),
      [allExamples, ['code'], ['a poem']].map((input) => ({ model: 'e', input })),
    );
    for (const request of embeddings.requests) {
      assert.equal(`${request.method} ${request.target}`, 'POST /v1/embeddings?k=q%201');
      assert.equal(fieldOf(request, 'authorization'), 'Bearer e1');
    }
  });

  test('requests that come before the examples are embedded wait for the same call', async () => {
    let release = (): void => {};
    embeddings.answer = (request, response) => {
      if (isBatch(request)) release = () => answerEmbeddings(request, response);
      else answerEmbeddings(request, response);
    };
    const url = await route();
    const answers = ['poem', 'sum', 'code'].map((text) => servedBy(url, text));
    await eventually(() => embeddings.requests.length === 4);
    release();
    assert.deepEqual(await Promise.all(answers), ['poet', 'clerk', 'coder']);
    assert.equal(embeddings.requests.filter(isBatch).length, 1);
  });

  test('an endpoint without a path is the API of OpenAI at another place', async () => {
    const url = await route({ embeddings: { endpoint: embeddings.url } });
    assert.equal(await servedBy(url, 'poem'), 'poet');
    assert.equal(embeddings.requests[0]?.target, '/v1/embeddings');
  });

  test('azure-openai is called at its full URL, with the model and its own header', async () => {
    const path = '/openai/deployments/e/embeddings?api-version=2024-02-01';
    const auth = { header: { 'api-key': 'a1' } };
    const url = await route({ embeddings: { provider: 'azure-openai', endpoint: embeddings.url + path, auth } });
    assert.equal(await servedBy(url, 'poem'), 'poet');
    const [request] = embeddings.requests;
    assert.deepEqual([request?.target, fieldOf(request, 'api-key')], [path, 'a1']);
    assert.equal((JSON.parse(request?.body.toString() ?? '') as { model: string }).model, 'e');
  });

  test('thresholds keep instances out: their own, or that of all', async () => {
    const strict = await route({ options: { threshold: 0.9, fallback: 'clerk' } });
    assert.equal(await servedBy(strict, 'poem'), 'poet');
    assert.equal(await servedBy(strict, 'poem code'), 'clerk');
    const own = await route({ options: { fallback: 'clerk' }, instances: { poet: { threshold: 1 } } });
    assert.equal(await servedBy(own, 'a poem'), 'poet');
    assert.equal(await servedBy(own, 'poem poem code'), 'coder');
  });

  test('a text is cut at 16,384 bytes, between characters', async () => {
    const url = await route();
    await servedBy(url, `poem ${'\u4f60'.repeat(9000)} code code`);
    const [text] = inputOf(embeddings.requests.at(-1) ?? assert.fail());
    assert.equal(text, `poem ${'\u4f60'.repeat(5459)}`);
  });

  test('a client of Messages is understood as well, and results of tools are not what it asks', async () => {
    const url = await route();
    await stage.gateway.admin('PATCH', `/routes${new URL(url).pathname}`, { uri: `${new URL(url).pathname}/*` });
    const messages = [
      { role: 'user', content: [{ type: 'text', text: 'a poem' }] },
      { role: 'assistant', content: [{ type: 'tool_use', id: 't', name: 'n', input: {} }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't', content: 'code code code' }] },
    ];
    const answer = await call(`${url}/v1/messages`, { body: { model: 'm', max_tokens: 9, messages } });
    assert.equal(modelOf(answer), 'poet');
  });

  test('when the best one fails the next best is asked', async () => {
    const url = await route({ conf: { fallback_strategy: 'http_5xx' }, options: { fallback: 'clerk' } });
    failing.add('poet');
    assert.equal(await servedBy(url, 'poem poem code'), 'coder');
    assert.equal((await stage.logged(url))[0]?.upstream_status, '500, 200');
  });
});

describe('debugging', { timeout: 120_000 }, () => {
  test('answers tell scores and choice', async () => {
    const url = await route({ options: { debugging: true } });
    const { headers } = await call(url, { body: asks('poem') });
    assert.equal(headers['x-ai-semantic-scores'], 'coder:0.0099,poet:1.0000,clerk:0.0099');
    assert.equal(headers['x-ai-semantic-picked-instance'], 'poet');
  });

  test('answers tell that nobody was similar enough', async () => {
    const url = await route({ options: { debugging: true, threshold: 0.9 } });
    const { headers } = await call(url, { body: asks('neither') });
    assert.match(String(headers['x-ai-semantic-scores']), /^coder:0\.\d{4},poet:0\.\d{4},clerk:0\.\d{4}$/);
    assert.equal(headers['x-ai-semantic-picked-instance'], 'fallback');
  });

  test('after a retry the instance that served is told', async () => {
    const url = await route({ options: { debugging: true }, conf: { fallback_strategy: ['http_5xx'] } });
    failing.add('poet');
    const { headers } = await call(url, { body: asks('poem code') });
    assert.equal(headers['x-ai-semantic-picked-instance'], 'coder');
  });

  test('a name that no header field can hold is encoded', async () => {
    const url = await route({ options: { debugging: true }, instances: { poet: { name: 'p\u00f6t:\r\n1,' } } });
    const { headers } = await call(url, { body: asks('poem') });
    assert.equal(headers['x-ai-semantic-picked-instance'], 'p%C3%B6t%3A%0D%0A1%2C');
  });

  test('without it answers tell nothing', async () => {
    const { headers } = await call(await route(), { body: asks('poem') });
    assert.deepEqual(
      Object.keys(headers).filter((name) => name.startsWith('x-ai-')),
      [],
    );
  });
});

describe('whatever is wrong with the embeddings, the fallback serves', { timeout: 120_000 }, () => {
  const data = (...items: object[]): Answer => answerJson({ data: items });
  const faults: readonly (readonly [what: string, answer: Answer])[] = [
    ['status 500', answerJson({ error: 'x' }, 500)],
    ['status 401', answerJson({ error: 'x' }, 401)],
    ['a reset', (_request, response) => void response.destroy()],
    ['text', (_request, response) => void response.end('sorry')],
    ['an empty answer', (_request, response) => void response.end()],
    ['no data', answerJson({})],
    ['too few embeddings', data()],
    ['an embedding that is none', data({ index: 0, embedding: [null] })],
    ['another dimension', data({ index: 0, embedding: [1] })],
    ['silence', () => {}],
  ];

  for (const [what, fault] of faults) {
    const api = what === 'silence' ? { timeout: 700 } : {};

    test(`${what} for a request`, async () => {
      const url = await route({ options: { fallback: 'clerk' }, embeddings: api });
      assert.equal(await servedBy(url, 'poem'), 'poet');
      embeddings.answer = fault;
      assert.deepEqual(await Promise.all([servedBy(url, 'poem'), servedBy(url, 'poem')]), ['clerk', 'clerk']);
      assert.equal((await warningsOf(url)).length, 1);
      embeddings.answer = answerEmbeddings;
      assert.equal(await servedBy(url, 'poem'), 'poet');
    });

    test(`${what} for the examples, which are not asked for again by each request`, async () => {
      embeddings.answer = fault;
      const url = await route({ embeddings: api });
      const served = await Promise.all(Array.from({ length: 8 }, () => servedBy(url, 'poem')));
      assert.deepEqual(new Set(served), new Set(['coder']));
      assert.equal((await warningsOf(url)).length, 1);
      // A kept connection that is reset is tried once more on another one.
      const batches = embeddings.requests.filter(isBatch).length;
      assert.ok(batches === 1 || (what === 'a reset' && batches === 2), `${batches} calls`);
    });
  }

  test('an address where nobody listens', async () => {
    const url = await route({ options: { fallback: 'poet' }, embeddings: { endpoint: 'http://127.0.0.1:1/e' } });
    assert.equal(await servedBy(url, 'code'), 'poet');
  });

  test('a request that says nothing is not embedded', async () => {
    const url = await route({ options: { fallback: 'poet', debugging: true } });
    await eventually(() => embeddings.requests.length === 1);
    const body = { messages: [{ role: 'system', content: 'code' }] };
    const answer = await call(url, { body });
    assert.equal(modelOf(answer), 'poet');
    assert.equal(answer.headers['x-ai-semantic-picked-instance'], 'fallback');
    assert.equal(embeddings.requests.length, 1);
    assert.doesNotMatch(stage.gateway.errorLog(), new RegExp(`routes${new URL(url).pathname}\\b`));
  });

  test('a client that leaves ends the call for its request', async () => {
    await using silent = await startRawProvider(() => {});
    const url = await route({ embeddings: { endpoint: silent.url } });
    await eventually(() => silent.requests.length === 1);
    const leaving = startCall(url, { body: asks('poem') });
    await eventually(() => silent.requests.length === 2);
    leaving.destroy();
    await silent.closed(1);
    const [line] = await stage.logged(url);
    assert.equal(line?.status, '499');
    assert.equal(silent.connections[0]?.closedAt, null);
  });

  test('no credential of the API is in a log', async () => {
    embeddings.answer = answerJson({ error: 'no such key: Bearer canary-h' }, 401);
    const auth = { header: { Authorization: 'Bearer canary-h' }, query: { key: 'canary-q' } };
    const url = await route({ embeddings: { auth } });
    await servedBy(url, 'poem');
    assert.equal((await warningsOf(url)).length, 1);
    assert.doesNotMatch(stage.gateway.errorLog(), /canary/);
  });
});
