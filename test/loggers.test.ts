import assert from 'node:assert/strict';
import { once } from 'node:events';
import { renameSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { version } from '../src/base/version.ts';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { freePort } from './support/free-port.ts';
import { eventually, startGateway } from './support/gateway.ts';
import {
  answerJson,
  chatAnswer,
  chatStream,
  fieldOf,
  startIdleServer,
  startProvider,
  type Provider,
} from './support/mock-provider.ts';
import { selfSignedCertificate } from './support/tls-fixtures.ts';

type Entry = Record<string, unknown>;

const messages = [{ role: 'user', content: 'is sk-abcdef123456 a key?' }];
const chat = { model: 'auto', messages };

function post(url: string, body: object = chat, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

/** The plugins of a route that calls `provider` and logs as told. */
function plugins(provider: Provider, loggers: object, aiProxy: object = {}): object {
  const conf = { provider: 'openai-compatible', auth: {}, override: { endpoint: provider.url }, ...aiProxy };
  return { plugins: { 'ai-proxy': conf, ...loggers } };
}

/** The entries of a file in logs/, as soon as there are as many. */
async function entriesOf(stage: AiStage, name: string, count = 1): Promise<Entry[]> {
  const lines = (): string[] => stage.gateway.readLog(name).split('\n').slice(0, -1);
  await eventually(() => lines().length >= count, undefined, `${count} entries in ${name}`);
  return lines().map((line) => JSON.parse(line) as Entry);
}

/** The bodies that a log server got so far, as soon as there are as many. */
async function posted(server: Provider, count: number): Promise<string[]> {
  await eventually(() => server.requests.length >= count, undefined, `${count} posts`);
  return server.requests.map(({ body }) => body.toString());
}

const accept = answerJson({});

describe('what an entry holds', { concurrency: true }, () => {
  let stage: AiStage;
  before(async () => {
    stage = await startStage();
  });
  after(() => stage[Symbol.asyncDispose]());

  it('by default: request, response, server, route, client, upstream and times, as in APISIX', async () => {
    const path = 'logs/default.log';
    const url = await stage.route({}, plugins(stage.provider, { 'file-logger': { path } }));
    const before = Date.now();
    const response = await post(`${url}?a=1&a=%C3%A4+b&flag&__proto__=x`, chat, { 'X-Name': '\u00e4', 'X-Two': 'b' });
    assert.equal(response.status, 200);

    const [entry = {}] = await entriesOf(stage, 'default.log');
    const { request, response: answer, start_time, latency, upstream_latency, apisix_latency, ...rest } = entry;
    const { headers, querystring, size, ...asked } = request as Entry;
    const id = new URL(url).pathname;
    const target = `${id}?a=1&a=%C3%A4+b&flag&__proto__=x`;
    assert.deepEqual(asked, {
      method: 'POST',
      uri: target,
      url: `http://127.0.0.1:${stage.gateway.port}${target}`,
    });
    const { 'content-type': type, 'x-name': name } = headers as Entry;
    assert.deepEqual([type, name], ['application/json', '\u00e4']);
    const expected = JSON.parse('{"a":["1","\u00e4 b"],"flag":true,"__proto__":"x"}') as Entry;
    assert.deepEqual(querystring, expected);
    assert.ok(Number(size) > JSON.stringify(chat).length);
    const { status, headers: sent, size: answerSize } = answer as Entry;
    const { 'content-type': sentType, server } = sent as Entry;
    assert.deepEqual([status, sentType, server], [200, 'application/json', `Weir/${version}`]);
    assert.ok(Number(answerSize) > JSON.stringify(chatAnswer).length);
    assert.deepEqual(rest, {
      server: { hostname: hostname(), version },
      client_ip: '127.0.0.1',
      route_id: id.slice(1),
      service_id: '',
      upstream: `127.0.0.1:${stage.provider.port}`,
    });
    assert.ok(Number(start_time) >= before - 1 && Number(start_time) <= Date.now());
    assert.ok(Number(latency) >= Number(upstream_latency) && Number(upstream_latency) > 0);
    assert.ok(Math.abs(Number(latency) - Number(upstream_latency) - Number(apisix_latency)) < 0.01);
  });

  it('without an upstream: a refused request is logged, too', async () => {
    const path = 'logs/refused.log';
    const url = await stage.route({}, plugins(stage.provider, { 'file-logger': { path } }));
    await post(url, {}, { 'Content-Type': 'text/plain' });
    const [entry = {}] = await entriesOf(stage, 'refused.log');
    assert.equal((entry['response'] as Entry)['status'], 400);
    assert.ok(!('upstream' in entry) && !('upstream_latency' in entry));
    assert.equal(entry['apisix_latency'], entry['latency']);
  });

  it('never a credential of the client, in whatever place it came', async () => {
    const path = 'logs/credentials.log';
    const log_format = {
      header: '$http_authorization',
      key: '$http_x_api_key',
      cookie: '$cookie_session',
      argument: '$arg_api_key',
      query: '$args',
      target: '$request_uri',
      line: '$request',
      referer: '$http_referer',
      agent: '$http_user_agent',
    };
    const loggers = { 'file-logger': { path }, 'http-logger': { uri: 'http://127.0.0.1:9', log_format } };
    const url = await stage.route({}, plugins(stage.provider, loggers));
    const custom = await stage.route({}, plugins(stage.provider, { 'file-logger': { path, log_format } }));
    for (const address of [url, custom]) {
      await post(`${address}?api_key=canary1&accessToken=canary2&key=canary10&sig=canary11`, chat, {
        Authorization: 'Bearer canary3',
        'X-Api-Key': 'canary4',
        'Api-Key': 'canary5',
        Cookie: 'session=canary6',
        'Proxy-Authorization': 'Basic canary7',
        Referer: 'http://h/?token=canary8',
        'User-Agent': 'sk-canary9canary9',
      });
    }
    const [full = {}, short = {}] = await entriesOf(stage, 'credentials.log', 2);
    assert.doesNotMatch(JSON.stringify([full, short]), /canary/);
    const { headers, querystring } = full['request'] as Entry;
    assert.equal((headers as Entry)['authorization'], '[redacted]');
    assert.deepEqual(querystring, {
      api_key: '[redacted]',
      accessToken: '[redacted]',
      key: '[redacted]',
      sig: '[redacted]',
    });
    assert.equal(short['query'], 'api_key=[redacted]&accessToken=[redacted]&key=[redacted]&sig=[redacted]');
    for (const member of ['header', 'key', 'cookie', 'argument', 'agent']) assert.equal(short[member], '[redacted]');
  });

  it('with log_format: variables, fixed values and objects of them, up to five levels', async () => {
    const path = 'logs/format.log';
    const log_format = {
      host: '$host',
      '@timestamp': '$time_iso8601',
      status: '$status',
      model: '$request_llm_model',
      missing: '$http_x_missing',
      price: '5 $ each',
      number: 7,
      list: ['$host'],
      two: { tokens: '$llm_total_tokens', three: { four: { five: { type: '$request_type', six: { seven: 1 } } } } },
      unknown: '$no_such_variable',
    };
    const url = await stage.route({}, plugins(stage.provider, { 'file-logger': { path, log_format } }));
    await post(url, { ...chat, model: 'modell-\u00e4' });
    const [{ '@timestamp': time, ...entry } = {}] = await entriesOf(stage, 'format.log');
    assert.match(String(time), /^\d{4}-\d\d-\d\dT/);
    assert.deepEqual(entry, {
      host: '127.0.0.1',
      status: 200,
      model: 'modell-\u00e4',
      price: '5 $ each',
      number: 7,
      list: ['$host'],
      two: { tokens: 13, three: { four: { five: { type: 'ai_chat' } } } },
      route_id: new URL(url).pathname.slice(1),
    });
    const warnings = stage.gateway.errorLog().split('\n');
    assert.equal(warnings.filter((line) => line.includes('$no_such_variable')).length, 1);
  });

  it('$llm_response_text is kept for a log_format that prints it', async () => {
    const path = 'logs/text.log';
    const log_format = { text: '$llm_response_text', status: '$status' };
    const url = await stage.route({}, plugins(stage.provider, { 'file-logger': { path, log_format } }));
    await post(url);
    const [entry = {}] = await entriesOf(stage, 'text.log');
    assert.equal(entry['text'], '2');
  });

  const v44: [about: string, logging: object, members: string[]][] = [
    ['summaries only', { summaries: true }, ['llm_summary']],
    ['payloads only', { payloads: true }, ['llm_request', 'llm_response_text']],
    ['both', { summaries: true, payloads: true }, ['llm_request', 'llm_response_text', 'llm_summary']],
    ['none', {}, []],
  ];
  for (const [about, logging, members] of v44) {
    for (const format of [{}, { log_format: { status: '$status' } }]) {
      const kind = 'log_format' in format ? 'a custom' : 'the default';
      it(`V44 logging ${about} with ${kind} format: ${members.join(', ') || 'nothing'} of the call`, async () => {
        const name = `v44-${about}-${kind}.log`;
        const logger = { 'file-logger': { path: `logs/${name}`, ...format } };
        const url = await stage.route({}, plugins(stage.provider, logger, { logging }));
        await post(url);
        const [entry = {}] = await entriesOf(stage, name);
        const found = Object.keys(entry).filter((member) => member.startsWith('llm_'));
        assert.deepEqual(found.sort(), members);
        if (members.includes('llm_summary')) {
          const { model, prompt_tokens, stream } = entry['llm_summary'] as Entry;
          assert.deepEqual([model, prompt_tokens, stream], ['auto', 8, 'false']);
        }
        if (members.includes('llm_request')) {
          assert.deepEqual(entry['llm_request'], { messages, stream: false }, 'prompts are not redacted');
          assert.deepEqual(entry['llm_response_text'], { content: '2' });
        }
        assert.ok(!stage.gateway.readLog('llm.log').includes(new URL(url).pathname.slice(1)));
      });
    }
  }

  it('a streamed call, for two loggers at once', async () => {
    await using provider = await startProvider((_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end(chatStream);
    });
    await using server = await startProvider(accept);
    const loggers = {
      'file-logger': { path: 'logs/stream.log', log_format: { a: 'b' } },
      'http-logger': { uri: server.url, batch_max_size: 1 },
    };
    const url = await stage.route({}, plugins(provider, loggers, { logging: { payloads: true } }));
    await (await post(url, { ...chat, stream: true })).text();
    const [line = {}] = await entriesOf(stage, 'stream.log');
    const [body = ''] = await posted(server, 1);
    for (const entry of [line, JSON.parse(body) as Entry]) {
      assert.deepEqual(entry['llm_request'], { messages, stream: true });
      assert.deepEqual(entry['llm_response_text'], { content: 'one zwei \u00e4\u20ac' });
    }
  });

  it('a disabled logger leaves the call to logs/llm.log', async () => {
    const logger = { 'file-logger': { path: 'logs/disabled.log', _meta: { disable: true } } };
    const url = await stage.route({}, plugins(stage.provider, logger, { logging: { summaries: true } }));
    await post(url);
    const [record] = await stage.gateway.llmLog(`"route_id":"${new URL(url).pathname.slice(1)}"`);
    assert.ok(record?.['llm_summary']);
    assert.equal(stage.gateway.readLog('disabled.log'), '');
  });

  it('the body of the request when asked, up to its limit, where the expression holds', async () => {
    const path = 'logs/body.log';
    const logger = {
      path,
      include_req_body: true,
      include_req_body_expr: [['http_x_log', '==', 'yes']],
      max_req_body_bytes: 20,
    };
    const url = await stage.route({}, plugins(stage.provider, { 'file-logger': logger }));
    await post(url, { model: 'gpt-\u20ac\u20ac\u20ac', messages }, { 'X-Log': 'yes' });
    await post(url, chat, { 'X-Log': 'no' });
    const [first = {}, second = {}] = await entriesOf(stage, 'body.log', 2);
    assert.equal((first['request'] as Entry)['body'], '{"model":"gpt-\u20ac\u20ac');
    assert.ok(!('body' in (second['request'] as Entry)));
  });

  it('$request_body in a log_format prints the body', async () => {
    const path = 'logs/request-body.log';
    const logger = { path, log_format: { body: '$request_body', answer: '$resp_body' } };
    const url = await stage.route({}, plugins(stage.provider, { 'file-logger': logger }));
    await post(url);
    const [entry = {}] = await entriesOf(stage, 'request-body.log');
    assert.equal(entry['body'], JSON.stringify(chat));
    assert.equal(entry['answer'], '', 'nobody asked for the body of the answer');
  });
});

describe('file-logger', () => {
  let stage: AiStage;
  before(async () => {
    stage = await startStage();
  });
  after(() => stage[Symbol.asyncDispose]());

  it('logs only what match lets through, also by the outcome of a request', async () => {
    const logger = { path: 'logs/match.log', match: [['status', '>=', 400]], log_format: { status: '$status' } };
    const url = await stage.route({}, plugins(stage.provider, { 'file-logger': logger }));
    await post(url);
    await post(url, []);
    const entries = await entriesOf(stage, 'match.log');
    assert.deepEqual(
      entries.map(({ status }) => status),
      [400],
    );
  });

  it('routes share a file that only its owner can read, in a folder that it makes, and follows a rotation', async () => {
    const path = 'logs/new/folder/shared.log';
    const log_format = { uri: '$uri' };
    const one = await stage.route({}, plugins(stage.provider, { 'file-logger': { path, log_format } }));
    const two = await stage.route({}, plugins(stage.provider, { 'file-logger': { path: `./${path}`, log_format } }));
    await post(one);
    await post(two);
    assert.equal((await entriesOf(stage, 'new/folder/shared.log', 2)).length, 2);
    const file = join(stage.gateway.prefix, path);
    assert.equal(statSync(file).mode & 0o777, 0o600);

    renameSync(file, `${file}.1`);
    stage.gateway.signal('SIGUSR1');
    await eventually(
      () => stage.gateway.readLog('new/folder/shared.log') === '' && exists(file),
      undefined,
      'the new file',
    );
    assert.equal(statSync(file).mode & 0o777, 0o600);
    await post(two);
    assert.equal((await entriesOf(stage, 'new/folder/shared.log')).length, 1);
    assert.equal((await entriesOf(stage, 'new/folder/shared.log.1')).length, 2);
  });

  it('a file that cannot be made costs entries, which the log of the gateway counts, and no request', async () => {
    writeFileSync(join(stage.gateway.prefix, 'logs', 'taken'), '');
    const path = 'logs/taken/file.log';
    const url = await stage.route({}, plugins(stage.provider, { 'file-logger': { path } }));
    for (let n = 0; n < 3; n++) assert.equal((await post(url)).status, 200);
    const lines = stage.gateway
      .errorLog()
      .split('\n')
      .filter((line) => line.includes('logs/taken/file.log'));
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /\[error\].*file-logger: entries are lost.*not a directory/);
  });

  const refused: [about: string, conf: object, message: RegExp][] = [
    ['no path', {}, /property \\"path\\" is required/],
    [
      'a match that is no expression',
      { path: 'a', match: [['x', '==', 1]] },
      /'match' expression: unknown variable 'x'/,
    ],
    ['an empty match', { path: 'a', match: [] }, /property \\"match\\" validation failed/],
    [
      'a condition for bodies that is none',
      { path: 'a', include_req_body: true, include_req_body_expr: [['status', '=', 1]] },
      /'include_req_body_expr' expression: invalid operator/,
    ],
    [
      'a log_format that is no object',
      { path: 'a', log_format: '$host' },
      /property \\"log_format\\" validation failed/,
    ],
  ];
  for (const [about, conf, message] of refused) {
    it(`is refused with ${about}`, async () => {
      const answer = await stage.gateway.admin('PUT', '/routes/bad', { uri: '/bad', plugins: { 'file-logger': conf } });
      assert.equal(answer.status, 400);
      assert.match(JSON.stringify(answer.body), message);
    });
  }
});

describe('http-logger', { concurrency: true }, () => {
  let stage: AiStage;
  before(async () => {
    stage = await startStage();
  });
  after(() => stage[Symbol.asyncDispose]());

  /** @returns The URL of a route that logs the argument `n` of its requests. */
  function route(uri: string, conf: object): Promise<string> {
    const logger = { uri, log_format: { n: '$arg_n' }, ...conf };
    return stage.route({}, plugins(stage.provider, { 'http-logger': logger }));
  }
  const routeId = (url: string): string => new URL(url).pathname.slice(1);
  async function send(url: string, count: number, from = 1): Promise<void> {
    for (let n = from; n < from + count; n++) assert.equal((await post(`${url}?n=${n}`)).status, 200);
  }
  const numbers = (bodies: readonly string[]): string[] =>
    bodies.flatMap((body) => (JSON.parse(body) as { n: string }[]).map(({ n }) => n));

  const shapes: [conf: object, type: string, body: (id: string) => string][] = [
    [
      { concat_method: 'json', batch_max_size: 2 },
      'application/json',
      (id) => `[{"n":"1","route_id":"${id}"},{"n":"2","route_id":"${id}"}]`,
    ],
    [
      { concat_method: 'new_line', batch_max_size: 2 },
      'text/plain',
      (id) => `{"n":"1","route_id":"${id}"}\n{"n":"2","route_id":"${id}"}`,
    ],
    [{ batch_max_size: 1 }, 'application/json', (id) => `{"n":"1","route_id":"${id}"}`],
    [{ batch_max_size: 1, concat_method: 'new_line' }, 'text/plain', (id) => `{"n":"1","route_id":"${id}"}`],
  ];
  for (const [conf, type, body] of shapes) {
    it(`posts a batch with ${JSON.stringify(conf)} as ${type}`, async () => {
      await using server = await startProvider(accept);
      const url = await route(`${server.url}/in?x=1`, { ...conf, auth_header: 'Token abc' });
      await send(url, 2);
      await posted(server, 1);
      const [request] = server.requests;
      assert.deepEqual([request?.method, request?.target], ['POST', '/in?x=1']);
      assert.equal(fieldOf(request, 'content-type'), type);
      assert.equal(fieldOf(request, 'authorization'), 'Token abc');
      assert.equal(request?.body.toString(), body(routeId(url)));
    });
  }

  it('posts what waits when no further request comes', async () => {
    await using server = await startProvider(accept);
    const url = await route(server.url, { inactive_timeout: 1 });
    await send(url, 3);
    assert.equal(server.requests.length, 0);
    assert.deepEqual(numbers(await posted(server, 1)), ['1', '2', '3']);
  });

  it('delivers what an old configuration of the route has gathered', async () => {
    await using server = await startProvider(accept);
    const url = await route(server.url, { inactive_timeout: 1 });
    await send(url, 2);
    const id = routeId(url);
    await stage.gateway.putRoute(id, { uri: `/${id}`, ...plugins(stage.provider, {}) });
    await send(url, 1, 3);
    assert.deepEqual(numbers(await posted(server, 1)), ['1', '2']);
  });

  it('accepts any certificate of the log server unless ssl_verify is set', async () => {
    await using server = await startProvider(accept, { tls: selfSignedCertificate });
    const lax = await route(`${server.url}/lax`, { batch_max_size: 1 });
    await send(lax, 1);
    await posted(server, 1);
    const strict = await route(`${server.url}/strict`, { batch_max_size: 1, ssl_verify: true });
    await send(strict, 1);
    await eventually(
      () => /\/strict.*lost_entries=1.*self-signed/.test(stage.gateway.errorLog()),
      undefined,
      'the report',
    );
    assert.equal(server.requests.length, 1);
  });

  it('posts again what a server has refused with 500, until it recovers', async () => {
    let failures = 3;
    await using server = await startProvider((...call) => answerJson({}, failures-- > 0 ? 500 : 200)(...call));
    const url = await route(server.url, { batch_max_size: 2, max_retry_count: 5, retry_delay: 0 });
    await send(url, 2);
    const bodies = await posted(server, 4);
    assert.equal(new Set(bodies).size, 1);
    assert.ok(!stage.gateway.errorLog().includes(server.url));
  });

  it('a server that stays away costs entries, which are counted, and later ones arrive when it is back', async () => {
    const port = await freePort();
    const auth_header = 'Bearer canary-of-the-log-server';
    const url = await route(`http://127.0.0.1:${port}/gone?key=canary`, { batch_max_size: 1, auth_header });
    await send(url, 3);
    await eventually(
      () => /\/gone.*lost_entries=1 reason=.*ECONNREFUSED/.test(stage.gateway.errorLog()),
      undefined,
      'it',
    );
    const reports = stage.gateway.errorLog().match(/.*\/gone.*/g);
    assert.equal(reports?.length, 1, 'not a line for each entry');
    assert.doesNotMatch(stage.gateway.errorLog() + stage.gateway.output(), /canary/);

    const back = createServer((request, response) => void request.resume().on('end', () => response.end()));
    back.listen(port, '127.0.0.1');
    await once(back, 'listening');
    const posts = once(back, 'request');
    await send(url, 1, 4);
    await posts;
    back.closeAllConnections();
    back.close();
  });

  it('a server that never answers delays no request; the newest entries are kept and the others counted', async () => {
    let silent = true;
    await using server = await startProvider((...call) => {
      if (!silent) accept(...call);
    });
    const limits = { batch_max_size: 2, max_pending_entries: 4, timeout: 2, inactive_timeout: 1 };
    const url = await route(server.url, limits);
    const started = performance.now();
    await send(url, 12);
    assert.ok(performance.now() - started < 1900, 'all were answered before the first attempt has timed out');
    silent = false;
    assert.deepEqual(numbers(await posted(server, 2)), ['1', '2', '11', '12']);
    assert.match(
      stage.gateway.errorLog(),
      new RegExp(`uri=${server.url}/? lost_entries=1 reason="entries come faster`),
    );
  });

  const refused: [about: string, conf: object, message: RegExp][] = [
    ['no uri', {}, /property \\"uri\\" is required/],
    ['a uri without scheme', { uri: 'logs.example.com' }, /property \\"uri\\" validation failed: expected a URL/],
    ['another scheme', { uri: 'ftp://logs.example.com' }, /property \\"uri\\" validation failed: expected a URL/],
    [
      'a header of two lines',
      { uri: 'http://h', auth_header: 'a\r\nX: b' },
      /property \\"auth_header\\" validation failed/,
    ],
    [
      'another concat_method',
      { uri: 'http://h', concat_method: 'xml' },
      /property \\"concat_method\\" validation failed/,
    ],
    ['a batch of nothing', { uri: 'http://h', batch_max_size: 0 }, /property \\"batch_max_size\\" validation failed/],
    [
      'a condition that is none',
      { uri: 'http://h', include_resp_body_expr: [['nothing', '==', 1]] },
      /'include_resp_body_expr' expression: unknown variable 'nothing'/,
    ],
  ];
  for (const [about, conf, message] of refused) {
    it(`is refused with ${about}`, async () => {
      const answer = await stage.gateway.admin('PUT', '/routes/bad', { uri: '/bad', plugins: { 'http-logger': conf } });
      assert.equal(answer.status, 400);
      assert.match(JSON.stringify(answer.body), message);
    });
  }
});

describe('when the gateway ends', { concurrency: true }, () => {
  it('what waits for a log server is posted, and what waits for a file is written', async () => {
    await using provider = await startProvider(answerJson(chatAnswer));
    await using server = await startProvider(accept);
    const loggers = { 'http-logger': { uri: server.url }, 'file-logger': { path: 'end.log' } };
    await using gateway = await startGateway({ routes: { end: { uri: '/end', ...plugins(provider, loggers) } } });
    await post(`${gateway.url}/end`);
    await post(`${gateway.url}/end`);
    assert.equal(await gateway.stop(), 0);
    const [body = '[]'] = await posted(server, 1);
    assert.equal((JSON.parse(body) as Entry[]).length, 2);
    assert.equal(gateway.readLog('../end.log').split('\n').length, 3);
  });

  it('a silent log server does not hold it up, and the entries are counted as lost', async () => {
    await using provider = await startProvider(answerJson(chatAnswer));
    await using server = await startIdleServer();
    const loggers = { 'http-logger': { uri: server.url, timeout: 60, max_retry_count: 9 } };
    await using gateway = await startGateway({ routes: { end: { uri: '/end', ...plugins(provider, loggers) } } });
    await post(`${gateway.url}/end`);
    const started = performance.now();
    assert.equal(await gateway.stop(), 0);
    assert.ok(performance.now() - started < 5000);
    await gateway.untilErrorLog(/lost_entries=1 reason="the gateway ended"/);
  });
});

function exists(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false }) !== undefined;
}
