import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import {
  connect,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { connect as connectPlain } from 'node:net';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { WeirError } from '../src/base/errors.ts';
import type { Exchange } from '../src/http/exchange.ts';
import type { ExchangeHandler, ServerTimeouts } from '../src/http/server-connection.ts';
import { EchoHandler, startServer, type SeenRequest, type TestServer } from './support/echo-server.ts';
import { eventually } from './support/gateway.ts';
import { endHeaders, endStream, frameTypes, RawHttp2 } from './support/raw-http2.ts';
import { gatewayCa, gatewayCertificates } from './support/tls-fixtures.ts';
import { TlsServer } from './support/tls-server.ts';

const { a } = gatewayCertificates;
const ssls = { 1: { sni: 'a.example', cert: a.cert, key: a.key, status: 1, type: 'server' } };

function startHttp2(handler: ExchangeHandler, timeouts: Partial<ServerTimeouts> = {}): Promise<TestServer> {
  return startServer(handler, timeouts, { cleartextHttp2: true });
}

/** Handles every request with this function. */
function handlerOf(onRequest: (exchange: Exchange) => void): ExchangeHandler {
  return {
    onRequest,
    onRefused: (exchange, error: WeirError) => exchange.respond(error.status, [], error.code),
  };
}

function openSession(t: TestContext, port: number): ClientHttp2Session {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on('error', () => {});
  t.after(() => session.destroy());
  return session;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
  /** Of the reset, 0 for none. */
  readonly code: number;
}

async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  let headers: Record<string, unknown> = {};
  const pieces: Buffer[] = [];
  stream.on('response', (given) => (headers = given));
  stream.on('data', (piece: Buffer) => pieces.push(piece));
  stream.on('error', () => {});
  await new Promise((resolve) => stream.once('close', resolve));
  return { status: Number(headers[':status'] ?? 0), headers, body: Buffer.concat(pieces), code: stream.rstCode ?? 0 };
}

