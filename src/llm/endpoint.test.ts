import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WeirError } from '../base/errors.ts';
import { compileEndpoint, parseEndpoint, upstreamTarget } from './endpoint.ts';
import { anthropicMessages } from './protocols/anthropic-messages.ts';
import { bedrockConverse } from './protocols/bedrock-converse.ts';
import { openaiChat } from './protocols/openai-chat.ts';
import { openaiEmbeddings } from './protocols/openai-embeddings.ts';
import { openaiResponses } from './protocols/openai-responses.ts';
import { passthrough } from './protocols/passthrough.ts';
import type { Protocol } from './protocols/protocol.ts';
import { vertexPredict } from './protocols/vertex-predict.ts';
import type { ProviderConf } from './providers/define-provider.ts';
import { findProvider, type ProviderName } from './providers/index.ts';

interface Row {
  name: string;
  provider?: ProviderName;
  conf?: ProviderConf;
  endpoint?: string;
  authQuery?: Record<string, string>;
  protocol?: Protocol;
  client?: string;
  /** The model in effect. */
  model?: string;
  stream?: boolean;
  /** Or the code of the error; null: no such protocol. */
  url: string | null;
}

const aws = { provider: 'bedrock', protocol: bedrockConverse, conf: { region: 'eu-west-1' } } as const;
const awsOrigin = 'https://bedrock-runtime.eu-west-1.amazonaws.com';
const profile = 'arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc';
const escapedProfile = 'arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Aapplication-inference-profile%2Fabc';
const vertex = { provider: 'vertex-ai', conf: { project_id: 'p-1', region: 'europe-west4' } } as const;
const vertexOrigin = 'https://europe-west4-aiplatform.googleapis.com';

