import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, type OutgoingHttpHeaders } from 'node:http2';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { after, before, describe, test } from 'node:test';
import { setDefaultCACertificates, getCACertificates } from 'node:tls';
import OpenAI from 'openai';
import { parse, stringify } from 'yaml';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { freePort } from './support/free-port.ts';
import { eventually } from './support/gateway.ts';
import { answerJson, chatAnswer, fieldOf, textEvent } from './support/mock-provider.ts';
import {
  clientCertificates,
  gatewayCa,
  gatewayCertificates,
  testCa,
  type CertificateFixture,
} from './support/tls-fixtures.ts';

const { a, aRenewed, b, wildcard } = gatewayCertificates;
const question = { model: 'm', messages: [{ role: 'user' as const, content: 'What is 1+1?' }] };

const variables = [
  'request_uri',
  'request',
  'status',
  'scheme',
  'https',
  'server_protocol',
  'server_port',
  'ssl_protocol',
  'ssl_cipher',
  'ssl_server_name',
  'ssl_client_verify',
  'upstream_status',
  'weir_error',
] as const;
const http = {
  access_log_format: `{${variables.map((name) => `"${name}":"$${name}"`).join(',')}}`,
  access_log_format_escape: 'json',
};

let stage: AiStage;
let port: number;

before(async () => {
  // For clients that take no authority of their own, such as fetch.
  setDefaultCACertificates([...getCACertificates('default'), gatewayCa]);
  stage = await startStage({
    workers: 2,
    config: { apisix: { ssl: { enable: true, listen: [{ ip: '127.0.0.1', port: 0 }] } }, nginx_config: { http } },
  });
  port = Number(new URL(stage.gateway.tlsUrl).port);
  await putSsl('a', { snis: ['a.example', 'localhost'] }, a);
});

after(() => stage[Symbol.asyncDispose]());

async function putSsl(id: string, names: object, { cert, key }: CertificateFixture): Promise<void> {
  const answer = await stage.gateway.admin('PUT', `/ssls/${id}`, { cert, key, ...names });
  assert.ok(answer.status < 300, JSON.stringify(answer));
}

type AskOptions = Omit<RequestOptions, 'headers'> & {
  readonly hostHeader?: string;
  readonly ALPNProtocols?: string[];
};

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly shown: string;
}

/** Sends a chat over HTTPS on a connection of its own. */
async function ask(path: string, { hostHeader, ...options }: AskOptions): Promise<Answer> {
  const outgoing = httpsRequest({
    host: '127.0.0.1',
    port,
    path,
    method: 'POST',
    ca: gatewayCa,
    agent: false,
    ...options,
    headers: { 'Content-Type': 'application/json', Host: hostHeader ?? options.servername ?? 'a.example' },
  });
  outgoing.end(JSON.stringify(question));
  const [response] = await once(outgoing, 'response');
  const shown = String(response.socket.getPeerCertificate().subject.CN);
  let text = '';
  for await (const piece of response) text += String(piece);
  return { status: response.statusCode, text, shown };
}

async function logged(path: string): Promise<Record<string, string>> {
  const [line = ''] = await stage.gateway.accessLog(`"request_uri":"${path}"`);
  return JSON.parse(line) as Record<string, string>;
}

async function routePath(route: object = {}): Promise<string> {
  return new URL(await stage.route({}, route)).pathname;
}