function ask(session: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: Buffer | string): Promise<Answer> {
  const stream = session.request(headers, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return answerOf(stream);
}

test('over TLS, HTTP/2 is chosen by ALPN where it is offered, and HTTP/1.1 otherwise', async () => {
  const handler = new EchoHandler();
  await using server = await TlsServer.start(handler, { ssls });
  await using old = await TlsServer.start(handler, { ssls, tls: { protocols: ['http/1.1'] } });
  const protocols = { ALPNProtocols: ['h2', 'http/1.1'] };
  assert.equal((await server.connect('a.example', protocols)).alpnProtocol, 'h2');
  assert.equal((await server.connect('a.example', { ALPNProtocols: ['http/1.1'] })).alpnProtocol, 'http/1.1');
  assert.equal((await server.connect('a.example')).alpnProtocol, false);
  assert.equal((await old.connect('a.example', protocols)).alpnProtocol, 'http/1.1');

  const session = connect(`https://a.example:${server.port}`, {
    ca: gatewayCa,
    host: '127.0.0.1',
    servername: 'a.example',
  });
  const { status, headers, body } = await ask(
    session,
    { ':path': '/x?y', ':method': 'POST', cookie: ['a=1', 'b=2'] },
    'hi',
  );
  session.close();
  assert.deepEqual([status, headers['server'], headers['content-type']], [200, 'test', 'application/json']);
  assert.ok(Date.parse(String(headers['date'])) > 0);
  assert.equal(Number(headers['content-length']), body.length);
  const seen = JSON.parse(body.toString()) as SeenRequest;
  assert.deepEqual(seen, {
    method: 'POST',
    target: '/x?y',
    host: 'a.example',
    minorVersion: 1,
    fields: ['host', `a.example:${server.port}`, 'cookie', 'a=1; b=2'],
    body: 'hi',
  });
});

test('curl speaks HTTP/2 with and without TLS', async (t) => {
  const run = promisify(execFile);
  const { stdout: features } = await run('curl', ['--version']).catch(() => ({ stdout: '' }));
  if (!features.includes('HTTP2')) return t.skip('there is no curl with HTTP/2 here');
  const handler = new EchoHandler();
  await using tls = await TlsServer.start(handler, { ssls });
  await using plain = await startHttp2(handler);
  const show = ['-s', '-w', ' %{http_version}', '-o', '/dev/null', '-d', 'x=1'];
  const named = ['--resolve', `a.example:${tls.port}:127.0.0.1`, '-k', `https://a.example:${tls.port}/`];
  assert.equal((await run('curl', [...show, '--http2', ...named])).stdout, ' 2');
  assert.equal((await run('curl', [...show, '--http1.1', ...named])).stdout, ' 1.1');
  const url = `http://127.0.0.1:${plain.port}/`;
  assert.equal((await run('curl', [...show, '--http2-prior-knowledge', url])).stdout, ' 2');
  assert.equal((await run('curl', [...show, url])).stdout, ' 1.1');
  assert.equal(handler.requests.length, 4);
});

test('a plain port serves HTTP/1.1 and HTTP/2 side by side, however the first bytes are split', async (t) => {
  await using server = await startHttp2(new EchoHandler());
  const raw = connectPlain(server.port, '127.0.0.1').setNoDelay(true);
  let text = '';
  raw.on('data', (bytes: Buffer) => (text += bytes.toString()));
  for (const character of 'POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET /q HTTP/1.1\r\nHost: a\r\n\r\n') {
    raw.write(character);
  }
  await eventually(() => text.includes('"target":"/p"') && text.includes('"target":"/q"'));
  raw.destroy();

  assert.equal((await ask(openSession(t, server.port), { ':path': '/' })).status, 200);
  const slow = connectPlain(server.port, '127.0.0.1').setNoDelay(true);
  await once(slow, 'connect');
  const client = await RawHttp2.connect(server.port, slow);
  client.headers(1, rawRequest);
  assert.equal(await client.outcome(1), 'answered');
  slow.destroy();
});

test('a port without HTTP/2 refuses its preface as it refuses every unknown method', async () => {
  await using server = await startServer(new EchoHandler());
  const socket = connectPlain(server.port, '127.0.0.1');
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  assert.match(bytes.toString(), /^HTTP\/1\.1 400 /);
  socket.destroy();
});

test('many requests at once on one connection', async (t) => {
  await using server = await startHttp2(new EchoHandler());
  const session = openSession(t, server.port);
  const answers = await Promise.all(
    Array.from({ length: 300 }, (_, i) => ask(session, { ':path': `/${i}`, ':method': 'POST' }, `body ${i}`)),
  );
  for (const [i, { status, body }] of answers.entries()) {
    const seen = JSON.parse(body.toString()) as SeenRequest;
    assert.deepEqual([status, seen.target, seen.body], [200, `/${i}`, `body ${i}`]);
  }
});

test('large bodies in both directions', async (t) => {
  const bytes = Buffer.alloc(5_000_000, 'abcdefghij');
  await using server = await startHttp2(
    handlerOf((exchange) => void exchange.readBody(Infinity).then((body) => exchange.respond(200, [], body))),
  );
  const { body, status } = await ask(openSession(t, server.port), { ':path': '/', ':method': 'POST' }, bytes);
  assert.equal(status, 200);
  assert.ok(body.equals(bytes));
});

test('a client that takes nothing stops the one who writes, and lets him go on when it does', async (t) => {
  let written = 0;
  const total = 8_000_000;
  const piece = Buffer.alloc(10_000, 'x');
  await using server = await startHttp2(
    handlerOf((exchange) => {
      exchange.begin(200, []);
      const writeOn = (): void => {
        while (written < total) {
          written += piece.length;
          if (!exchange.write(piece)) return;
        }
        exchange.end();
      };
      exchange.listener = { onDrain: writeOn };
      writeOn();
    }),
  );
  const stream = openSession(t, server.port).request({ ':path': '/' });
  await once(stream, 'response');
  await eventually(() => written > 0);
  assert.ok(written < 1_000_000, `${written} bytes were written`);
  assert.equal((await answerOf(stream)).body.length, total);
});

test('large answers that a client does not take keep no other request out', async (t) => {
  await using server = await startHttp2(
    handlerOf((exchange) =>
      exchange.respond(200, [], exchange.head.target === '/large' ? Buffer.alloc(12_000_000) : 'small'),
    ),
  );
  const session = openSession(t, server.port);
  const large = session.request({ ':path': '/large' });
  await once(large, 'response');
  for (let i = 0; i < 3; i++) {
    const { status, body } = await ask(session, { ':path': '/small' });
    assert.deepEqual([status, body.toString()], [200, 'small']);
  }
  assert.equal((await answerOf(large)).body.length, 12_000_000);
});

test('a body that nobody reads stays with its client', async (t) => {
  let received = 0;
  let wantMore = (): void => {};
  await using server = await startHttp2(
    handlerOf((exchange) => {
      exchange.streamBody(Infinity, {
        onBody: (bytes) => {
          received += bytes.length;
          return received >= total;
        },
        onBodyEnd: () => exchange.respond(200, [], String(received)),
        onBodyError: () => exchange.cut(),
      });
      wantMore = () => {
        total = 0;
        exchange.resumeBody();
      };
    }),
  );
  let total = Infinity;
  const stream = openSession(t, server.port).request({ ':path': '/', ':method': 'POST' });
  const sent = Buffer.alloc(4_000_000, 'x');
  const answer = answerOf(stream);
  stream.end(sent);
  await eventually(() => received > 0);
  // A ping's answer comes after what was sent before it.
  await new Promise((resolve) => stream.session?.ping(resolve));
  assert.ok(received <= 256 * 1024, `${received} bytes were read`);
  wantMore();
  assert.equal((await answer).body.toString(), String(sent.length));
});

test('a stream of events arrives event by event', async (t) => {
  const exchanges: Exchange[] = [];
  await using server = await startHttp2(
    handlerOf((exchange) => {
      exchanges.push(exchange);
      exchange.begin(200, [
        'Content-Type',
        'text/event-stream',
        'Connection',
        'keep-alive',
        'TE',
        'gzip',
        'Upgrade',
        'x',
      ]);
    }),
  );
  const stream = openSession(t, server.port).request({ ':path': '/' });
  const events: string[] = [];
  stream.on('data', (bytes: Buffer) => events.push(bytes.toString()));
  await eventually(() => exchanges.length === 1);
  for (let i = 0; i < 5; i++) {
    exchanges[0]?.write(Buffer.from(`data: ${i}\n\n`));
    await eventually(() => events.length === i + 1);
  }
  exchanges[0]?.end(Buffer.from('data: [DONE]\n\n'));
  await once(stream, 'end');
  assert.deepEqual(events, [...[0, 1, 2, 3, 4].map((i) => `data: ${i}\n\n`), 'data: [DONE]\n\n']);
});

test('the head of an answer leaves early when it is asked for', async (t) => {
  await using server = await startHttp2(
    handlerOf((exchange) => {
      exchange.begin(200, ['X-Early', 'yes']);
      exchange.flush();
    }),
  );
  const [headers] = (await once(openSession(t, server.port).request({ ':path': '/' }), 'response')) as [object];
  assert.equal(Reflect.get(headers, 'x-early'), 'yes');
});

test('answers without a body have none', async (t) => {
  await using server = await startHttp2(
    handlerOf((exchange) => exchange.respond(Number(exchange.head.target.slice(1)), ['X-A', 'b'], 'body')),
  );
  const session = openSession(t, server.port);
  const rows = await Promise.all([
    ask(session, { ':path': '/200', ':method': 'HEAD' }),
    ask(session, { ':path': '/204' }),
    ask(session, { ':path': '/304' }),
    ask(session, { ':path': '/200' }),
  ]);
  assert.deepEqual(
    rows.map(({ status, headers, body, code }) => [status, headers['content-length'], body.toString(), code]),
    [
      [200, '4', '', 0],
      [204, undefined, '', 0],
      [304, undefined, '', 0],
      [200, '4', 'body', 0],
    ],
  );
});

test('spaces around the value of a field are left out: clients would drop the field, or the answer', async (t) => {
  await using server = await startHttp2(
    handlerOf((exchange) => exchange.respond(200, ['X-Both', ' \ta b \t', 'X-Only', '  '])),
  );
  const { headers } = await ask(openSession(t, server.port), { ':path': '/' });
  assert.deepEqual([headers['x-both'], headers['x-only']], ['a b', '']);
});

test('fields that stand twice in an answer stay two', async (t) => {
  await using server = await startHttp2(
    handlerOf((exchange) =>
      exchange.respond(200, ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'ETag', 'x', 'ETag', 'y']),
    ),
  );
  const { headers } = await ask(openSession(t, server.port), { ':path': '/' });
  assert.deepEqual(headers['set-cookie'], ['a=1', 'b=2']);
  assert.match(String(headers['etag']), /^x(, y)?$/);
});

