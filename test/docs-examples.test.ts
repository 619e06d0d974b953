import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { adminExamples, runnableBlocks } from '../scripts/page-examples.ts';
import { eventually, startGateway, type TestGateway } from './support/gateway.ts';
import { googlePrivateKey } from './support/google.ts';
import { chatStream, fieldOf, startProvider, type Provider, type RecordedRequest } from './support/mock-provider.ts';
import { providersCertificate } from './support/tls-fixtures.ts';

const run = promisify(execFile);
const docs = new URL('../docs/', import.meta.url);

/** What the pages tell a reader to put into the environment. */
const environment = {
  OPENAI_AUTH: 'Bearer sk-openai',
  DEEPSEEK_AUTH: 'Bearer sk-deepseek',
  AIMLAPI_AUTH: 'Bearer aimlapi',
  OPENROUTER_AUTH: 'Bearer sk-or',
  GEMINI_AUTH: 'Bearer gemini',
  GEMINI_API_KEY: 'gemini-native',
  ANTHROPIC_API_KEY: 'sk-ant',
  ANTHROPIC_AUTH: 'Bearer sk-ant',
  AZURE_OPENAI_API_KEY: 'azure',
  BEDROCK_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
  BEDROCK_KEY: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  LOG_AUTH: 'Basic bG9nOmdlcg==',
  OPENAI_API_KEY: 'sk-openai',
};

/** That of the page about fallback. */
const accessLogFormat =
  '"$request_line" $status $upstream_instance $upstream_status $upstream_response_time $llm_model $weir_error';
const vertexLocation = 'projects/my-project/locations/us-central1';
const openaiChat = 'https://api.openai.com/v1/chat/completions sk-openai';

