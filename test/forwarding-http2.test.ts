import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type ClientHttp2Session, type ClientHttp2Stream, type OutgoingHttpHeaders } from 'node:http2';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { startForwarding, type ForwardStage } from './support/forward-stage.ts';
import { eventually } from './support/gateway.ts';
import { fieldOf, startRawProvider, type RawProvider } from './support/mock-provider.ts';

const mebibyte = 1024 * 1024;

interface Http2Stage extends AsyncDisposable {
  readonly stage: ForwardStage;
  readonly session: ClientHttp2Session;
}

/** A gateway in front of this port, and a client that speaks HTTP/2 with it. */
async function startHttp2(
  port: number,
  conf: object = {},
  options: Parameters<typeof startForwarding>[1] = {},
): Promise<Http2Stage> {
  const stage = await startForwarding(
    { nodes: { [`127.0.0.1:${port}`]: 1 }, ...conf },
    { ...options, cleartextHttp2: true },
  );
  const session = connect(stage.url);
  session.on('error', () => {});
  return {
    stage,
    session,
    async [Symbol.asyncDispose]() {
      session.destroy();
      await stage[Symbol.asyncDispose]();
    },
  };
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

function ask({ session }: Http2Stage, headers: OutgoingHttpHeaders = {}, body?: string): Promise<Answer> {
  const stream = session.request(headers, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return answerOf(stream);
}

/** A server on a free port, closed with all of its connections. */
async function listening<S extends Server>(server: S): Promise<{ server: S; port: number } & AsyncDisposable> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    server,
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('a client with HTTP/2 in front of an ordinary upstream', () => {
  let upstream: RawProvider;
  let http2: Http2Stage;
  before(async () => {
    upstream = await startRawProvider(() => {});
    http2 = await startHttp2(upstream.port);
  });
  after(async () => {
    await http2[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  const rows: readonly (readonly [
    what: string,
    bytes: string,
    expected: { status: number; body?: string; length?: string | undefined; code?: number; method?: string },
  ])[] = [
    ['by length', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', { status: 200, body: 'hello', length: '5' }],
    [
      'chunked, without the trailers',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n',
      { status: 200, body: 'hello' },
    ],
    ['until close', 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello', { status: 200, body: 'hello' }],
    ['204', 'HTTP/1.1 204 No Content\r\n\r\n', { status: 204 }],
    ['304 with a length', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n', { status: 304 }],
    ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', { status: 200, length: '5', method: 'HEAD' }],
    [
      'behind interim answers',
      'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
      { status: 200, body: 'ok', length: '2' },
    ],
    // 2 is INTERNAL_ERROR: the client must not take it for complete.
    [
      'one that breaks',
      'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello',
      { status: 200, body: 'hello', length: '9', code: 2 },
    ],
  ];
  for (const [what, bytes, { status, body = '', length, code = 0, method = 'GET' }] of rows) {
    test(`gets an answer, ${what}`, async () => {
      upstream.answer = ({ socket }) => {
        socket.write(bytes);
        if (bytes.includes('close') || code !== 0) socket.end();
      };
      const answer = await ask(http2, { ':method': method });
      assert.deepEqual(
        [answer.status, answer.body.toString(), answer.headers['content-length'], answer.code],
        [status, body, length, code],
      );
    });
  }

  test('gets all end-to-end fields, cookies one by one, and none of the connection', async () => {
    upstream.answer = ({ socket }) =>
      socket.write(
        'HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-A: \xe9\r\nSet-Cookie: b=2\r\nConnection: keep-alive, x-b\r\nX-B: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n',
        'latin1',
      );
    const { headers } = await ask(http2);
    const names = Object.keys(headers).filter((name) => name !== 'date' && name !== 'server');
    assert.deepEqual(names.sort(), [':status', 'content-length', 'set-cookie', 'x-a']);
    assert.deepEqual(headers['set-cookie'], ['a=1', 'b=2']);
    assert.equal(headers['x-a'], '\xe9');
  });

  test("is seen by the upstream as one of HTTP/1.1, with its host and without what is HTTP/2's own", async () => {
    upstream.answer = ({ socket }) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    upstream.requests.length = 0;
    await ask(
      http2,
      {
        ':method': 'PUT',
        ':path': '/p?q=%20',
        ':authority': 'a.example:81',
        'content-length': 5,
        te: 'trailers',
        cookie: ['a=1', 'b=2'],
        'X-A': '1',
      },
      'hello',
    );
    const [request] = upstream.requests;
    assert.equal(`${request?.method} ${request?.target} ${request?.body.toString()}`, 'PUT /p?q=%20 hello');
    const seen = ['host', 'cookie', 'x-a', 'te', 'x-forwarded-host', 'x-forwarded-for'];
    assert.deepEqual(
      seen.map((name) => fieldOf(request, name)),
      ['a.example:81', 'a=1; b=2', '1', undefined, 'a.example', '127.0.0.1'],
    );
  });

  test('asks many things at once', async () => {
    upstream.answer = ({ socket }, { target }) =>
      setImmediate(() => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n\r\n${target}`));
    const paths = Array.from({ length: 50 }, (_, n) => `/${n}`);
    const answers = await Promise.all(paths.map((path) => ask(http2, { ':path': path })));
    assert.deepEqual(
      answers.map(({ body }) => body.toString()),
      paths,
    );
  });
});

describe('streams of an HTTP/2 client', () => {
  test('20 MB go both ways at once, and small pieces arrive as they come', async () => {
    const echo = (incoming: IncomingMessage, response: ServerResponse): void => {
      response.writeHead(200);
      response.flushHeaders();
      incoming.pipe(response);
    };
    await using upstream = await listening(createServer(echo));
    await using http2 = await startHttp2(upstream.port);
    const stream = http2.session.request({ ':method': 'POST' });
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    assert.equal(headers[':status'], 200);
    for (const text of ['one', 'two']) {
      stream.write(text);
      assert.equal(String((await once(stream, 'data'))[0]), text);
    }
    let received = 0;
    stream.on('data', (piece: Buffer) => (received += piece.length));
    stream.end(Buffer.alloc(20 * mebibyte));
    await once(stream, 'end');
    assert.equal(received, 20 * mebibyte);
  });

  test('trailers of the client end its body and do not travel on', async () => {
    await using upstream = await listening(
      createServer((incoming, response) => {
        incoming.on('end', () => response.end(JSON.stringify(incoming.rawTrailers))).resume();
      }),
    );
    await using http2 = await startHttp2(upstream.port);
    const stream = http2.session.request({ ':method': 'POST' }, { endStream: false, waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-t': '1' }));
    stream.end('hello');
    assert.equal((await answerOf(stream)).body.toString(), '[]');
  });

  test('an early answer reaches a client that still sends, which is told to stop', async () => {
    await using upstream = await listening(
      createTcpServer((socket) => {
        socket.once('data', () => socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno'));
      }),
    );
    await using http2 = await startHttp2(upstream.port);
    const stream = http2.session.request({ ':method': 'POST' });
    stream.write(Buffer.alloc(100_000));
    const { status, body, code } = await answerOf(stream);
    assert.deepEqual([status, body.toString(), code], [413, 'no', 0]);
  });

  const cancellations: readonly (readonly [what: string, reads: boolean, bytes: number])[] = [
    ['while it waits for the answer', true, 0],
    ['in the middle of its body', true, 100_000],
    ['while the upstream does not take its body', false, 8 * mebibyte],
  ];
  for (const [what, reads, bytes] of cancellations) {
    test(`a client that gives up ${what} ends the request to the upstream`, async () => {
      let accepted: Socket | undefined;
      let isClosed = false;
      await using upstream = await listening(
        createTcpServer({ pauseOnConnect: true }, (socket) => {
          accepted = socket;
          socket.on('close', () => (isClosed = true));
          if (reads) socket.resume();
        }),
      );
      await using http2 = await startHttp2(upstream.port);
      const stream = http2.session.request({ ':method': 'POST' }, { endStream: bytes === 0 });
      stream.on('error', () => {});
      if (bytes > 0) stream.write(Buffer.alloc(bytes));
      await eventually(() => accepted !== undefined);
      // Until everybody's buffers are full.
      if (!reads) await new Promise((resolve) => setTimeout(resolve, 100));
      stream.close(8);
      assert.equal((await http2.stage.over(1)).loggedStatus, 499);
      accepted?.resume();
      await eventually(() => isClosed);
    });
  }

  test('a client that gives up in the middle of the answer ends it, and its connection goes on', async () => {
    let isOpen = true;
    await using upstream = await listening(
      createServer((incoming, response) => {
        if (incoming.url === '/small') return void response.end('ok');
        response.on('close', () => (isOpen = false)).writeHead(200);
        response.write(Buffer.alloc(8 * mebibyte));
      }),
    );
    await using http2 = await startHttp2(upstream.port);
    const stream = http2.session.request({ ':path': '/large' });
    stream.on('error', () => {});
    await once(stream, 'data');
    stream.close(8);
    await eventually(() => !isOpen);
    assert.equal((await http2.stage.over(1)).loggedStatus, 499);
    assert.equal((await ask(http2, { ':path': '/small' })).body.toString(), 'ok');
  });

  test('a client that does not read stops the upstream', async () => {
    let sent = 0;
    await using upstream = await listening(
      createServer((_incoming, response) => {
        const piece = Buffer.alloc(mebibyte);
        const more = (): void => {
          while (sent < 100 * mebibyte) {
            sent += piece.length;
            if (!response.write(piece)) return void response.once('drain', more);
          }
        };
        more();
      }),
    );
    await using http2 = await startHttp2(upstream.port);
    const stream = http2.session.request();
    stream.on('error', () => {});
    await once(stream, 'response');
    let last = -1;
    while (last !== sent) {
      last = sent;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok(sent < 50 * mebibyte, `${sent} bytes went to nobody`);
  });
});

test('filters change what an HTTP/2 client gets: status, fields and body', async () => {
  await using upstream = await startRawProvider(({ socket }, { target }) =>
    socket.write(
      target === '/replaced'
        ? 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nold\r\n0\r\n\r\n'
        : 'HTTP/1.1 200 OK\r\nX-Old: 1\r\nContent-Length: 3\r\n\r\nold',
    ),
  );
  await using http2 = await startHttp2(
    upstream.port,
    {},
    {
      headerFilters: [
        (ctx, answer) => {
          answer.fields = [...answer.fields.filter((_, at) => answer.fields[at - (at % 2)] !== 'x-old'), 'X-New', '2'];
          if (ctx.path === '/replaced') answer.replaceBody(Buffer.from('replaced'));
          if (ctx.path === '/rewritten') answer.rewriteBody((body) => Buffer.from(`${body.toString()} and new`));
          if (ctx.path === '/status') answer.status = 202;
        },
      ],
    },
  );
  const seen = async (path: string, method = 'GET'): Promise<string> => {
    const { status, headers, body } = await ask(http2, { ':path': path, ':method': method });
    return `${status} ${String(headers['x-old'])} ${String(headers['x-new'])} ${String(headers['content-length'])} ${body.toString()}`;
  };
  assert.equal(await seen('/status'), '202 undefined 2 3 old');
  assert.equal(await seen('/replaced'), '200 undefined 2 8 replaced');
  assert.equal(await seen('/rewritten'), '200 undefined 2 11 old and new');
});