test('a client that resets its stream has left; the others on the connection are served', async (t) => {
  const exchanges: Exchange[] = [];
  let aborts = 0;
  await using server = await startHttp2(
    handlerOf((exchange) => {
      exchanges.push(exchange);
      exchange.listener = { onAbort: () => aborts++ };
      exchange.begin(200, []);
      exchange.write(Buffer.from('first'));
    }),
  );
  const session = openSession(t, server.port);
  const leaving = session.request({ ':path': '/leaving' });
  await once(leaving, 'data');
  const staying = session.request({ ':path': '/staying' });
  const answer = answerOf(staying);
  leaving.close(constants.NGHTTP2_CANCEL);
  await eventually(() => aborts === 1);
  const [left, stayed] = exchanges;
  assert.deepEqual([left?.aborted, left?.ended, stayed?.aborted], [true, true, false]);
  left?.write(Buffer.from('goes nowhere'));
  left?.end();
  stayed?.end(Buffer.from(' last'));
  assert.equal((await answer).body.toString(), 'first last');
  assert.equal(aborts, 1);
});

test('a client that leaves with its connection leaves all its streams, also in the middle of a body', async (t) => {
  const failures: string[] = [];
  let begun = 0;
  await using server = await startHttp2(
    handlerOf((exchange) => {
      begun++;
      exchange.readBody(Infinity).catch((error: WeirError) => failures.push(error.code));
    }),
  );
  const session = openSession(t, server.port);
  for (let i = 0; i < 3; i++)
    session
      .request({ ':path': '/', ':method': 'POST' })
      .on('error', () => {})
      .write('half');
  await eventually(() => begun === 3);
  session.destroy();
  await eventually(() => failures.length === 3);
  assert.deepEqual([...new Set(failures)], ['CLIENT_CLOSED_REQUEST']);
});