describe('a gateway with TLS', { timeout: 120_000 }, () => {
  test('serves the official OpenAI client over HTTPS, whole and streamed', async () => {
    await routePath({ uri: '/openai/*' });
    const client = new OpenAI({
      baseURL: `https://localhost:${port}/openai/v1`,
      apiKey: 'k',
      maxRetries: 0,
      logLevel: 'off',
    });
    const answer = await client.chat.completions.create(question);
    assert.equal(answer.choices[0]?.message.content, '2');

    stage.provider.answer = (_req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      for (const word of ['one', ' two']) res.write(textEvent(word));
      res.end('data: [DONE]\n\n');
    };
    let text = '';
    for await (const event of await client.chat.completions.create({ ...question, stream: true })) {
      text += event.choices[0]?.delta.content ?? '';
    }
    stage.provider.answer = answerJson(chatAnswer);
    assert.equal(text, 'one two');
  });

  test('tells logs how the client came', async () => {
    const path = await routePath();
    assert.equal((await ask(path, { servername: 'a.example' })).status, 200);
    const { ssl_cipher, ...line } = await logged(path);
    assert.match(ssl_cipher ?? '', /^TLS_/);
    assert.deepEqual(line, {
      request_uri: path,
      request: `POST ${path} HTTP/1.1`,
      status: '200',
      scheme: 'https',
      https: 'on',
      server_protocol: 'HTTP/1.1',
      server_port: String(port),
      ssl_protocol: 'TLSv1.3',
      ssl_server_name: 'a.example',
      ssl_client_verify: 'NONE',
      upstream_status: '200',
      weir_error: '',
    });
  });

  test('serves plain HTTP beside it, and says so in the log', async () => {
    const url = await stage.route();
    await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(question),
    });
    const { scheme, https, ssl_protocol } = await logged(new URL(url).pathname);
    assert.deepEqual([scheme, https, ssl_protocol], ['http', '', '']);
  });

  test('can route by the scheme', async () => {
    const path = await routePath({ vars: [['scheme', '==', 'https']] });
    assert.equal((await ask(path, { servername: 'a.example' })).status, 200);
    assert.equal((await fetch(stage.gateway.url + path, { method: 'POST' })).status, 404);
  });

  test('shows new certificates to all its workers without a restart, and keeps keys to itself', async () => {
    const path = await routePath();
    const shown = async (name: string): Promise<string[]> => {
      const answers = await Promise.all(Array.from({ length: 12 }, () => ask(path, { servername: name })));
      return [...new Set(answers.map((answer) => answer.shown))];
    };
    await assert.rejects(ask(path, { servername: 'new.wild.example' }), /unrecognized name/);
    await putSsl('wild', { sni: '*.wild.example' }, wildcard);
    assert.deepEqual(await shown('new.wild.example'), ['wildcard']);
    await putSsl('a', { snis: ['a.example', 'localhost'] }, aRenewed);
    assert.deepEqual(await shown('a.example'), ['a-renewed']);
    await stage.gateway.admin('DELETE', '/ssls/wild');
    await assert.rejects(ask(path, { servername: 'new.wild.example' }), /unrecognized name/);
    const said = stage.gateway.output() + stage.gateway.errorLog();
    assert.match(said, /there is no certificate for the server that it names sni=new\.wild\.example/);
    for (const { key } of [a, aRenewed, wildcard]) assert.ok(!said.includes(key.split('\n')[1] ?? ''));
  });
});