/** What each page's examples reach, in order: the URL, and a piece of the credential. */
const reached: Readonly<Record<string, readonly string[]>> = {
  'admin-api.md': [],
  'providers/openai.md': [
    openaiChat,
    openaiChat,
    'https://api.openai.com/v1/responses sk-openai',
    'https://api.openai.com/v1/embeddings sk-openai',
    openaiChat,
    'https://api.openai.com/v1/images/generations sk-openai',
  ],
  'providers/deepseek.md': Array<string>(2).fill('https://api.deepseek.com/chat/completions sk-deepseek'),
  'providers/aimlapi.md': Array<string>(2).fill('https://api.aimlapi.com/v1/chat/completions aimlapi'),
  'providers/openrouter.md': Array<string>(2).fill('https://openrouter.ai/api/v1/chat/completions sk-or'),
  'providers/gemini.md': [
    'https://generativelanguage.googleapis.com/v1beta/openai/chat/completions gemini',
    'https://generativelanguage.googleapis.com/v1beta/openai/chat/completions gemini',
    'https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent gemini-native',
  ],
  'providers/anthropic.md': [
    'https://api.anthropic.com/v1/messages sk-ant',
    'https://api.anthropic.com/v1/chat/completions sk-ant',
    'https://api.anthropic.com/v1/chat/completions sk-ant',
  ],
  'providers/openai-compatible.md': [
    'http://127.0.0.1:8000/v1/chat/completions ',
    'http://127.0.0.1:8000/v1/responses ',
    'http://127.0.0.1:8000/v1/embeddings ',
    'http://127.0.0.1:8000/v1/chat/completions ',
  ],
  'providers/azure-openai.md': [
    'https://name.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21 azure',
    'https://name.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21 azure',
    'https://name.openai.azure.com/openai/v1/chat/completions azure',
  ],
  'providers/vertex-ai.md': [
    `https://us-central1-aiplatform.googleapis.com/v1beta1/${vertexLocation}/endpoints/openapi/chat/completions ya29`,
    `https://us-central1-aiplatform.googleapis.com/v1beta1/${vertexLocation}/endpoints/openapi/chat/completions ya29`,
    `https://us-central1-aiplatform.googleapis.com/v1/${vertexLocation}/publishers/google/models/text-embedding-005:predict ya29`,
  ],
  'providers/bedrock.md': Array<string>(2).fill(
    'https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-lite-v1%3A0/converse AKIAIOSFODNN7EXAMPLE',
  ),
  // What is probed is not among them: nobody knows how often by now.
  'health.md': [],
  'fallback.md': ['http://127.0.0.1:8000/v1/chat/completions '],
  'limits.md': [openaiChat, openaiChat],
  'balancing.md': [...Array<string>(2).fill('https://api.openai.com/v1/embeddings sk-openai'), openaiChat],
  'upstreams.md': ['http://127.0.0.1:8000/shop/orders?limit=5 '],
  'plugins/ai-proxy.md': [openaiChat, openaiChat],
  'plugins/ai-proxy-multi.md': [openaiChat, openaiChat],
  'plugins/ai-rate-limiting.md': [
    openaiChat,
    openaiChat,
    'https://api.deepseek.com/chat/completions sk-deepseek',
    openaiChat,
  ],
  'plugins/ai-prompt-template.md': [openaiChat],
  'plugins/ai-prompt-decorator.md': [openaiChat],
  'plugins/ai-prompt-guard.md': [openaiChat],
  'plugins/ai-request-rewrite.md': [openaiChat, openaiChat],
  'plugins/file-logger.md': [openaiChat],
  'plugins/limit-count.md': [openaiChat],
  'plugins/limit-req.md': [openaiChat],
  'plugins/http-logger.md': [openaiChat],
  'plugins/key-auth.md': [openaiChat],
  'plugins/basic-auth.md': [openaiChat],
  'plugins/jwt-auth.md': [openaiChat],
  'plugins/multi-auth.md': [openaiChat],
  'plugins/consumer-restriction.md': [openaiChat],
  'consumers.md': [openaiChat],
  'plugins/request-id.md': [openaiChat],
  'plugins/ip-restriction.md': [openaiChat],
  'plugins/redirect.md': [openaiChat],
  'plugins/proxy-rewrite.md': [openaiChat],
  'plugins/response-rewrite.md': [openaiChat],
  'plugins/cors.md': [openaiChat],
  'plugins/prometheus.md': [openaiChat],
  'metrics.md': [],
};

const hosts = [
  'api.openai.com',
  'api.deepseek.com',
  'api.aimlapi.com',
  'api.anthropic.com',
  'openrouter.ai',
  'generativelanguage.googleapis.com',
  'us-central1-aiplatform.googleapis.com',
  'bedrock-runtime.us-east-1.amazonaws.com',
  'name.openai.azure.com',
];

/** Stands in for every hosted provider. */
let hosted: Provider;
/** Stands in for a server of one's own, Google's tokens and a log server. */
let local: Provider;
let gateway: TestGateway;

before(async () => {
  hosted = await startProvider(answer, { tls: providersCertificate });
  local = await startProvider(answer);
  const serviceAccount = {
    type: 'service_account',
    client_email: 'weir@my-project.iam.gserviceaccount.com',
    private_key: googlePrivateKey,
    token_uri: `${local.url}/token`,
  };
  gateway = await startGateway({
    connectTo: {
      ...Object.fromEntries(hosts.map((host) => [`${host}:443`, `127.0.0.1:${hosted.port}`])),
      '127.0.0.1:8000': `127.0.0.1:${local.port}`,
    },
    config: { nginx_config: { http: { access_log_format: accessLogFormat } } },
    env: { ...environment, GCP_SERVICE_ACCOUNT: JSON.stringify(serviceAccount) },
  });
});

after(async () => {
  await gateway[Symbol.asyncDispose]();
  await hosted[Symbol.asyncDispose]();
  await local[Symbol.asyncDispose]();
});