test('a body that ends with a reset is not taken for complete', async (t) => {
  const outcomes: string[] = [];
  await using server = await startHttp2(
    handlerOf((exchange) => {
      exchange.readBody(Infinity).then(
        () => outcomes.push('complete'),
        (error: WeirError) => outcomes.push(error.code),
      );
    }),
  );
  const stream = openSession(t, server.port).request({ ':path': '/', ':method': 'POST' });
  stream.on('error', () => {});
  stream.write('half');
  await new Promise((resolve) => stream.session?.ping(resolve));
  stream.close(constants.NGHTTP2_NO_ERROR);
  await eventually(() => outcomes.length > 0);
  assert.deepEqual(outcomes, ['CLIENT_CLOSED_REQUEST']);
});

test('an answer that is cut is reset: no client takes it for complete', async (t) => {
  await using server = await startHttp2(
    handlerOf((exchange) => {
      exchange.begin(200, []);
      exchange.write(Buffer.from('half'));
      setImmediate(() => exchange.cut());
    }),
  );
  assert.equal((await ask(openSession(t, server.port), { ':path': '/' })).code, constants.NGHTTP2_INTERNAL_ERROR);
});

test('an answer before the end of a body is complete, and stops the body', async (t) => {
  await using server = await startHttp2(handlerOf((exchange) => exchange.respond(413, [], 'too large')));
  const stream = openSession(t, server.port).request({ ':path': '/', ':method': 'POST' });
  stream.write(Buffer.alloc(1_000_000));
  const { status, body, code } = await answerOf(stream);
  assert.deepEqual([status, body.toString(), code], [413, 'too large', constants.NGHTTP2_NO_ERROR]);
});

test('empty answers are answers, one after another and before the end of a body', async (t) => {
  await using server = await startHttp2(handlerOf((exchange) => exchange.respond(200, [])));
  const session = openSession(t, server.port);
  for (let i = 0; i < 3; i++) assert.equal((await ask(session, { ':path': '/' })).status, 200);
  const stream = session.request({ ':path': '/', ':method': 'POST' });
  stream.write('half');
  const { status, code } = await answerOf(stream);
  assert.deepEqual([status, code], [200, 0]);
});

