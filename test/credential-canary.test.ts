import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, startGateway, type TestGateway } from './support/gateway.ts';
import { googlePrivateKey } from './support/google.ts';
import { call, type CallResult } from './support/http-call.ts';
import {
  answerJson,
  chatAnswer,
  fieldOf,
  startProvider,
  startRawProvider,
  type Provider,
  type RawProvider,
} from './support/mock-provider.ts';
import { expiredCertificate, serverCertificate } from './support/tls-fixtures.ts';

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
  await gateway.untilErrorLog(/has expired/);

  assert.deepEqual(leaksIn(places, canaries), []);
});

function leaksIn(places: readonly [string, string][], values: Readonly<Record<string, string>>): string[] {
  for (const [name, canary] of Object.entries(values)) assert.ok(canary.length > 10, `${name} is no canary`);
  return places.flatMap(([place, text]) =>
    Object.entries(values).flatMap(([name, canary]) => {
      const at = text.indexOf(canary);
      return at === -1 ? [] : [`${name} is in ${place}: ${text.slice(Math.max(0, at - 80), at + canary.length)}`];
    }),
  );
}

/** Credentials that are computed, that loggers use, or that are fetched. */
const computed = {
  'auth.aws.secret_access_key': 'canaryawssecretz1',
  'auth.aws.session_token': 'canaryawssessionz2',
  // A line of the key in the middle: the first ones are the same for all keys.
  'auth.gcp.service_account_json': googlePrivateKey.split('\n')[10] ?? '',
  'the token of Google': 'canarygoogletokenz3',
  'http-logger auth_header': 'canarylogauthz4',
  'the query of the log server': 'canarylogqueryz5',
  'the password of the log server': 'canarylogpasswordz6',
  'the token for Vault': 'canaryvaulttokenz7',
  'the secret in Vault': 'canaryvaultsecretz8',
  'the environment': 'canaryenvironmentz9',
};

test(
  'nor is a credential that is computed, used by a logger, or fetched, in any log or entry',
  { timeout: 30_000 },
  async () => {
    let tokenStatus = 200;
    await using services = await startProvider((request, response) => {
      if (request.target.startsWith('/token')) {
        const granted = { access_token: computed['the token of Google'], expires_in: 3600 };
        return answerJson(tokenStatus === 200 ? granted : { error: 'invalid_grant' }, tokenStatus)(request, response);
      }
      if (request.target.startsWith('/v1/kv/')) {
        const known =
          fieldOf(request, 'x-vault-token') === computed['the token for Vault'] && request.target.endsWith('/llm');
        const data = { data: { key: `Bearer ${computed['the secret in Vault']}` } };
        return answerJson(known ? data : { errors: [fieldOf(request, 'x-vault-token')] }, known ? 200 : 403)(
          request,
          response,
        );
      }
      return answerJson({}, request.target.startsWith('/logs-ok') ? 200 : 500)(request, response);
    });
    await using llm = await startProvider(answerJson(chatAnswer));
    const env = { CANARY_VAULT: computed['the token for Vault'], CANARY_KEY: `Bearer ${computed['the environment']}` };
    await using stage = await startGateway({ env, config: { nginx_config: { error_log_level: 'debug' } } });
    const places: [string, string][] = [];

    for (const [id, token] of [
      ['good', '$env://CANARY_VAULT'],
      ['bad', `${computed['the token for Vault']}-wrong`],
    ] as const) {
      const manager = { uri: services.url, prefix: 'kv', token };
      assert.equal((await stage.admin('PUT', `/secrets/vault/${id}`, manager)).status, 201);
    }

    const gcp = (id: string): object => ({
      gcp: {
        service_account_json: JSON.stringify({
          client_email: `${id}@p.iam.gserviceaccount.com`,
          private_key: googlePrivateKey,
          token_uri: `${services.url}/token`,
        }),
      },
    });
    const aws = {
      access_key_id: 'AKID',
      secret_access_key: computed['auth.aws.secret_access_key'],
      session_token: computed['auth.aws.session_token'],
    };
    const vertex = { provider: 'vertex-ai', provider_conf: { project_id: 'p', region: 'r' } };
    const bedrock = { provider: 'bedrock', provider_conf: { region: 'r' } };
    const header = (value: string): object => ({ header: { Authorization: value, 'X-Odd': value } });
    const brokenAws = { ...aws, session_token: `${aws.session_token}\n` };
    const rows: [id: string, conf: object, path: string, status: number][] = [
      ['gcp', { ...vertex, auth: gcp('a') }, '/chat', 200],
      ['gcp-refused', { ...vertex, auth: gcp('b') }, '/chat', 500],
      ['aws', { ...bedrock, auth: { aws } }, '/model/m/converse', 200],
      ['aws-broken', { ...bedrock, auth: { aws: brokenAws } }, '/model/m/converse', 500],
      ['vault', { auth: header('$secret://vault/good/llm/key') }, '/chat', 200],
      ['vault-key', { auth: header('$secret://vault/good/llm/nokey') }, '/chat', 503],
      ['vault-refused', { auth: header('$secret://vault/bad/llm/key') }, '/chat', 503],
      ['env', { auth: header('$env://CANARY_KEY') }, '/chat', 200],
    ];
    const logServer = services.url.replace('//', `//u:${computed['the password of the log server']}@`);
    for (const [id, conf, path, status] of rows) {
      for (const [fate, uri] of [
        ['ok', logServer],
        ['failing', logServer],
        ['gone', logServer.replace(/:\d+$/, ':1')],
      ] as const) {
        const route = `${id}-${fate}`;
        tokenStatus = id === 'gcp-refused' ? 400 : 200;
        await stage.putRoute(route, {
          uri: `/${route}/*`,
          plugins: {
            'ai-proxy': {
              provider: 'openai-compatible',
              override: { endpoint: llm.url },
              logging: { summaries: true, payloads: true },
              ...conf,
            },
            'file-logger': { path: 'logs/entries.log', include_req_body: true, include_resp_body: true },
            'http-logger': {
              uri: `${uri}/logs-${fate}?token=${computed['the query of the log server']}`,
              // A logger takes either the credentials of the URL or its own.
              ...(fate !== 'failing' && { auth_header: `Bearer ${computed['http-logger auth_header']}` }),
              batch_max_size: 1,
            },
          },
        });
        const answer = await call(`${stage.url}/${route}${path}`, { body: { messages: [], model: 'm' } });
        assert.equal(answer.status, status, `${route}: ${answer.text}`);
        places.push([`the answer of ${route}`, `${JSON.stringify(answer.headers)} ${answer.text}`]);
      }
    }
    await eventually(() => stage.readLog('entries.log').split('\n').length > 3 * rows.length);
    await eventually(
      () => /logs-gone.*ECONNREFUSED/.test(stage.errorLog()) && /logs-failing.*500/.test(stage.errorLog()),
    );
    // What follows is only worth something if the credentials were really used.
    const used = [...llm.requests, ...services.requests].map((request) => `${request.target} ${request.fields.join()}`);
    for (const name of [
      'the token of Google',
      'http-logger auth_header',
      'the token for Vault',
      'the environment',
    ] as const) {
      assert.ok(
        used.some((text) => text.includes(computed[name])),
        `${name} was not used`,
      );
    }

    const posts = services.requests.filter(({ target }) => target.startsWith('/logs'));
    places.push(['a post to the log server', posts.map(({ body }) => body.toString()).join('\n')]);
    assert.equal(await stage.stop(), 0);
    for (const name of readdirSync(join(stage.prefix, 'logs'))) places.push([`logs/${name}`, stage.readLog(name)]);
    places.push(['stdout or stderr', stage.output()]);
    assert.deepEqual(leaksIn(places, computed), []);
  },
);