describe('client certificates', { timeout: 120_000 }, () => {
  let path: string;

  before(async () => {
    await routePath({ uri: '/mtls/*' });
    path = '/mtls/chat';
    await putSsl('b', { sni: 'b.example', client: { ca: gatewayCa, skip_mtls_uri_regex: ['^/mtls/open/'] } }, b);
  });

  const askB = (options: AskOptions = {}, at = path): Promise<Answer> =>
    ask(at, { servername: 'b.example', ...options });

  test('who shows none is told so, by an answer and in the log', async () => {
    const { status, text } = await askB();
    assert.equal(status, 400);
    assert.deepEqual(JSON.parse(text), { error_msg: 'this host asks for a client certificate: NONE' });
    const { ssl_client_verify, weir_error } = await logged(path);
    assert.deepEqual([ssl_client_verify, weir_error], ['NONE', 'CLIENT_CERTIFICATE_REQUIRED']);
  });

  test('who shows one of another authority, or one for servers, is refused', async () => {
    await putSsl('b', { sni: 'b.example', client: { ca: testCa } }, b);
    const [{ cert, key }] = clientCertificates;
    assert.match((await askB({ cert, key })).text, /certificate: FAILED:[A-Z_]+"/);
    await putSsl('b', { sni: 'b.example', client: { ca: gatewayCa, skip_mtls_uri_regex: ['^/mtls/open/'] } }, b);
    const forServers = { cert: wildcard.cert, key: wildcard.key };
    assert.match((await askB(forServers)).text, /FAILED:INVALID_PURPOSE/);
  });

  test('paths of skip_mtls_uri_regex are open', async () => {
    assert.equal((await askB({}, '/mtls/open/chat')).status, 200);
    assert.equal((await askB({}, '/mtls/open/../chat')).status, 400);
  });

  test('a pattern of skip_mtls_uri_regex that backtracks without end opens nothing, and costs 50 ms', async () => {
    const skip_mtls_uri_regex = ['^/mtls/(a+)+$'];
    await putSsl('b', { sni: 'b.example', client: { ca: gatewayCa, skip_mtls_uri_regex } }, b);
    assert.equal((await askB({}, '/mtls/aaa')).status, 200);
    assert.equal((await askB({}, `/mtls/${'a'.repeat(60)}!`)).status, 400);
  });

  for (const depth of [0, 1, 2]) {
    for (const [between, { cert, key }] of clientCertificates.entries()) {
      const isIn = between <= depth;
      test(`depth ${depth} ${isIn ? 'lets' : 'does not let'} one in with ${between} authorities between`, async () => {
        await putSsl('b', { sni: 'b.example', client: { ca: gatewayCa, depth } }, b);
        const { status, text } = await askB({ cert, key });
        assert.equal(status, isIn ? 200 : 400, text);
        if (!isIn) assert.match(text, /FAILED:CERT_CHAIN_TOO_LONG/);
      });
    }
  }

  test('a host is not reached over a connection that was made for another', async () => {
    await putSsl('b', { sni: 'b.example', client: { ca: gatewayCa } }, b);
    const { status, text } = await ask(path, { servername: 'a.example', hostHeader: 'B.example:443' });
    assert.equal(status, 421);
    assert.match(text, /not made for the host b\.example/);
    assert.equal((await ask(path, { servername: 'a.example', hostHeader: 'b.example.' })).status, 421);
    const [client] = clientCertificates;
    const other = { cert: client.cert, key: client.key, hostHeader: 'unknown.example' };
    assert.equal((await askB({ hostHeader: 'unknown.example' })).status, 400);
    assert.equal((await askB(other)).status, 200);
  });
});

describe('HTTP/2 through the gateway', { timeout: 120_000 }, () => {
  async function open(): Promise<ReturnType<typeof connect>> {
    const session = connect(`https://a.example:${port}`, { ca: gatewayCa, host: '127.0.0.1', servername: 'a.example' });
    session.on('error', () => {});
    await once(session, 'connect');
    return session;
  }

  const post = (path: string): OutgoingHttpHeaders => ({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/json',
  });

  test('an answer, an error and the log', async () => {
    const path = await routePath();
    const session = await open();
    for (const [at, expected] of [
      [path, 200],
      ['/nowhere', 404],
    ] as const) {
      const stream = session.request(post(at));
      stream.end(JSON.stringify(question));
      const [headers] = await once(stream, 'response');
      let text = '';
      for await (const piece of stream) text += String(piece);
      assert.equal(headers[':status'], expected);
      assert.match(text, expected === 200 ? /"content":"2"/ : /404 Route Not Found/);
    }
    session.close();
    const { request, server_protocol, ssl_protocol } = await logged(path);
    assert.deepEqual([request, server_protocol, ssl_protocol], [`POST ${path} HTTP/2.0`, 'HTTP/2.0', 'TLSv1.3']);
  });

  test('a stream arrives event by event; one that its client gives up is aborted upstream and logged as 499', async () => {
    const path = await routePath();
    let write: (text: string) => void = () => {};
    let upstreamClosed: Promise<unknown> = Promise.resolve();
    stage.provider.answer = (_req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      write = (text) => void res.write(textEvent(text));
      upstreamClosed = once(res, 'close');
      write('first');
    };
    const session = await open();
    const stream = session.request(post(path));
    stream.on('error', () => {});
    stream.end(JSON.stringify({ ...question, stream: true }));
    let text = '';
    stream.on('data', (piece: Buffer) => (text += piece.toString()));
    await eventually(() => text.includes('first'));
    for (const word of ['second', 'third']) {
      write(word);
      await eventually(() => text.includes(word));
    }
    stream.close(8);
    await upstreamClosed;
    stage.provider.answer = answerJson(chatAnswer);
    assert.equal((await logged(path))['status'], '499');
    session.close();
  });

  test('an ordinary upstream gets the body as it comes, and is told how the client came', async () => {
    const { host } = new URL(stage.provider.url);
    await stage.gateway.putRoute('plain', { uri: '/plain', upstream: { nodes: { [host]: 1 } } });
    const session = await open();
    const body = Buffer.alloc(3_000_000, 'abc');
    const stream = session.request(post('/plain'));
    stream.end(body);
    const [headers] = await once(stream, 'response');
    await stream.toArray();
    session.close();
    assert.equal(headers[':status'], 200);
    const seen = stage.provider.requests.at(-1);
    assert.ok(seen?.body.equals(body));
    assert.equal(fieldOf(seen, 'x-forwarded-proto'), 'https');
    assert.equal(fieldOf(seen, 'host'), `a.example:${port}`);
  });

  test('many at once on one connection', async () => {
    const path = await routePath();
    const session = await open();
    const statuses = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const stream = session.request(post(path));
        stream.end(JSON.stringify(question));
        const [headers] = await once(stream, 'response');
        await stream.toArray();
        return headers[':status'] as number;
      }),
    );
    assert.deepEqual([...new Set(statuses)], [200]);
    session.close();
  });
});