test('over TLS as well, who leaves is noticed and a drain ends', async () => {
  let aborts = 0;
  const exchanges: Exchange[] = [];
  const handler = handlerOf((exchange) => {
    exchanges.push(exchange);
    exchange.listener = { onAbort: () => aborts++ };
  });
  await using server = await TlsServer.start(handler, { ssls });
  const options = { ca: gatewayCa, host: '127.0.0.1', servername: 'a.example' };
  const leaving = connect(`https://a.example:${server.port}`, options);
  leaving.request({ ':path': '/' }).on('error', () => {});
  await eventually(() => exchanges.length === 1);
  assert.equal(exchanges[0]?.connection.tls?.protocol, 'TLSv1.3');
  leaving.destroy();
  await eventually(() => aborts === 1);

  const session = connect(`https://a.example:${server.port}`, options);
  const answer = ask(session, { ':path': '/' });
  await eventually(() => exchanges.length === 2);
  const drained = server.listener.drain();
  exchanges[1]?.respond(200, [], 'bye');
  assert.equal((await answer).body.toString(), 'bye');
  await drained;
});

test('a body larger than what is read fails, announced or not', async (t) => {
  await using server = await startHttp2(new EchoHandler(1000));
  const session = openSession(t, server.port);
  const announced = { ':path': '/', ':method': 'POST', 'content-length': 2000 };
  assert.equal((await ask(session, announced, Buffer.alloc(2000))).status, 413);
  assert.equal((await ask(session, { ':path': '/', ':method': 'POST' }, Buffer.alloc(2000))).status, 413);
});

test('Expect: 100-continue is answered when the body is wanted; trailers are read over', async (t) => {
  await using server = await startHttp2(new EchoHandler());
  const session = openSession(t, server.port);
  const stream = session.request(
    { ':path': '/', ':method': 'POST', expect: '100-continue' },
    { waitForTrailers: true },
  );
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-trailer': 'ignored' }));
  const answer = answerOf(stream);
  await once(stream, 'continue');
  stream.end('now');
  const seen = JSON.parse((await answer).body.toString()) as SeenRequest;
  assert.equal(seen.body, 'now');
  assert.ok(!seen.fields.includes('x-trailer'));
  assert.equal((await ask(session, { ':path': '/', expect: 'a miracle' })).status, 417);
});

test('a drain says GOAWAY, finishes what runs and takes nothing new', async (t) => {
  const exchanges: Exchange[] = [];
  await using server = await startHttp2(handlerOf((exchange) => void exchanges.push(exchange)));
  const session = openSession(t, server.port);
  const running = ask(session, { ':path': '/' });
  await eventually(() => exchanges.length === 1);
  const goaway = once(session, 'goaway');
  const drained = server.listener.drain();
  await goaway;
  await eventually(() => session.closed);
  exchanges[0]?.respond(200, [], 'to its end');
  assert.equal((await running).body.toString(), 'to its end');
  await drained;
  assert.equal(exchanges.length, 1);
});

test('an idle connection ends with a drain, also when its client does not close it', async (t) => {
  await using server = await startHttp2(new EchoHandler());
  const session = openSession(t, server.port);
  await ask(session, { ':path': '/' });
  await server.listener.drain();
});

test('a cut lets those that can end their answer themselves, and resets the others', async (t) => {
  await using server = await startHttp2(
    handlerOf((exchange) => {
      exchange.begin(200, []);
      exchange.write(Buffer.from('begun '));
      if (exchange.head.target === '/tells') exchange.listener = { onCut: () => exchange.end(Buffer.from('and cut')) };
    }),
  );
  const session = openSession(t, server.port);
  const told = session.request({ ':path': '/tells' });
  const reset = session.request({ ':path': '/silent' });
  const answers = Promise.all([answerOf(told), answerOf(reset)]);
  await Promise.all([once(told, 'data'), once(reset, 'data')]);
  server.listener.cut();
  const [one, other] = await answers;
  assert.deepEqual([one.body.toString(), one.code], ['begun and cut', 0]);
  assert.deepEqual([other.body.toString(), other.code], ['begun ', constants.NGHTTP2_INTERNAL_ERROR]);
});

// ---- time ------------------------------------------------------------------------------------------------------------

const timeRows: readonly (readonly [
  what: string,
  timeouts: Partial<ServerTimeouts>,
  act: (session: ClientHttp2Session) => Promise<unknown>,
])[] = [
  ['asks for nothing', { headMs: 100 }, () => Promise.resolve()],
  ['is idle after a request', { keepAliveMs: 100 }, (session) => ask(session, { ':path': '/' })],
];

for (const [what, timeouts, act] of timeRows) {
  test(`a connection that ${what} is closed in time, pings or not`, async (t) => {
    await using server = await startHttp2(new EchoHandler(), timeouts);
    const session = openSession(t, server.port);
    const closed = once(session, 'close');
    await act(session);
    const pings = setInterval(() => session.closed || session.destroyed || session.ping(() => {}), 20);
    await closed;
    clearInterval(pings);
  });
}