const rows: Row[] = [
  { name: 'openai chat goes to its public API', url: 'https://api.openai.com/v1/chat/completions' },
  {
    name: 'openai embeddings go to their own path',
    protocol: openaiEmbeddings,
    url: 'https://api.openai.com/v1/embeddings',
  },
  { name: 'deepseek has no /v1', provider: 'deepseek', url: 'https://api.deepseek.com/chat/completions' },
  { name: 'aimlapi has /v1', provider: 'aimlapi', url: 'https://api.aimlapi.com/v1/chat/completions' },
  {
    name: 'openai responses go to their own path',
    protocol: openaiResponses,
    url: 'https://api.openai.com/v1/responses',
  },
  {
    name: 'anthropic chat goes to its API in the style of OpenAI',
    provider: 'anthropic',
    url: 'https://api.anthropic.com/v1/chat/completions',
  },
  {
    name: 'anthropic messages go to its own API',
    provider: 'anthropic',
    protocol: anthropicMessages,
    url: 'https://api.anthropic.com/v1/messages',
  },
  { name: 'openrouter has /api', provider: 'openrouter', url: 'https://openrouter.ai/api/v1/chat/completions' },
  {
    name: 'gemini has its path for clients of OpenAI',
    provider: 'gemini',
    url: 'https://generativelanguage.googleapis.com/v1beta/openai/chat/completions',
  },
  {
    name: 'azure-openai has a path of last resort',
    provider: 'azure-openai',
    endpoint: 'https://n.openai.azure.com',
    url: 'https://n.openai.azure.com/completions',
  },
  {
    name: 'vertex-ai chat is found by project and region',
    ...vertex,
    url: `${vertexOrigin}/v1beta1/projects/p-1/locations/europe-west4/endpoints/openapi/chat/completions`,
  },
  {
    name: 'vertex-ai predict names the model in the path, and keeps auth.query',
    ...vertex,
    protocol: vertexPredict,
    model: 'text-embedding-005',
    authQuery: { key: 'k' },
    url: `${vertexOrigin}/v1/projects/p-1/locations/europe-west4/publishers/google/models/text-embedding-005:predict?key=k`,
  },
  {
    name: 'a model cannot leave its segment of the path',
    ...vertex,
    protocol: vertexPredict,
    model: '../../x?y#z \r\n\ud800',
    url: `${vertexOrigin}/v1/projects/p-1/locations/europe-west4/publishers/google/models/..%2F..%2Fx%3Fy%23z%20%0D%0A%EF%BF%BD:predict`,
  },
  {
    name: 'the region global of vertex-ai has the host without region',
    provider: 'vertex-ai',
    conf: { project_id: 'example.com:p', region: 'global' },
    url: 'https://aiplatform.googleapis.com/v1beta1/projects/example.com%3Ap/locations/global/endpoints/openapi/chat/completions',
  },
  {
    name: 'vertex-ai predict without a model has no path',
    ...vertex,
    protocol: vertexPredict,
    url: 'LLM_UPSTREAM_PATH',
  },
  {
    name: 'vertex-ai with an endpoint that has a path needs nothing else',
    provider: 'vertex-ai',
    endpoint: 'http://h/predict',
    protocol: vertexPredict,
    url: 'http://h/predict',
  },
  {
    name: 'vertex-ai with an endpoint without path needs project and region',
    provider: 'vertex-ai',
    endpoint: 'http://h',
    conf: { region: 'europe-west4' },
    url: 'LLM_UPSTREAM_PATH',
  },
  {
    name: 'vertex-ai keeps its path below an endpoint without path',
    ...vertex,
    endpoint: 'http://h:1',
    url: 'http://h:1/v1beta1/projects/p-1/locations/europe-west4/endpoints/openapi/chat/completions',
  },
  {
    name: 'bedrock has one operation for whole answers',
    ...aws,
    model: 'anthropic.claude-3-5-sonnet-20240620-v1:0',
    url: `${awsOrigin}/model/anthropic.claude-3-5-sonnet-20240620-v1%3A0/converse`,
  },
  {
    name: 'bedrock has another one for streams',
    ...aws,
    model: 'amazon.nova-lite-v1:0',
    stream: true,
    url: `${awsOrigin}/model/amazon.nova-lite-v1%3A0/converse-stream`,
  },
  {
    name: 'an inference profile is one segment of the path',
    ...aws,
    model: profile,
    url: `${awsOrigin}/model/${escapedProfile}/converse`,
  },
  {
    name: 'everything that is not unreserved is escaped for AWS',
    ...aws,
    model: "a!'()*~_.-%2F",
    url: `${awsOrigin}/model/a%21%27%28%29%2A~_.-%252F/converse`,
  },
  { name: 'V36 bedrock without model has no path', ...aws, url: 'LLM_UPSTREAM_PATH' },
  { name: 'a model that would be a step up the path is none', ...aws, model: '..', url: 'LLM_UPSTREAM_PATH' },
  { name: 'V36 bedrock has no chat of OpenAI', ...aws, protocol: openaiChat, model: 'm', url: null },
  {
    name: 'bedrock keeps its path below an endpoint without path',
    ...aws,
    endpoint: 'http://127.0.0.1:1',
    model: 'm:0',
    stream: true,
    url: 'http://127.0.0.1:1/model/m%3A0/converse-stream',
  },
  ...[profile, escapedProfile, encodeURIComponent(profile).toLowerCase()].map((model): Row => ({
    name: `bedrock with ${model} in the path of the endpoint calls one and the same`,
    ...aws,
    endpoint: `https://gw/pre%3Afix/a:b/model/${model}/converse?x=%3A`,
    url: `https://gw/pre%3Afix/a%3Ab/model/${escapedProfile}/converse?x=%3A`,
  })),
  {
    name: 'an endpoint of bedrock with a broken escape is escaped whole',
    ...aws,
    endpoint: 'https://gw/a%zz/',
    url: 'https://gw/a%25zz/',
  },
  {
    name: 'a passthrough path to bedrock gets the spelling that is signed',
    ...aws,
    protocol: passthrough,
    client: '/model/amazon.titan-embed-text-v2:0/invoke?a=:',
    url: `${awsOrigin}/model/amazon.titan-embed-text-v2%3A0/invoke?a=:`,
  },
  { name: 'deepseek has no embeddings', provider: 'deepseek', protocol: openaiEmbeddings, url: null },
  {
    name: 'an endpoint path does not give a provider a protocol that it lacks',
    provider: 'deepseek',
    endpoint: 'http://h/v1/embeddings',
    protocol: openaiEmbeddings,
    url: null,
  },
  {
    name: 'an endpoint without path gets the path of the protocol',
    provider: 'openai-compatible',
    endpoint: 'http://10.0.0.5:8000',
    url: 'http://10.0.0.5:8000/v1/chat/completions',
  },
  {
    name: 'so do embeddings',
    provider: 'openai-compatible',
    endpoint: 'http://10.0.0.5:8000',
    protocol: openaiEmbeddings,
    url: 'http://10.0.0.5:8000/v1/embeddings',
  },
  {
    name: 'so do responses',
    provider: 'openai-compatible',
    endpoint: 'http://10.0.0.5:8000',
    protocol: openaiResponses,
    url: 'http://10.0.0.5:8000/v1/responses',
  },
  { name: 'a lone slash counts as a path', endpoint: 'http://h:1/', url: 'http://h:1/' },
  { name: 'a path wins over that of the protocol', endpoint: 'https://h/x/y', url: 'https://h/x/y' },
  {
    name: 'a query without path is kept',
    endpoint: 'http://h?v=1',
    url: 'http://h/v1/chat/completions?v=1',
  },
  {
    name: 'the query of the client is not forwarded',
    client: '/llm?debug=1',
    url: 'https://api.openai.com/v1/chat/completions',
  },
  {
    name: 'azure through openai-compatible keeps its query',
    provider: 'openai-compatible',
    endpoint: 'https://n.openai.azure.com/openai/deployments/gpt-4/chat/completions?api-version=2024-02-15-preview',
    url: 'https://n.openai.azure.com/openai/deployments/gpt-4/chat/completions?api-version=2024-02-15-preview',
  },
  {
    name: 'auth.query joins the query of the endpoint',
    endpoint: 'https://gw/x?api-version=1',
    authQuery: { k: 'v' },
    url: 'https://gw/x?api-version=1&k=v',
  },
  {
    name: 'V32 auth.query is added',
    endpoint: 'http://u/p?x=1',
    authQuery: { api_key: 'k' },
    url: 'http://u/p?x=1&api_key=k',
  },
  {
    name: 'V32 a passthrough client overrides the endpoint, not auth.query',
    endpoint: 'http://u/p?x=1',
    authQuery: { api_key: 'k' },
    protocol: passthrough,
    client: '/p?api_key=evil&x=2',
    url: 'http://u/p?api_key=k&x=2',
  },
  {
    name: 'an encoded name does not slip past auth.query',
    endpoint: 'http://u/p',
    authQuery: { 'api key': 'k' },
    protocol: passthrough,
    client: '/p?api%20ke%79=evil&api+key=evil&b=%2F',
    url: 'http://u/p?api%20key=k&b=%2F',
  },
  {
    name: 'a name in auth.query stays locked when the endpoint sets it',
    endpoint: 'http://u/p?k=endpoint',
    authQuery: { k: 'auth' },
    protocol: passthrough,
    client: '/p?k=evil',
    url: 'http://u/p?k=endpoint',
  },
  {
    name: 'the endpoint wins over auth.query',
    endpoint: 'http://u/p?k=endpoint',
    authQuery: { k: 'auth' },
    url: 'http://u/p?k=endpoint',
  },
  {
    name: 'auth.query is encoded, the encoding of the endpoint is kept',
    endpoint: 'http://u/a%2Fb?q=%7Ex+y',
    authQuery: { 'a&b': 'c=d é' },
    url: 'http://u/a%2Fb?q=%7Ex+y&a%26b=c%3Dd%20%C3%A9',
  },
  {
    name: 'V34 passthrough keeps path and query of the client where the endpoint has no path',
    endpoint: 'http://u',
    protocol: passthrough,
    client: '/v1/images/generations?a=1&a=2',
    url: 'http://u/v1/images/generations?a=1&a=2',
  },
  {
    name: 'V34 passthrough takes the path of the endpoint',
    endpoint: 'http://u/fixed',
    protocol: passthrough,
    client: '/v1/images/generations',
    url: 'http://u/fixed',
  },
  {
    name: 'passthrough without endpoint goes to the public API',
    protocol: passthrough,
    client: '/v1/images/generations',
    url: 'https://api.openai.com/v1/images/generations',
  },
  {
    name: 'passthrough gets auth.query without a query of the client',
    authQuery: { key: 'k' },
    protocol: passthrough,
    client: '/v1/rerank',
    url: 'https://api.openai.com/v1/rerank?key=k',
  },
  {
    name: 'a malformed escape in a query is forwarded as it is',
    authQuery: { key: 'k' },
    protocol: passthrough,
    client: '/p?100%=1&&flag',
    url: 'https://api.openai.com/p?key=k&100%=1&flag',
  },
];