test('TLS and HTTP/2 can be turned on and off by a reload', { timeout: 120_000 }, async () => {
  await using other = await startStage({ config: { nginx_config: { error_log_level: 'notice' } } });
  const { gateway } = other;
  await gateway.admin('PUT', '/ssls/1', { snis: ['a.example', 'localhost'], cert: a.cert, key: a.key });
  await gateway.untilErrorLog(/there are ssls, but no listener for HTTPS/);
  const url = new URL(await other.route());
  const config = parse(readFileSync(gateway.configFile, 'utf8')) as { apisix: Record<string, unknown> };
  let reloads = 0;
  const reloadWith = async (apisix: Record<string, unknown>): Promise<void> => {
    writeFileSync(gateway.configFile, stringify({ ...config, apisix: { ...config.apisix, ...apisix } }));
    gateway.signal('SIGHUP');
    reloads++;
    await eventually(() => gateway.errorLog().split('was read anew').length === reloads + 1);
  };
  // Port 0 would not be told by a reload.
  const tlsPort = await freePort();
  const ssl = { ssl_trusted_certificate: 'system', enable: true, listen: [{ ip: '127.0.0.1', port: tlsPort }] };
  await reloadWith({ ssl });
  const session = connect(`https://localhost:${tlsPort}`, { ca: gatewayCa });
  await once(session, 'connect');
  assert.equal(session.alpnProtocol, 'h2');
  session.close();
  await reloadWith({ ssl, enable_http2: false });
  const answer = await ask(url.pathname, { port: tlsPort, servername: 'localhost', ALPNProtocols: ['h2', 'http/1.1'] });
  assert.equal(answer.status, 200);
});