test('a body that stalls is answered with 408', async (t) => {
  await using server = await startHttp2(new EchoHandler(), { bodyMs: 100 });
  const stream = openSession(t, server.port).request({ ':path': '/', ':method': 'POST' });
  stream.write('half');
  const { status, body } = await answerOf(stream);
  assert.deepEqual([status, body.toString()], [408, 'the request did not arrive in time: the body stalled']);
});

test('a client that takes nothing of an answer is reset, whether more is to come or not', async (t) => {
  const aborted: string[] = [];
  await using server = await startHttp2(
    handlerOf((exchange) => {
      exchange.listener = { onAbort: () => aborted.push(exchange.head.target) };
      if (exchange.head.target === '/whole') return exchange.respond(200, [], Buffer.alloc(1_000_000));
      exchange.begin(200, []);
      exchange.write(Buffer.alloc(1_000_000));
    }),
    { sendMs: 100 },
  );
  const session = openSession(t, server.port);
  for (const path of ['/whole', '/pieces']) {
    const stream = session.request({ ':path': path });
    stream.on('error', () => {});
    await new Promise((resolve) => stream.once('response', resolve));
    await new Promise((resolve) => stream.once('close', resolve));
    assert.equal(stream.rstCode, constants.NGHTTP2_INTERNAL_ERROR, path);
  }
  assert.deepEqual(aborted, ['/pieces']);
});

// ---- hostile clients -------------------------------------------------------------------------------------------------

const rawRequest = [':method', 'GET', ':scheme', 'http', ':authority', 'a', ':path', '/'];

const hostileHeads: readonly (readonly [what: string, fields: readonly string[]])[] = [
  ['a name in upper case', [...rawRequest, 'X-Upper', 'y']],
  ['a field of the connection', [...rawRequest, 'connection', 'close']],
  ['a transfer coding', [...rawRequest, 'transfer-encoding', 'chunked']],
  ['te: gzip', [...rawRequest, 'te', 'gzip']],
  ['a pseudo field behind others', [':method', 'GET', 'x', 'y', ':scheme', 'http', ':authority', 'a', ':path', '/']],
  ['a pseudo field twice', [...rawRequest, ':path', '/b']],
  ['no path', rawRequest.slice(0, 6)],
  ['a path with a line break', [...rawRequest.slice(0, 7), '/ HTTP/1.1\r\nx: y']],
  ['an authority with a line break', [':method', 'GET', ':scheme', 'http', ':authority', 'a\r\nx: y', ':path', '/']],
  ['a method with a space', [':method', 'GET /', ...rawRequest.slice(2)]],
  ['a Host that differs', [...rawRequest, 'host', 'b']],
  ['a length without a body', [...rawRequest, 'content-length', '5']],
  ['two lengths', [...rawRequest, 'content-length', '0', 'content-length', '0']],
  ['CONNECT', [':method', 'CONNECT', ':authority', 'a:443']],
  ['an extended CONNECT', [':method', 'CONNECT', ':protocol', 'websocket', ...rawRequest.slice(2)]],
];

for (const [what, fields] of hostileHeads) {
  test(`a request with ${what} reaches nobody`, async () => {
    const handler = new EchoHandler();
    await using server = await startHttp2(handler);
    const client = await RawHttp2.connect(server.port);
    client.headers(1, fields);
    const outcome = await client.outcome(1);
    if (outcome === 'answered') assert.ok(handler.refusals[0]?.status === 400);
    assert.deepEqual(handler.requests, []);
    client.socket.destroy();
  });
}

for (const value of ['y\r\nsmuggled: 1', 'y\nz', 'y\0z']) {
  test(`a field value ${JSON.stringify(value)} reaches nobody`, async () => {
    const handler = new EchoHandler();
    await using server = await startHttp2(handler);
    const client = await RawHttp2.connect(server.port);
    client.headers(1, [...rawRequest, 'x', value]);
    await client.outcome(1);
    assert.ok(!JSON.stringify(handler.requests).includes('smuggled'));
    assert.ok(handler.requests.every(({ fields }) => !fields.includes('x')));
    client.socket.destroy();
  });
}

