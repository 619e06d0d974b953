import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { call, type CallResult } from './support/http-call.ts';
import {
  answerJson,
  chatAnswer,
  startProvider,
  startRawProvider,
  type Provider,
  type RawProvider,
} from './support/mock-provider.ts';
import { expiredCertificate } from './support/tls-fixtures.ts';

/** Each is found again wherever it leaks to. They look like nothing in particular, so that no pattern hides them by chance. */
const canaries = {
  'auth.header': 'canaryheaderq1w2',
  'auth.query': 'canaryqueryq3w4',
  'the query of the endpoint': 'canaryendpointq5w6',
  "the client's Authorization": 'canaryclientq7w8',
  "the client's cookie": 'canarycookieq9w0',
  'the admin key': 'canaryadminq1e2',
};

let gateway: TestGateway;
let provider: Provider;
let raw: RawProvider;
let expired: Provider;

before(async () => {
  provider = await startProvider(answerJson(chatAnswer));
  raw = await startRawProvider(() => {});
  expired = await startProvider(answerJson(chatAnswer), { tls: expiredCertificate });
  gateway = await startGateway({
    config: {
      nginx_config: {
        error_log_level: 'debug',
        http: {
          access_log_format:
            '"$request" $status $weir_error $upstream_addr "$upstream_scheme://$upstream_host$upstream_uri" $llm_model $remote_user $llm_response_text',
        },
      },
      deployment: { admin: { admin_key: [{ name: 'admin', key: canaries['the admin key'], role: 'admin' }] } },
    },
  });
});

after(() => Promise.all([gateway, provider, raw, expired].map((part) => part[Symbol.asyncDispose]())));

test('no credential is in any log, on the terminal, or in an error that the gateway makes', async () => {
  const places: [string, string][] = [];
  const routes: Record<string, string> = {
    plain: provider.url,
    missing: `${provider.url}/p?subscription-key=${canaries['the query of the endpoint']}`,
    silent: raw.url,
    expired: expired.url,
    refused: 'http://127.0.0.1:1',
    unknown: 'http://nowhere.invalid',
  };
  for (const [id, endpoint] of Object.entries(routes)) {
    await gateway.putRoute(id, {
      uris: [`/${id}`, `/${id}/*`],
      plugins: {
        'ai-proxy': {
          provider: 'openai-compatible',
          auth: {
            header: { Authorization: `Bearer ${canaries['auth.header']}`, 'X-Odd': canaries['auth.header'] },
            query: { odd: canaries['auth.query'] },
          },
          timeout: id === 'silent' ? 300 : 5000,
          override: { endpoint },
          logging: { summaries: true, payloads: true },
        },
      },
    });
  }

  const headers = {
    'Content-Type': 'application/json',
    Authorization: `Bearer ${canaries["the client's Authorization"]}`,
    'X-Api-Key': canaries["the client's Authorization"],
    Cookie: `session=${canaries["the client's cookie"]}`,
  };
  const bodies: [string, unknown][] = [
    ['chat', { messages: [{ role: 'user', content: 'hi' }] }],
    ['stream', { stream: true, messages: [] }],
    ['passthrough', { prompt: 'x' }],
    ['bad', 'no JSON'],
  ];
  raw.answer = ({ socket }, request) => {
    // The first request is answered with garbage, a stream breaks, the rest is never answered.
    if (request.body.includes('stream'))
      socket.end('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {"a":1}');
    else if (request.body.includes('prompt')) socket.end('garbage\r\n\r\n');
  };
  const statuses: Record<string, number[]> = {};
  for (const id of [...Object.keys(routes), 'nowhere']) {
    for (const [name, body] of bodies) {
      const answer: CallResult = await call(`${gateway.url}/${id}/${name}`, { body, headers });
      (statuses[id] ??= []).push(answer.status);
      places.push([`the answer to ${name} at ${id}`, `${JSON.stringify(answer.headers)} ${answer.text}`]);
    }
  }
  // What follows is only worth something if all of this has really happened.
  assert.deepEqual(statuses, {
    plain: [200, 200, 200, 400],
    missing: [200, 200, 200, 400],
    silent: [504, 200, 502, 400],
    expired: [502, 502, 502, 400],
    refused: [502, 502, 502, 400],
    unknown: [502, 502, 502, 400],
    nowhere: [404, 404, 404, 404],
  });

  // Admin requests that fail: a wrong key, broken bodies, a configuration with credentials that is refused.
  for (const [path, options] of [
    ['/routes/x', { method: 'GET', headers: { 'X-API-KEY': canaries['auth.header'] } }],
    [`/routes/x?api_key=${canaries['the admin key']}`, { method: 'PUT', body: '{"broken' }],
    [`/nothing?api_key=${canaries['the admin key']}`, { method: 'GET' }],
    [
      `/routes/x?api_key=${canaries['the admin key']}`,
      {
        method: 'PUT',
        body: {
          uri: '/x',
          plugins: {
            'ai-proxy': { provider: 'openai', timeout: 0, auth: { header: { A: `\n${canaries['auth.header']}` } } },
          },
        },
      },
    ],
    [
      `/routes/x?api_key=${canaries['the admin key']}`,
      {
        method: 'PUT',
        body: {
          uri: '/x',
          plugins: { 'ai-proxy': { provider: 'openai', auth: { header: { A: `\n${canaries['auth.header']}` } } } },
        },
      },
    ],
    [
      `/routes/x?api_key=${canaries['the admin key']}`,
      {
        method: 'PUT',
        body: {
          uri: '/x',
          plugins: { 'ai-proxy': { provider: 'openai', auth: { query: { A: [canaries['auth.query']] } } } },
        },
      },
    ],
  ] as const) {
    const answer = await call(`${gateway.adminUrl}/apisix/admin${path}`, options);
    assert.ok(answer.status >= 400, answer.text);
    places.push([`the Admin API's answer to ${path.replace(/\?.*/, '')}`, answer.text]);
  }

  await gateway.accessLog('/nowhere/bad');
  await gateway.llmLog('"route_id":"unknown"');
  assert.equal(await gateway.stop(), 0);
  const logs = readdirSync(join(gateway.prefix, 'logs'));
  assert.deepEqual(logs.sort(), ['access.log', 'error.log', 'llm.log']);
  for (const name of logs) places.push([`logs/${name}`, gateway.readLog(name)]);
  places.push(['stdout or stderr', gateway.output()]);
  assert.match(gateway.readLog('access.log'), /UPSTREAM_TLS/);
  assert.match(gateway.errorLog(), /has expired/);

  const leaks = [];
  for (const [place, text] of places) {
    for (const [name, canary] of Object.entries(canaries)) {
      const at = text.indexOf(canary);
      if (at !== -1) leaks.push(`${name} is in ${place}: ${text.slice(Math.max(0, at - 80), at + canary.length)}`);
    }
  }
  assert.deepEqual(leaks, []);
});