/** Answers in the form of whatever API is called. */
function answer({ target, body }: RecordedRequest, response: Parameters<Provider['answer']>[1]): void {
  const json = (value: unknown): void => {
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
  };
  const path = target.split('?')[0] ?? '';
  if (path === '/token') return json({ access_token: 'ya29.token', expires_in: 3600, token_type: 'Bearer' });
  if (path.endsWith('/responses')) return json({ object: 'response', status: 'completed', output: [] });
  if (path.endsWith('/embeddings')) return json({ object: 'list', data: embeddingsOf(body) });
  if (path.endsWith('/messages')) return json({ type: 'message', role: 'assistant', content: [], model: 'claude' });
  if (path.endsWith(':predict')) return json({ predictions: [{ embeddings: { values: [0.5] } }] });
  if (path.endsWith('/converse')) return json({ output: { message: { role: 'assistant', content: [] } } });
  if (!path.endsWith('/chat/completions')) return json({});

  const { stream, messages = [] } = JSON.parse(body.toString()) as { stream?: boolean; messages?: unknown[] };
  if (stream === true) return void response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end(chatStream);
  // Says again what was said last, so that what ai-request-rewrite makes of a body is that body.
  const message = { role: 'assistant', content: (messages.at(-1) as { content?: unknown } | undefined)?.content };
  const usage = { prompt_tokens: 8, completion_tokens: 5, total_tokens: 13 };
  json({ object: 'chat.completion', choices: [{ index: 0, finish_reason: 'stop', message }], usage });
}

/** Texts that ask why are alike, and all others are. */
function embeddingsOf(body: Buffer): object[] {
  const { input } = JSON.parse(body.toString()) as { input: string | string[] };
  return [input].flat().map((text, index) => ({ index, embedding: text.startsWith('Why') ? [1, 0.5] : [-0.5, 1] }));
}

/** Runs a command as a reader would; only the ports are other ones. Any status from 400 on is a failure. */
async function shell(script: string): Promise<string> {
  const onOurPorts = script
    .replaceAll('http://127.0.0.1:9180', gateway.adminUrl)
    .replaceAll('http://127.0.0.1:9080', gateway.url)
    .replaceAll('http://127.0.0.1:9090', gateway.controlUrl)
    .replaceAll('http://127.0.0.1:9600', local.url);
  const strictCurl = 'curl() { command curl --silent --show-error --fail-with-body "$@"; }\n';
  const { stdout } = await run('bash', ['-ec', strictCurl + onOurPorts], {
    cwd: gateway.prefix,
    env: { ...process.env, ...environment, admin_key: gateway.adminKey },
  }).catch((error: unknown) => {
    const said = error as { stdout?: string; stderr?: string };
    assert.fail(`${script}\n${said.stdout ?? ''}${said.stderr ?? ''}`);
  });
  return stdout;
}

function describeRequest(request: RecordedRequest, origin: string): string {
  const credentials = ['authorization', 'x-api-key', 'api-key', 'x-goog-api-key'].map((name) => fieldOf(request, name));
  const credential = credentials.find((value) => value !== undefined) ?? '';
  const shown = /^(?:Bearer |AWS4-HMAC-SHA256 Credential=)?(\w[\w-]*)?/.exec(credential)?.[1] ?? '';
  return `${origin}${request.target} ${shown}`;
}

/** What either stand-in was asked, as a URL and a piece of the credential. */
function callsOfPage(): string[] {
  return [
    ...hosted.requests.map((request) => describeRequest(request, `https://${request.servername}`)),
    ...local.requests
      .filter(({ target }) => !['/token', '/logs', '/health'].includes(target))
      .map((request) => describeRequest(request, 'http://127.0.0.1:8000')),
  ];
}

const pages = [
  'admin-api.md',
  'balancing.md',
  'consumers.md',
  'fallback.md',
  'health.md',
  'limits.md',
  'metrics.md',
  'upstreams.md',
  ...['plugins', 'providers'].flatMap((folder) =>
    readdirSync(new URL(folder, docs))
      .map((name) => `${folder}/${name}`)
      .filter((path) => !path.endsWith('README.md')),
  ),
];