test('heads beyond the limits get an answer, and those far beyond a reset', async (t) => {
  await using server = await startHttp2(new EchoHandler());
  const session = openSession(t, server.port);
  const many = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`x${i}`, 'y']));
  const rows: [OutgoingHttpHeaders, number][] = [
    [{ ':path': '/', ...many }, 431],
    [{ ':path': '/', x: 'y'.repeat(40_000) }, 431],
    [{ ':path': `/${'y'.repeat(20_000)}` }, 414],
    [{ ':path': '/', x: 'y'.repeat(30_000) }, 200],
  ];
  for (const [headers, status] of rows) assert.equal((await ask(session, headers)).status, status);
  const client = await RawHttp2.connect(server.port);
  client.headers(1, [...rawRequest, ...Array.from({ length: 300 }, (_, i) => [`x${i}`, 'y']).flat()]);
  assert.notEqual(await client.outcome(1), 'answered');
  client.socket.destroy();
});

test('a body longer or shorter than announced reaches nobody as a whole', async () => {
  const handler = new EchoHandler();
  await using server = await startHttp2(handler);
  const client = await RawHttp2.connect(server.port);
  const post = [':method', 'POST', ...rawRequest.slice(2), 'content-length', '5'];
  for (const [index, text] of ['four', 'longer'].entries()) {
    const stream = 1 + 2 * index;
    client.headers(stream, post, endHeaders);
    client.send(frameTypes.data, endStream, stream, Buffer.from(text));
    assert.notEqual(await client.outcome(stream), 'answered');
  }
  assert.deepEqual(handler.requests, []);
  client.socket.destroy();
});

interface Flood {
  readonly what: string;
  readonly send: (client: RawHttp2, i: number) => void;
}

const floods: readonly Flood[] = [
  {
    what: 'requests that are reset at once',
    send: (client, i) => {
      client.headers(1 + 2 * i, rawRequest);
      client.send(frameTypes.rstStream, 0, 1 + 2 * i, Buffer.from([0, 0, 0, 8]));
    },
  },
  {
    what: 'requests that the gateway has to reset itself',
    send: (client, i) => {
      client.headers(1 + 2 * i, rawRequest);
      // A window update by nothing is an error of the stream.
      client.send(8, 0, 1 + 2 * i, Buffer.alloc(4));
    },
  },
  { what: 'pings', send: (client) => client.send(frameTypes.ping, 0, 0, Buffer.alloc(8)) },
  { what: 'settings', send: (client) => client.send(frameTypes.settings, 0, 0, Buffer.alloc(0)) },
  { what: 'empty continuations', send: (client, i) => sendContinuation(client, i) },
];

function sendContinuation(client: RawHttp2, i: number): void {
  if (i === 0) client.headers(1, rawRequest, endStream);
  else client.send(frameTypes.continuation, 0, 1, Buffer.alloc(0));
}

for (const { what, send } of floods) {
  test(`a flood of ${what} ends the connection, and no other`, async (t) => {
    const open = new Set<Exchange>();
    await using server = await startHttp2(
      handlerOf((exchange) => {
        if (exchange.head.target === '/other') return exchange.respond(200, []);
        open.add(exchange);
        exchange.listener = { onAbort: () => open.delete(exchange) };
      }),
    );
    const other = openSession(t, server.port);
    assert.equal((await ask(other, { ':path': '/other' })).status, 200);
    const client = await RawHttp2.connect(server.port);
    const closed = new Promise((resolve) => client.socket.once('close', resolve));
    for (let i = 0; i < 3000 && !client.socket.destroyed; i++) {
      send(client, i);
      if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await closed;
    await eventually(() => open.size === 0);
    assert.equal((await ask(other, { ':path': '/other' })).status, 200);
  });
}

test('a client that pings while it waits, and gives up some requests, is no flood', async (t) => {
  const exchanges: Exchange[] = [];
  await using server = await startHttp2(handlerOf((exchange) => void exchanges.push(exchange)));
  const session = openSession(t, server.port);
  const waiting = ask(session, { ':path': '/waiting' });
  for (let i = 0; i < 50; i++) {
    await new Promise((resolve) => session.ping(resolve));
    const stream = session.request({ ':path': '/given-up' });
    stream.on('error', () => {});
    await eventually(() => exchanges.length === i + 2);
    stream.close(constants.NGHTTP2_CANCEL);
  }
  exchanges[0]?.respond(200, [], 'at last');
  assert.equal((await waiting).body.toString(), 'at last');
});