describe('where a request goes', () => {
  for (const row of rows) {
    it(row.name, () => {
      const provider = findProvider(row.provider ?? 'openai');
      assert.ok(provider !== undefined);
      const { conf: providerConf, endpoint: text, authQuery, protocol = openaiChat, client = '/anything' } = row;
      const endpoint = compileEndpoint({ provider, providerConf, endpoint: text, authQuery });
      const call = { model: row.model ?? '', stream: row.stream ?? false };
      const target = upstreamTarget(endpoint, protocol, client, call);
      if (target instanceof WeirError) assert.equal(target.code, row.url);
      else assert.equal(target === null ? null : `${endpoint.scheme}://${endpoint.hostHeader}${target}`, row.url);
    });
  }

  for (const name of ['openai-compatible', 'bedrock', 'vertex-ai']) {
    it(`${name} without endpoint and provider_conf has no address`, () => {
      const provider = findProvider(name);
      assert.ok(provider !== undefined);
      assert.throws(() => compileEndpoint({ provider }), new RegExp(`${name} needs an endpoint`));
    });
  }
});

describe('an endpoint URL', () => {
  const valid = [
    { text: 'http://h', host: 'h', port: 80, hostHeader: 'h', path: null },
    { text: 'https://H.Example/', host: 'h.example', port: 443, hostHeader: 'h.example', path: '/' },
    { text: 'HTTP://h:443/', host: 'h', port: 443, hostHeader: 'h:443', path: '/' },
    { text: 'https://h:443/a#part', host: 'h', port: 443, hostHeader: 'h', path: '/a' },
    { text: 'http://[::1]:8080/a', host: '::1', port: 8080, hostHeader: '[::1]:8080', path: '/a' },
    { text: 'https://[2001:DB8::1]', host: '2001:db8::1', port: 443, hostHeader: '[2001:db8::1]', path: null },
    {
      text: 'https://bücher.example',
      host: 'xn--bcher-kva.example',
      port: 443,
      hostHeader: 'xn--bcher-kva.example',
      path: null,
    },
  ];
  for (const { text, ...expected } of valid) {
    it(`${text} is understood`, () => {
      const parsed = parseEndpoint(text);
      assert.ok(typeof parsed !== 'string');
      const { host, port, hostHeader, path } = parsed;
      assert.deepEqual({ host, port, hostHeader, path }, expected);
    });
  }

  const invalid = [
    '',
    'api.openai.com',
    'ftp://h/',
    'http://',
    'http:///p',
    'https://h:99999/',
    'http://h:0',
    'http://h/a b',
    'http://h\\p',
    'http://[::1',
    '//h/p',
    'http:h/p',
    ' http://h',
  ];
  for (const text of invalid) {
    it(`${JSON.stringify(text)} is refused`, () => {
      const error = parseEndpoint(text);
      assert.ok(typeof error === 'string');
      assert.match(error, /^invalid endpoint: /);
    });
  }

  it('with a password is refused without repeating it', () => {
    const error = parseEndpoint('https://user:hunter2@h/');
    assert.ok(typeof error === 'string');
    assert.match(error, /^invalid endpoint: credentials/);
    assert.doesNotMatch(error, /hunter2/);
  });
});