describe('the examples of', { timeout: 120_000 }, () => {
  for (const path of pages) {
    test(`docs/${path} work`, async () => {
      const page = readFileSync(new URL(path, docs), 'utf8');
      hosted.requests.length = 0;
      local.requests.length = 0;
      try {
        for (const script of runnableBlocks(page)) {
          const printed = await shell(script);
          if (script.startsWith('curl -N')) assert.match(printed, /\[DONE\]/, script);
          else assert.equal(typeof JSON.parse(printed.split('\r\n\r\n').at(-1) ?? ''), 'object', script);
        }
        assert.deepEqual(callsOfPage(), reached[path]);
        await afterwards[path]?.();
      } finally {
        for (const { path: id } of adminExamples(page)) await gateway.admin('DELETE', `/${id}`);
      }
    });
  }
});

/** What else the text of a page promises. */
const afterwards: Readonly<Record<string, () => void | Promise<void>>> = {
  'balancing.md'() {
    const served = hosted.requests.find(({ target }) => target.endsWith('/chat/completions'));
    assert.equal((JSON.parse(served?.body.toString() ?? '') as { model: string }).model, 'gpt-4o');
  },

  async 'health.md'() {
    const probed = (): boolean => local.requests.some(({ target }) => target === '/health');
    await eventually(probed);
    const response = await fetch(`${gateway.controlUrl}/v1/healthcheck/routes/checked`);
    const { nodes } = (await response.json()) as { nodes: { instance: string; status: string }[] };
    assert.deepEqual(
      nodes.map(({ instance, status }) => [instance, status]),
      [['own-server', 'healthy']],
    );
  },

  async 'fallback.md'() {
    const page = readFileSync(new URL('fallback.md', docs), 'utf8');
    const [, format = '""'] = /access_log_format: (".*")$/m.exec(page) ?? [];
    assert.equal(JSON.parse(format), accessLogFormat);
    try {
      local.answer = (_request, response) => void response.writeHead(503).end();
      assert.deepEqual([(await chat()).status, hosted.requests.length], [200, 1]);
      local.answer = (_request, response) => void response.destroy();
      hosted.answer = (_request, response) => void response.writeHead(429, { 'Retry-After': '7' }).end();
      const failed = await chat();
      assert.deepEqual([failed.status, failed.headers.get('retry-after')], [429, '7']);
    } finally {
      local.answer = answer;
      hosted.answer = answer;
    }
    const withoutTimes = (line: string): string => line.replaceAll(/ \d\.\d{3}, \d\.\d{3}/g, '');
    const shown = Array.from(page.matchAll(/^"POST .*$/gm), ([line]) => withoutTimes(line));
    assert.equal(shown.length, 2);
    await gateway.accessLog('-, 429');
    assert.deepEqual((await gateway.accessLog('own-server, deepseek')).map(withoutTimes), shown);
  },

  async 'limits.md'() {
    const fields = ['x-ai-team-ratelimit-remaining', 'x-ratelimit-remaining'];
    const [second, third] = [await chat({ 'X-Team': 'blue' }), await chat({ 'X-Team': 'blue' })];
    assert.deepEqual(
      [second.status, ...fields.map((name) => second.headers.get(name))],
      [200, String(100000 - 13), '0'],
    );
    assert.deepEqual([third.status, await third.json()], [429, { error_msg: 'two requests a minute' }]);
  },

  async 'plugins/ai-proxy.md'() {
    const [, limited] = hosted.requests.map(({ body }) => JSON.parse(body.toString()) as Record<string, unknown>);
    assert.equal(limited?.['max_completion_tokens'], 1000);
    const [record = {}] = await gateway.llmLog('"route_id":"logged"');
    assert.deepEqual(record['llm_response_text'], { content: 'one zwei \u00e4\u20ac' });
  },

  'plugins/proxy-rewrite.md'() {
    const [request] = hosted.requests;
    const names = ['x-tenant', 'x-client', 'x-team'];
    assert.deepEqual(
      names.map((name) => fieldOf(request, name)),
      ['blue', '127.0.0.1', undefined],
    );
  },

  async 'plugins/prometheus.md'() {
    const page = readFileSync(new URL('plugins/prometheus.md', docs), 'utf8');
    const [, shown = ''] = /^(apisix_llm_prompt_tokens\{.*)$/m.exec(page) ?? [];
    assert.ok((await gateway.metrics()).split('\n').includes(shown), shown);
  },

  'plugins/ai-prompt-template.md': () => assertShown('plugins/ai-prompt-template.md'),
  'plugins/ai-prompt-decorator.md': () => assertShown('plugins/ai-prompt-decorator.md'),

  async 'plugins/ai-prompt-guard.md'() {
    const answer = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ messages: [{ role: 'user', content: 'my Password is' }] }),
    });
    assert.deepEqual(
      [answer.status, await answer.text()],
      [400, '{"message":"Request contains prohibited content"}\n'],
    );
  },

  'plugins/ai-request-rewrite.md'() {
    const [rewriting, answering] = hosted.requests.map(({ body }) => JSON.parse(body.toString()) as { model: string });
    assert.deepEqual([rewriting?.model, answering?.model], ['gpt-4o-mini', 'gpt-4o']);
  },

  async 'plugins/limit-count.md'() {
    const answers = await chatTwice();
    assert.deepEqual(
      answers.map(({ status, headers }) => [status, headers.get('x-ratelimit-remaining')]),
      [
        [200, '8'],
        [200, '7'],
      ],
    );
  },

  async 'plugins/limit-req.md'() {
    const start = performance.now();
    assert.deepEqual(
      (await chatTwice()).map(({ status }) => status),
      [200, 200],
    );
    assert.ok(performance.now() - start > 150, 'the second one is 200 ms after the first');
  },

  async 'plugins/file-logger.md'() {
    const entry = (): string => gateway.readLog('chat.jsonl');
    await eventually(() => entry().endsWith('\n'));
    const { time, llm_summary, ...rest } = JSON.parse(entry()) as Record<string, unknown>;
    assert.equal(typeof time, 'string');
    assert.deepEqual(rest, { client: '127.0.0.1', status: 200, tokens: 13, service: 'chat', route_id: 'file-logger' });
    assert.equal((llm_summary as { model: string }).model, 'gpt-4o');
  },

  async 'plugins/http-logger.md'() {
    const posts = (): RecordedRequest[] => local.requests.filter(({ target }) => target === '/logs');
    await eventually(() => posts().length > 0);
    const entries = JSON.parse(posts()[0]?.body.toString() ?? '') as Record<string, unknown>[];
    assert.equal(entries.length, 1);
    assert.deepEqual(entries[0]?.['llm_request'], {
      messages: [{ role: 'user', content: 'What is a weir?' }],
      stream: false,
    });
    assert.equal(fieldOf(posts()[0], 'authorization'), environment.LOG_AUTH);
  },
};

/** The JSON behind "The provider gets" is what it got. */
function assertShown(path: string): void {
  const page = readFileSync(new URL(path, docs), 'utf8');
  const [, shown] = /^The provider gets\n\n```json\n([^]*?)\n```$/m.exec(page) ?? [];
  assert.equal(hosted.requests[0]?.body.toString(), shown);
}

/** A request as the pages show it. */
function chat(headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'What is a weir?' }] }),
  });
}

/** Two of one client, one after the other. */
async function chatTwice(): Promise<Response[]> {
  const headers = { 'X-API-Key': 'alice' };
  return [await chat(headers), await chat(headers)];
}
