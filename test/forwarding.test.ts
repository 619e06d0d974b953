import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import type { Step } from '../src/pipeline/define-plugin.ts';
import { resolveLogVariable } from '../src/pipeline/variables.ts';
import { startForwarding, type ForwardStage } from './support/forward-stage.ts';
import { call, openCall } from './support/http-call.ts';
import {
  chunk,
  fieldOf,
  startProvider,
  startRawProvider,
  type Provider,
  type RawProvider,
  type RecordedRequest,
} from './support/mock-provider.ts';
import { connectRaw, exchangeRaw, type RawResponse } from './support/raw-client.ts';
import { attacks, smuggled } from './support/smuggling-attacks.ts';

function nodesOf(...upstreams: readonly { readonly port: number }[]): Record<string, number> {
  return Object.fromEntries(upstreams.map(({ port }) => [`127.0.0.1:${port}`, 1]));
}

/** A gateway in front of a server on node:http that answers with what it was sent. */
async function startEcho(
  options: Parameters<typeof startForwarding>[1] = {},
  conf: object = {},
): Promise<{ upstream: Provider; stage: ForwardStage } & AsyncDisposable> {
  const upstream = await startProvider(({ body }, response) => {
    response.writeHead(200, { 'Content-Length': body.length }).end(body);
  });
  const stage = await startForwarding({ nodes: nodesOf(upstream), ...conf }, options);
  return {
    upstream,
    stage,
    async [Symbol.asyncDispose]() {
      await stage[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

/** Names and values as one text a field, but for the port of the test. */
function linesOf({ fields }: RecordedRequest, port: number): string[] {
  return fields.map(([name, value]) => `${name}: ${value}`.replaceAll(`:${port}`, ':PORT').replace(`${port}`, 'PORT'));
}

const added = [
  'x-real-ip: 127.0.0.1',
  'x-forwarded-for: 127.0.0.1',
  'x-forwarded-proto: http',
  'x-forwarded-host: a.example',
  'x-forwarded-port: PORT',
];

describe('a request reaches the upstream as the client sent it', () => {
  const rows: readonly {
    readonly what: string;
    readonly sent: string;
    readonly line?: string;
    readonly fields: readonly string[];
    readonly body?: string;
  }[] = [
    {
      what: 'path and query are not touched',
      sent: 'GET /a//b/../%2f%41?x=1&y=%20&&=?/ HTTP/1.1\r\nHost: a.example\r\n\r\n',
      line: 'GET /a//b/../%2f%41?x=1&y=%20&&=?/',
      fields: ['host: a.example', ...added],
    },
    {
      what: 'end-to-end fields stay, in order and repeated, with bytes above 127',
      sent: 'GET / HTTP/1.1\r\nHost: a.example\r\nX-B: 1\r\nCookie: a=1\r\nx-b: \xe9\r\nAuthorization: Bearer t\r\nAccept-Encoding: br\r\n\r\n',
      fields: [
        'host: a.example',
        'x-b: 1',
        'cookie: a=1',
        'x-b: \xe9',
        'authorization: Bearer t',
        'accept-encoding: br',
        ...added,
      ],
    },
    {
      what: 'fields of the connection, and those that it names, do not travel on',
      sent: 'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, x-mine, X-Real-IP\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nTrailer: x\r\nProxy-Authorization: Basic eA==\r\nProxy-Connection: close\r\nUpgrade: websocket\r\nX-Other: 2\r\n\r\n',
      fields: ['host: a.example', 'x-other: 2', ...added],
    },
    {
      what: 'what a client claims about proxies is replaced, but for the addresses before its own',
      sent: 'GET / HTTP/1.1\r\nHost: a.example:8080\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nX_Forwarded_Proto: https\r\nX-Real-IP: 9.9.9.9\r\n\r\n',
      fields: ['host: a.example:8080', ...added.map((line) => line.replace('for: ', 'for: 1.2.3.4, 5.6.7.8, '))],
    },
    {
      what: 'a body by length',
      sent: 'PUT /p HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello',
      line: 'PUT /p',
      fields: ['host: a.example', 'content-type: text/plain', ...added, 'content-length: 5'],
      body: 'hello',
    },
    {
      what: 'a chunked body that is here with its head is sent by length',
      sent: 'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nX-Trailer: 1\r\n\r\n',
      line: 'POST /',
      fields: ['host: a.example', ...added, 'content-length: 5'],
      body: 'hello',
    },
    {
      what: 'a GET with a body',
      sent: 'GET / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nhi',
      fields: ['host: a.example', ...added, 'content-length: 2'],
      body: 'hi',
    },
    {
      what: 'a POST without a body says so',
      sent: 'POST / HTTP/1.1\r\nHost: a.example\r\n\r\n',
      line: 'POST /',
      fields: ['host: a.example', ...added, 'content-length: 0'],
    },
    {
      what: 'a DELETE without a body says as much as the client did',
      sent: 'DELETE / HTTP/1.1\r\nHost: a.example\r\n\r\n',
      line: 'DELETE /',
      fields: ['host: a.example', ...added],
    },
    {
      what: 'an HTTP/1.0 request without a host gets that of the node',
      sent: 'GET / HTTP/1.0\r\n\r\n',
      fields: ['host: 127.0.0.1:PORT', ...added.map((line) => line.replace('a.example', ''))],
    },
  ];
  for (const { what, sent, line = 'GET /', fields, body = '' } of rows) {
    test(what, async () => {
      await using echo = await startEcho();
      const { stage, upstream } = echo;
      await using client = await connectRaw(stage.port);
      client.write(sent);
      const response = await client.readResponse();
      assert.equal(response.status, 200);
      assert.equal(response.body.toString('latin1'), body);
      const [request] = upstream.requests;
      assert.ok(request);
      assert.equal(`${request.method} ${request.target}`, line);
      const seen = linesOf(request, stage.port).map((text) => text.replace(`:${upstream.port}`, ':PORT').trimEnd());
      assert.deepEqual(
        seen,
        fields.map((text) => text.trimEnd()),
      );
      assert.equal(request.body.toString('latin1'), body);
    });
  }

  test('a trusted proxy in front tells how it was reached, as far as it does', async () => {
    await using echo = await startEcho({ isTrustedProxy: true });
    const { stage, upstream } = echo;
    const appended = { 'X-Forwarded-Proto': ['http', 'https'], 'X-Forwarded-Host': 'claimed, outer' };
    const headers = { Host: 'inner', ...appended };
    await call(stage.url, { method: 'GET', headers });
    const [request] = upstream.requests;
    const seen = ['proto', 'host', 'port'].map((name) => fieldOf(request, `x-forwarded-${name}`));
    assert.deepEqual(seen, ['https', 'outer', String(stage.port)]);
  });

  test('however it is split, with bodies of every kind', async () => {
    await using echo = await startEcho();
    const { stage, upstream } = echo;
    const large = 'x'.repeat(70_000);
    const requests: readonly (readonly [sent: string, body: string])[] = [
      ['POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello', 'hello'],
      ['POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n', 'hello'],
      ['GET /a HTTP/1.1\r\nHost: h\r\n\r\n', ''],
    ];
    for (const [sent, body] of requests) {
      await Promise.all(
        Array.from({ length: sent.length - 1 }, async (_, at) => {
          await using client = await connectRaw(stage.port);
          client.write(sent.slice(0, at + 1));
          await new Promise((resolve) => setTimeout(resolve, 5));
          client.write(sent.slice(at + 1));
          const response = await client.readResponse();
          assert.equal(response.status, 200, `split at ${at}`);
          assert.equal(response.body.toString(), body, `split at ${at}`);
        }),
      );
    }
    // One byte after the other, in chunks of one byte, with a length that is too large to be collected.
    await using client = await connectRaw(stage.port);
    client.write(`POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: ${large.length}\r\n\r\n`);
    for (let at = 0; at < large.length; at += 1000) {
      client.write(large.slice(at, at + 1000));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal((await client.readResponse()).body.toString(), large);
    assert.equal(fieldOf(upstream.requests.at(-1), 'content-length'), '70000');
  });

  test('several on one connection share one connection to the upstream', async () => {
    await using echo = await startEcho();
    const { stage, upstream } = echo;
    await using client = await connectRaw(stage.port);
    const one = 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi';
    client.write(one + one + one);
    assert.deepEqual(
      (await client.readResponses(3)).map(({ body }) => body.toString()),
      ['hi', 'hi', 'hi'],
    );
    assert.equal(upstream.connectionCount(), 1);
  });

  test('keepalive_pool.requests: a connection is closed after so many', async () => {
    await using echo = await startEcho({}, { keepalive_pool: { requests: 2 } });
    const { stage, upstream } = echo;
    for (let n = 0; n < 4; n++) await call(`${stage.url}/`, { method: 'GET' });
    assert.equal(upstream.connectionCount(), 2);
  });

  test('a body that a plugin has read or replaced, and fields, method, path and host that it has set, are what is sent', async () => {
    const rewrite: Step = async (ctx) => {
      await ctx.readBody(100);
      ctx.replaceBody(Buffer.from('other'));
      ctx.setHeader('X-Consumer', 'jack');
      ctx.setHeader('X-Forwarded-Host', 'set');
      ctx.forward = { method: 'PUT', uri: '/new?y=2', host: 'b.example' };
      return undefined;
    };
    await using echo = await startEcho({ steps: [rewrite] });
    const { stage, upstream } = echo;
    // What the client sends makes no difference, not even when it guesses what the plugin will set.
    for (const [consumer, host] of [
      ['joe', 'mine'],
      ['jack', 'set'],
    ] as const) {
      const headers = { Connection: 'close, x-consumer', 'X-Consumer': consumer, 'X-Forwarded-Host': host };
      assert.equal((await call(`${stage.url}/old?x=1`, { body: 'mine', headers })).text, 'other');
      const request = upstream.requests.at(-1);
      assert.equal(`${request?.method} ${request?.target}`, 'PUT /new?y=2');
      assert.equal(fieldOf(request, 'host'), 'b.example');
      assert.equal(fieldOf(request, 'x-consumer'), 'jack', 'a client cannot strip what a plugin has set');
      assert.equal(fieldOf(request, 'x-forwarded-host'), 'set');
    }
  });
});

describe('pass_host', () => {
  const rows: readonly (readonly [what: string, conf: object, host: string])[] = [
    ['pass: the host of the client', {}, 'client.example:81'],
    ['node: that of the node, with its port', { pass_host: 'node' }, 'localhost:PORT'],
    ['rewrite: what is configured', { pass_host: 'rewrite', upstream_host: 'other.example' }, 'other.example'],
  ];
  for (const [what, conf, host] of rows) {
    test(what, async () => {
      await using upstream = await startProvider((_request, response) => void response.end());
      await using stage = await startForwarding({ nodes: { [`localhost:${upstream.port}`]: 1 }, ...conf });
      await call(stage.url, { method: 'GET', headers: { Host: 'client.example:81' } });
      assert.equal(fieldOf(upstream.requests[0], 'host')?.replace(`${upstream.port}`, 'PORT'), host);
      const ctx = await stage.over(1);
      assert.equal(ctx.upstreamHost?.replace(`${upstream.port}`, 'PORT'), host);
    });
  }

  test('node: the default port of the scheme is not written', async () => {
    await using upstream = await startProvider((_request, response) => void response.end());
    await using stage = await startForwarding(
      { nodes: [{ host: 'node.example', weight: 1 }], pass_host: 'node' },
      { connectTo: { 'node.example:80': `127.0.0.1:${upstream.port}` } },
    );
    await call(stage.url, { method: 'GET' });
    assert.equal(fieldOf(upstream.requests[0], 'host'), 'node.example');
  });
});

describe('an answer reaches the client as the upstream sent it', () => {
  let upstream: RawProvider;
  let stage: ForwardStage;
  before(async () => {
    upstream = await startRawProvider(() => {});
    stage = await startForwarding({ nodes: nodesOf(upstream) });
  });
  after(async () => {
    await stage[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  /** Answers with these bytes, and closes if they say so. */
  function answerWith(...pieces: readonly (string | Buffer)[]): void {
    upstream.answer = ({ socket }) => {
      for (const piece of pieces) socket.write(piece, 'latin1');
      if (String(pieces[0]).includes('Connection: close')) socket.end();
    };
  }

  async function ask(method = 'GET', version = '1.1'): Promise<RawResponse> {
    await using client = await connectRaw(stage.port);
    client.write(`${method} / HTTP/${version}\r\nHost: h\r\n\r\n`);
    return await client.readResponse(method);
  }

  const rows: readonly (readonly [
    what: string,
    answer: readonly string[],
    expected: { status: number; body?: string; framing: RawResponse['framing']; method?: string; version?: string },
  ])[] = [
    [
      'by length',
      ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'],
      { status: 200, body: 'hello', framing: 'length' },
    ],
    [
      'chunked, without the trailers',
      ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', '5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n'],
      { status: 200, body: 'hello', framing: 'chunked' },
    ],
    [
      'until close',
      ['HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n', 'hello'],
      { status: 200, body: 'hello', framing: 'chunked' },
    ],
    [
      'chunked to an HTTP/1.0 client',
      ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'],
      { status: 200, body: 'hello', framing: 'until-close', version: '1.0' },
    ],
    ['204', ['HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n'], { status: 204, framing: 'none' }],
    ['304 with a length', ['HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n'], { status: 304, framing: 'none' }],
    ['404', ['HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno'], { status: 404, body: 'no', framing: 'length' }],
    ['500', ['HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\nno'], { status: 500, body: 'no', framing: 'length' }],
    [
      '599, which nobody knows',
      ['HTTP/1.1 599\r\nContent-Length: 0\r\n\r\n'],
      { status: 599, body: '', framing: 'length' },
    ],
    ['HEAD', ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'], { status: 200, framing: 'none', method: 'HEAD' }],
    [
      'behind interim answers',
      [
        'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n',
        'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
      ],
      { status: 200, body: 'ok', framing: 'length' },
    ],
  ];
  for (const [what, pieces, { status, body = '', framing, method, version }] of rows) {
    test(what, async () => {
      answerWith(...pieces);
      const response = await ask(method, version);
      assert.equal(response.status, status);
      assert.equal(response.body.toString(), body);
      assert.equal(response.framing, framing);
      if (method === 'HEAD') assert.equal(response.fields.get('content-length'), '5');
    });

    test(`${what}, byte by byte`, async () => {
      upstream.answer = ({ socket }) => {
        const bytes = pieces.join('');
        const next = (at: number): void => {
          if (at < bytes.length) socket.write(bytes.charAt(at), 'latin1', () => setImmediate(next, at + 1));
          else if (bytes.includes('Connection: close')) socket.end();
        };
        next(0);
      };
      const response = await ask(method, version);
      assert.equal(response.status, status);
      assert.equal(response.body.toString(), body);
    });
  }

  test("end-to-end fields come back, cookies included; those of the connection do not; Date is the upstream's own", async () => {
    answerWith(
      'HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: secret\r\nSet-Cookie: a=1\r\nX-A: 1\r\nSet-Cookie: b=2\r\nConnection: x-b\r\nX-B: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n',
    );
    const { fields } = await ask();
    assert.deepEqual(Object.fromEntries(fields), {
      date: 'Thu, 01 Jan 1970 00:00:00 GMT',
      server: 'test',
      'set-cookie': 'a=1, b=2',
      'x-a': '1',
      'content-length': '0',
    });
  });

  test('the head leaves at once when the body takes its time', async () => {
    let socket: RawProvider['connections'][number]['socket'] | undefined;
    upstream.answer = (connection) => {
      ({ socket } = connection);
      socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n');
    };
    const open = await openCall(stage.url, { method: 'GET' });
    assert.equal(open.response.statusCode, 200);
    socket?.write(chunk('data: 1\n\n'));
    await once(open.response, 'data');
    assert.equal(open.received(), 'data: 1\n\n');
    socket?.write(chunk(''));
    assert.ok((await open.finish()).complete);
  });

  const failures: readonly (readonly [what: string, bytes: string, status: number, code: string])[] = [
    ['closes without an answer', '', 502, 'UPSTREAM_RESET'],
    ['sends garbage', 'NOT HTTP\r\n\r\n', 502, 'UPSTREAM_INVALID_RESPONSE'],
    [
      'sends two lengths',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
      502,
      'UPSTREAM_INVALID_RESPONSE',
    ],
    [
      'changes protocols unasked',
      'HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n',
      502,
      'UPSTREAM_INVALID_RESPONSE',
    ],
  ];
  for (const [what, bytes, status, code] of failures) {
    test(`an upstream that ${what}: ${status} ${code}`, async () => {
      upstream.answer = ({ socket }) => socket.end(bytes);
      const before = stage.logged.length;
      const response = await ask('POST');
      assert.equal(response.status, status);
      assert.match(response.body.toString(), /^\{"error_msg":"the upstream [^:]+"\}\n$/, 'nothing of where it is');
      assert.equal((await stage.over(before + 1)).errorCode, code);
    });
  }

  test('an answer that breaks is cut, so that the client sees it', async () => {
    upstream.answer = ({ socket }) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello');
    const before = stage.logged.length;
    const result = await call(stage.url, { method: 'GET' });
    assert.equal(result.complete, false);
    assert.equal(result.text, 'hello');
    assert.equal((await stage.over(before + 1)).errorCode, 'UPSTREAM_RESET');
  });
});

test('variables of the log', async () => {
  await using echo = await startEcho();
  const { stage, upstream } = echo;
  await call(`${stage.url}/p?q=1`, { body: 'hello' });
  const ctx = await stage.over(1);
  const valueOf = (name: string): string => String(resolveLogVariable(name)?.(ctx));
  assert.equal(valueOf('upstream_addr'), `127.0.0.1:${upstream.port}`);
  assert.equal(valueOf('upstream_status'), '200');
  assert.equal(valueOf('upstream_uri'), '/p?q=1');
  assert.equal(valueOf('upstream_scheme'), 'http');
  assert.equal(valueOf('upstream_host'), `127.0.0.1:${stage.port}`);
  assert.equal(valueOf('upstream_response_length'), '5');
  assert.match(valueOf('upstream_response_time'), /^\d+\.\d{3}$/);
  assert.match(valueOf('apisix_upstream_response_time'), /^\d+\.\d{3}$/);
  assert.equal(valueOf('request_type'), 'traditional_http');
  assert.equal(valueOf('body_bytes_sent'), '5');
});

test('an upstream without nodes: 503', async () => {
  await using stage = await startForwarding({ nodes: {} });
  const result = await call(stage.url, { method: 'GET' });
  assert.equal(result.status, 503);
  assert.deepEqual(result.json, { error_msg: 'no valid upstream node' });
});

describe('bodies that are refused', () => {
  const rows: readonly (readonly [what: string, sent: string, status: number, code: string])[] = [
    ['announced too large', 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n', 413, 'BODY_TOO_LARGE'],
    [
      'grown too large',
      `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n186a1\r\n${'x'.repeat(100_001)}\r\n0\r\n\r\n`,
      413,
      'BODY_TOO_LARGE',
    ],
    [
      'broken in the middle',
      `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n${'x'.repeat(65_536)}\r\nZZ\r\n`,
      400,
      'BAD_REQUEST',
    ],
  ];
  for (const [what, sent, status, code] of rows) {
    test(`${what}: ${status}`, async () => {
      await using echo = await startEcho({ maxBodyBytes: 100_000 });
      const { stage, upstream } = echo;
      const [response] = await exchangeRaw(stage.port, sent);
      assert.equal(response?.status, status);
      assert.equal((await stage.over(1)).errorCode, code);
      assert.equal(upstream.requests.length, 0);
    });
  }

  test('stalled: 408, and the upstream sees no complete request', async () => {
    await using echo = await startEcho({ timeouts: { bodyMs: 100 } });
    const { stage, upstream } = echo;
    const [response] = await exchangeRaw(
      stage.port,
      'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n',
    );
    assert.equal(response?.status, 408);
    assert.equal(upstream.requests.length, 0);
  });
});

describe('nothing is smuggled past the gateway into a stream', () => {
  let echo: Awaited<ReturnType<typeof startEcho>>;
  before(async () => {
    echo = await startEcho();
  });
  after(() => echo[Symbol.asyncDispose]());

  for (const { name, bytes, status } of attacks) {
    test(`${name}: ${status}`, async () => {
      const { stage, upstream } = echo;
      upstream.requests.length = 0;
      const responses = await exchangeRaw(stage.port, bytes + smuggled + smuggled);
      assert.deepEqual(
        responses.map((response) => response.status),
        [status],
      );
      assert.equal(upstream.requests.length, status === 200 ? 1 : 0);
      assert.ok(upstream.requests.every(({ target }) => target === '/'));
    });
  }

  test('a request inside the rest of a streamed body stays in the body', async () => {
    const { stage, upstream } = echo;
    upstream.requests.length = 0;
    const body = smuggled.repeat(3000);
    await using client = await connectRaw(stage.port);
    client.write(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length}\r\n\r\n`);
    client.write(body);
    assert.equal((await client.readResponse()).body.toString(), body);
    assert.equal(upstream.requests.length, 1);
  });
});