/** Credentials in resources of every kind. */
const stored = {
  'key of key-auth': 'canarykeyauthy1',
  'password of basic-auth': 'canarybasicauthy2',
  'secret of jwt-auth': 'canaryjwtauthsecretofatleast32bytesy3',
  'a header of a probe': 'canaryprobey4',
  'the password of a node': 'canarynodey5',
  'the private key of a certificate': serverCertificate.key.split('\n')[2] ?? '',
  'what is no private key': 'canarynokeyy6',
  'the token for Vault': 'canaryvaulty7',
  'a credential of a service': 'canaryservicey8',
  'a credential of a global rule': 'canaryruley9',
  'a credential in plugin metadata': 'canarymetadatay0',
};

test('nor does a credential of any resource come out, however the resource is put, refused and shown', async () => {
  await using stage = await startGateway({ config: { nginx_config: { error_log_level: 'debug' } } });
  const places: [string, string][] = [];
  const { cert, key } = serverCertificate;
  const nodes = { '127.0.0.1:1': 1 };
  const probe = (line: string): object => ({ active: { req_headers: [line] } });
  const aiProxy = (name: keyof typeof stored): object => ({
    provider: 'openai-compatible',
    auth: { header: { 'X-Odd': stored[name] } },
    override: { endpoint: 'http://127.0.0.1:1' },
  });
  const odd = `X-Odd: ${stored['a header of a probe']}`;
  const good: readonly [path: string, body: object][] = [
    ['/upstreams/u', { nodes, checks: probe(odd), tls: { client_cert: cert, client_key: key } }],
    [
      '/services/s',
      { upstream: { nodes, checks: probe(odd) }, plugins: { 'ai-proxy': aiProxy('a credential of a service') } },
    ],
    ['/plugin_configs/p', { plugins: { 'ai-proxy': aiProxy('a credential of a service') } }],
    ['/consumer_groups/g', { plugins: { 'ai-proxy': aiProxy('a credential of a service') } }],
    ['/consumers/jack', { plugins: { 'key-auth': { key: stored['key of key-auth'] } } }],
    [
      '/consumers/jack/credentials/basic',
      { plugins: { 'basic-auth': { username: 'jack', password: stored['password of basic-auth'] } } },
    ],
    [
      '/consumers/jack/credentials/jwt',
      { plugins: { 'jwt-auth': { key: 'jack', secret: stored['secret of jwt-auth'] } } },
    ],
    [
      '/global_rules/r',
      {
        plugins: { 'http-logger': { uri: 'http://127.0.0.1:1', auth_header: stored['a credential of a global rule'] } },
      },
    ],
    ['/secrets/vault/1', { uri: 'http://127.0.0.1:1', prefix: 'kv', token: stored['the token for Vault'] }],
    ['/ssls/c', { sni: 'canary.example', cert, key }],
    ['/routes/r', { uri: '/r', service_id: 's', plugin_config_id: 'p', plugins: { 'key-auth': {} } }],
  ];
  for (const [path, body] of good) {
    const { status } = await stage.admin('PUT', path, body);
    assert.equal(status, 201, path);
  }
  for (const method of ['PUT', 'GET']) {
    const { body } = await stage.admin(
      method,
      '/ssls/c',
      method === 'PUT' ? good.find(([path]) => path === '/ssls/c')?.[1] : undefined,
    );
    places.push([`the answer to ${method} of a certificate`, JSON.stringify(body)]);
  }

  const noKey = stored['what is no private key'].repeat(20);
  const bad: readonly [path: string, body: object][] = [
    ['/upstreams/u', { nodes: { [`http://u:${stored['the password of a node']}@a`]: 1 } }],
    ['/upstreams/u', { nodes, checks: probe(`${odd}\r\n`) }],
    ['/upstreams/u', { nodes, tls: { client_cert: cert, client_key: noKey } }],
    ['/upstreams/u', { nodes, tls: { client_cert: expiredCertificate.cert, client_key: key } }],
    ['/services/s', { upstream: { nodes, checks: probe(`${odd}\n`) } }],
    ['/services/s', { plugins: { 'ai-proxy': { ...aiProxy('a credential of a service'), timeout: 0 } } }],
    ['/consumers/jack', { plugins: { 'key-auth': { key: [stored['key of key-auth']] } } }],
    ['/consumers/jack', { plugins: { 'key-auth': stored['key of key-auth'].padStart(40) } }],
    ['/consumers/jack', { plugins: { 'basic-auth': { username: 1, password: stored['password of basic-auth'] } } }],
    [
      '/consumers/jack/credentials/jwt',
      { plugins: { 'jwt-auth': { key: 'k', algorithm: 'none', secret: stored['secret of jwt-auth'] } } },
    ],
    [
      '/consumers/jack/credentials/both',
      { plugins: { 'key-auth': { key: stored['key of key-auth'] }, 'basic-auth': {} } },
    ],
    ['/consumers/none/credentials/key', { plugins: { 'key-auth': { key: stored['key of key-auth'] } } }],
    [
      '/global_rules/other',
      {
        plugins: { 'http-logger': { uri: 'http://127.0.0.1:1', auth_header: stored['a credential of a global rule'] } },
      },
    ],
    ['/plugin_metadata/http-logger', { log_format: stored['a credential in plugin metadata'] }],
    ['/secrets/vault/1', { uri: 'http://127.0.0.1:1', prefix: 1, token: stored['the token for Vault'] }],
    ['/secrets/vault/1', { uri: 'http://127.0.0.1:1', prefix: 'kv', token: [stored['the token for Vault']] }],
    ['/ssls/c', { sni: 'canary.example', cert, key: noKey }],
    ['/ssls/c', { sni: 'canary.example', cert: expiredCertificate.cert, key }],
    ['/ssls/c', { cert, key }],
    ['/protos/1', { content: stored['what is no private key'] }],
  ];
  for (const [path, body] of bad) {
    const { status, body: answer } = await stage.admin('PUT', path, body);
    const about = `the refusal of ${path} with ${Object.keys(body).join()}`;
    assert.ok(status >= 400 && status < 500, `${about}: ${status}`);
    places.push([about, JSON.stringify(answer)]);
  }
  for (const path of [
    'routes',
    'services',
    'upstreams',
    'route/r',
    'service/s',
    'upstream/u',
    'plugin_metadatas',
    'schema',
  ]) {
    places.push([`/v1/${path}`, (await call(`${stage.controlUrl}/v1/${path}`, { method: 'GET' })).text]);
  }
  for (const headers of [{}, { apikey: 'wrong' }, { apikey: stored['key of key-auth'] }]) {
    const answer = await call(`${stage.url}/r`, { body: { messages: [] }, headers });
    places.push(['an answer', JSON.stringify(answer.headers) + answer.text]);
  }
  await stage.accessLog('/r');
  assert.equal(await stage.stop(), 0);
  for (const name of readdirSync(join(stage.prefix, 'logs'))) places.push([`logs/${name}`, stage.readLog(name)]);
  places.push(['stdout or stderr', stage.output()]);
  assert.deepEqual(leaksIn(places, stored), []);
});
