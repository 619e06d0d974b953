import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkHeader, compileRequestHeaders, convertedFields, requestHeaderLines } from './request-headers.ts';

interface Row {
  name: string;
  authHeader?: Record<string, string>;
  hasCredential?: boolean;
  client: string[];
  /** Lines beyond Host and Content-Type. */
  sent: string[];
}

const rows: Row[] = [
  {
    name: 'custom headers and tracing pass',
    client: ['x-custom', 'a', 'traceparent', '00-1-2-01'],
    sent: ['x-custom: a', 'traceparent: 00-1-2-01'],
  },
  {
    name: 'repeated fields pass in order',
    client: ['x-a', '1', 'x-b', '', 'x-a', '2'],
    sent: ['x-a: 1', 'x-b: ', 'x-a: 2'],
  },
  {
    name: 'V33 the configured key replaces that of the client; cookies and codings stay here',
    authHeader: { Authorization: 'Bearer configured' },
    client: [
      'accept-encoding',
      'br',
      'cookie',
      'a=b',
      'authorization',
      'Bearer mine',
      'content-type',
      'application/json; charset=utf-8',
    ],
    sent: ['authorization: Bearer configured'],
  },
  {
    name: 'the message of the client is not the message to the provider',
    client: ['host', 'gw', 'content-length', '7', 'content-type', 'application/json', 'expect', '100-continue'],
    sent: [],
  },
  {
    name: 'fields of the connection stay here',
    client: [
      'connection',
      'keep-alive',
      'keep-alive',
      '5',
      'te',
      'trailers',
      'trailer',
      'x',
      'transfer-encoding',
      'chunked',
      'upgrade',
      'h2c',
      'proxy-authorization',
      'x',
      'proxy-connection',
      'x',
      'x-end',
      '2',
    ],
    sent: ['x-end: 2'],
  },
  {
    name: 'any configured credential keeps every key of the client here',
    authHeader: { 'api-key': 'k' },
    client: [
      'authorization',
      'a',
      'api-key',
      'b',
      'apikey',
      'c',
      'x-api-key',
      'd',
      'x-goog-api-key',
      'e',
      'x-other',
      'f',
    ],
    sent: ['api-key: k', 'x-other: f'],
  },
  {
    name: 'a credential in the query does so too',
    hasCredential: true,
    client: ['authorization', 'Bearer mine', 'x-api-key', 'mine'],
    sent: [],
  },
  {
    name: 'without any configured credential the key of the client passes',
    client: ['authorization', 'Bearer mine', 'x-api-key', 'mine'],
    sent: ['authorization: Bearer mine', 'x-api-key: mine'],
  },
  {
    name: 'auth.header wins over any field of the client, a cookie included',
    authHeader: { 'X-Team': 'a', Cookie: 'session=1' },
    client: ['x-team', 'b', 'cookie', 'c=d'],
    sent: ['x-team: a', 'cookie: session=1'],
  },
  {
    name: 'auth.header cannot set what is the business of Weir',
    authHeader: {
      Host: 'evil',
      'Content-Length': '0',
      'Accept-Encoding': 'br',
      'Content-Type': 'text/plain',
      'Transfer-Encoding': 'chunked',
      Connection: 'close',
    },
    client: [],
    sent: [],
  },
];

describe('headers of a request to a provider', () => {
  for (const { name, authHeader = {}, hasCredential, client, sent } of rows) {
    it(name, () => {
      const rules = compileRequestHeaders({
        host: 'api.openai.com',
        authHeader,
        hasCredential: hasCredential ?? Object.keys(authHeader).length > 0,
      });
      const lines = requestHeaderLines(rules, client);
      const expected = ['host: api.openai.com', 'content-type: application/json', ...sent];
      assert.equal(lines, expected.map((line) => `${line}\r\n`).join(''));
    });
  }
});

describe('a configured header', () => {
  it('may hold anything that one field can', () => {
    for (const value of ['', 'Bearer sk-x', 'a\tb', 'é']) assert.equal(checkHeader('X-Key', value), null);
  });

  for (const value of ['a\r\nx: y', 'a\nb', 'a\rb', 'a\0b', 'a\x7f', 'ключ', 7, null]) {
    it(`cannot be ${JSON.stringify(value)}`, () => assert.notEqual(checkHeader('X-Key', value), null));
  }

  for (const name of ['', 'a b', 'a:', 'a\r\n', 'é']) {
    it(`cannot be named ${JSON.stringify(name)}`, () => {
      assert.equal(checkHeader(name, 'x'), 'is not a valid header name');
    });
  }
});

describe('header fields of a converted request', () => {
  const conversion = { droppedHeaderPrefixes: ['anthropic-'], sendsApiKeyAsBearer: true };
  const rows: { name: string; authHeader?: Record<string, string>; client: string[]; sent: string[] }[] = [
    {
      name: 'V22 the key becomes an authorization, and what only the client knows stays here',
      client: ['x-api-key', 'k', 'anthropic-version', '2023-06-01', 'anthropic-beta', 'a', 'x-custom', 'c'],
      sent: ['x-custom: c', 'authorization: Bearer k'],
    },
    {
      name: 'an authorization of the client is preferred',
      client: ['x-api-key', 'k', 'authorization', 'Bearer a'],
      sent: ['authorization: Bearer a'],
    },
    {
      name: 'V22 a configured one replaces both',
      authHeader: { Authorization: 'Bearer configured' },
      client: ['x-api-key', 'k'],
      sent: ['authorization: Bearer configured'],
    },
    {
      name: 'a key that is for the gateway travels under no name',
      authHeader: { 'api-key': 'configured' },
      client: ['x-api-key', 'k'],
      sent: ['api-key: configured'],
    },
  ];
  for (const { name, authHeader = {}, client, sent } of rows) {
    it(name, () => {
      const hasCredential = Object.keys(authHeader).length > 0;
      const rules = compileRequestHeaders({ host: 'h', authHeader, hasCredential });
      const lines = requestHeaderLines(rules, convertedFields(conversion, client)).split('\r\n');
      assert.deepEqual(lines.slice(2, -1), sent);
    });
  }

  it('are the same where a conversion has nothing to do with them', () => {
    const fields = ['x-api-key', 'k', 'anthropic-version', 'v'];
    const none = { droppedHeaderPrefixes: [], sendsApiKeyAsBearer: false };
    assert.deepEqual(convertedFields(none, fields), fields);
  });
});
