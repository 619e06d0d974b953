import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileEndpoint, parseEndpoint, upstreamTarget } from './endpoint.ts';
import { openaiChat } from './protocols/openai-chat.ts';
import { openaiEmbeddings } from './protocols/openai-embeddings.ts';
import { passthrough } from './protocols/passthrough.ts';
import type { Protocol } from './protocols/protocol.ts';
import { findProvider, type ProviderName } from './providers/index.ts';

interface Row {
  name: string;
  provider?: ProviderName;
  endpoint?: string;
  authQuery?: Record<string, string>;
  protocol?: Protocol;
  client?: string;
  url: string | null;
}

const rows: Row[] = [
  { name: 'openai chat goes to its public API', url: 'https://api.openai.com/v1/chat/completions' },
  {
    name: 'openai embeddings go to their own path',
    protocol: openaiEmbeddings,
    url: 'https://api.openai.com/v1/embeddings',
  },
  { name: 'deepseek has no /v1', provider: 'deepseek', url: 'https://api.deepseek.com/chat/completions' },
  { name: 'aimlapi has /v1', provider: 'aimlapi', url: 'https://api.aimlapi.com/v1/chat/completions' },
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
      const endpoint = compileEndpoint({ provider, endpoint: row.endpoint, authQuery: row.authQuery });
      const target = upstreamTarget(endpoint, row.protocol ?? openaiChat, row.client ?? '/anything');
      assert.equal(target === null ? null : `${endpoint.scheme}://${endpoint.hostHeader}${target}`, row.url);
    });
  }

  it('a provider without public API needs an endpoint', () => {
    const provider = findProvider('openai-compatible');
    assert.ok(provider !== undefined);
    assert.throws(() => compileEndpoint({ provider }), /openai-compatible needs an endpoint/);
  });
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
