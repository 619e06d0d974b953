import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, test } from 'node:test';
import type { WeirError } from '../src/base/errors.ts';
import type { Exchange } from '../src/http/exchange.ts';
import { Deadlines } from '../src/http/deadlines.ts';
import { ServerConnection, type ExchangeHandler, type ServerTimeouts } from '../src/http/server-connection.ts';
import { settled } from './support/feed-server.ts';
import { MemorySocket } from './support/memory-socket.ts';
import { EchoHandler, generousTimeouts, startServer, type SeenRequest } from './support/echo-server.ts';
import { connectRaw, exchangeRaw, type RawResponse } from './support/raw-client.ts';

const get = 'GET /a HTTP/1.1\r\nHost: h\r\n\r\n';
const getAndClose = 'GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n';

function seen(response: RawResponse | undefined): SeenRequest {
  assert.ok(response !== undefined);
  assert.equal(response.status, 200, response.body.toString());
  return JSON.parse(response.body.toString());
}

/** Answers with `run` and refuses like the gateway does. */
function handlerOf(run: (exchange: Exchange) => void): ExchangeHandler {
  return {
    onRequest: run,
    onRefused: (exchange, error) => exchange.respond(error.status, [], error.message),
  };
}

function connectMemory(
  socket: MemorySocket,
  handler: ExchangeHandler,
  timeouts: Partial<ServerTimeouts> = {},
): ServerConnection {
  return new ServerConnection(socket.asSocket(), 1, {
    handler,
    deadlines: new Deadlines(),
    timeouts: { ...generousTimeouts, ...timeouts },
    server: '',
  });
}

async function waitFor(condition: () => boolean, what: string): Promise<void> {
  const start = performance.now();
  while (!condition()) {
    assert.ok(performance.now() - start < 5000, `waited for ${what}`);
    await sleep(5);
  }
}

describe('a request', () => {
  test('reaches the handler with method, target, host, fields and body', async () => {
    await using server = await startServer(new EchoHandler());
    await using client = await connectRaw(server.port);
    client.write(
      'POST /p%20q?a=1&b HTTP/1.1\r\nHost: Example.COM:8080\r\nX-A:  1 \r\nx-a:\t2\r\nContent-Length: 3\r\n\r\na\xffc',
    );
    assert.deepEqual(seen(await client.readResponse()), {
      method: 'POST',
      target: '/p%20q?a=1&b',
      host: 'example.com',
      minorVersion: 1,
      fields: ['host', 'Example.COM:8080', 'x-a', '1', 'x-a', '2', 'content-length', '3'],
      body: 'a\xffc',
    });
  });

  const bodies: readonly (readonly [string, string, string])[] = [
    ['no framing fields is no body', '', ''],
    ['Content-Length: 0 is an empty body', 'Content-Length: 0\r\n\r\n', ''],
    ['Content-Length', 'Content-Length: 5\r\n\r\nhello', 'hello'],
    ['Content-Length with leading zeros', 'Content-Length: 005\r\n\r\nhello', 'hello'],
    ['one chunk', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['the coding name in any case', 'Transfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n', 'hello'],
    [
      'many chunks with leading zeros and hex in both cases',
      `Transfer-Encoding: chunked\r\n\r\n001\r\nh\r\nA\r\n0123456789\r\n0a\r\n0123456789\r\n00\r\n\r\n`,
      'h01234567890123456789',
    ],
    ['no chunk but the last', 'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n', ''],
    [
      'chunk extensions are ignored',
      'Transfer-Encoding: chunked\r\n\r\n5;a;b=c;d="e f"\r\nhello\r\n0;last\r\n\r\n',
      'hello',
    ],
    [
      'trailer fields are dropped',
      'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-B: 2\r\n\r\n',
      'hello',
    ],
    [
      'CRLF inside a chunk is data',
      'Transfer-Encoding: chunked\r\n\r\n7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n',
      '\r\n0\r\n\r\n',
    ],
  ];
  for (const [name, framing, body] of bodies) {
    test(`body: ${name}; the next request on the connection is understood`, async () => {
      await using server = await startServer(new EchoHandler());
      await using client = await connectRaw(server.port);
      client.write(`POST /1 HTTP/1.1\r\nHost: h\r\n${framing || '\r\n'}${get}`);
      const [first, second] = await client.readResponses(2);
      assert.equal(seen(first).body, body);
      assert.deepEqual([seen(second).method, seen(second).target], ['GET', '/a']);
    });
  }

  test('body: behind a fault nothing is taken for body any more', async () => {
    const socket = new MemorySocket();
    let exchange: Exchange | undefined;
    const errors: WeirError[] = [];
    const handler = handlerOf((started) => {
      exchange = started;
      started.readBody(100).catch((error: WeirError) => errors.push(error));
    });
    const connection = connectMemory(socket, handler);
    socket.receive(Buffer.from('POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab'));
    await settled();
    socket.receive(Buffer.from('cX'));
    await settled();
    socket.receive(Buffer.from('\r\n5\r\nhello\r\n0\r\n\r\n'));
    await settled();
    assert.deepEqual([errors[0]?.code, exchange?.bodyBytesReceived], ['BAD_REQUEST', 3]);
    assert.equal(exchange?.bodyIfComplete(100), null);
    connection.destroy();
  });

  test('body of 3 MB arrives whole, by length and in chunks', async () => {
    const handler = new EchoHandler();
    await using server = await startServer(handler);
    const body = Buffer.alloc(3_000_000, 'abcdefghijklmnopqrstuvwxyz0123456789');
    const digest = body.toString('latin1');
    await using client = await connectRaw(server.port);
    client.write(`POST /length HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length}\r\n\r\n`);
    client.write(body);
    client.write('POST /chunked HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n');
    for (let at = 0; at < body.length; at += 100_000) {
      client.write('186a0\r\n');
      client.write(body.subarray(at, at + 100_000));
      client.write('\r\n');
    }
    client.write('0\r\n\r\n');
    await client.readToClose();
    assert.deepEqual(
      handler.requests.map((request) => request.target),
      ['/length', '/chunked'],
    );
    assert.ok(handler.requests.every((request) => request.body === digest));
  });

  test('absolute form: the authority counts, Host does not, and the target loses both', async () => {
    await using server = await startServer(new EchoHandler());
    await using client = await connectRaw(server.port);
    client.write(
      'GET HTTP://Real.example:81/p?q HTTP/1.1\r\nHost: other\r\n\r\nGET http://x?q HTTP/1.1\r\nHost: x\r\n\r\n',
    );
    const [first, second] = await client.readResponses(2);
    assert.deepEqual([seen(first).target, seen(first).host], ['/p?q', 'real.example']);
    assert.deepEqual([seen(second).target, seen(second).host], ['/?q', 'x']);
  });

  test('asterisk form belongs to OPTIONS', async () => {
    await using server = await startServer(new EchoHandler());
    const [options] = await exchangeRaw(server.port, 'OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
    assert.equal(seen(options).target, '*');
    const [refused] = await exchangeRaw(server.port, 'GET * HTTP/1.1\r\nHost: h\r\n\r\n');
    assert.equal(refused?.status, 400);
  });

  test('empty lines before a request line are read over', async () => {
    await using server = await startServer(new EchoHandler());
    await using client = await connectRaw(server.port);
    client.write(`\r\n\r\n\r\n\r\n\r\n${get}\r\n${getAndClose}`);
    assert.equal((await client.readToClose()).length, 2);
  });
});

describe('keep-alive', () => {
  const rows: readonly (readonly [string, string, boolean])[] = [
    ['HTTP/1.1', '', true],
    ['HTTP/1.1', 'Connection: close\r\n', false],
    ['HTTP/1.1', 'Connection: Close\r\n', false],
    ['HTTP/1.1', 'Connection: keep-alive, close\r\n', false],
    ['HTTP/1.1', 'Connection: x-a\r\nConnection: close\r\n', false],
    ['HTTP/1.1', 'Connection: closed\r\n', true],
    ['HTTP/1.1', 'Connection: keep-alive\r\n', true],
    ['HTTP/1.0', '', false],
    ['HTTP/1.0', 'Connection: keep-alive\r\n', true],
    ['HTTP/1.0', 'Connection: x , Keep-Alive\r\n', true],
    ['HTTP/1.0', 'Connection: keep-alive, close\r\n', false],
  ];
  for (const [version, field, kept] of rows) {
    test(`${version} with ${JSON.stringify(field)}: ${kept ? 'kept' : 'closed'}, and the answer says so`, async () => {
      const handler = new EchoHandler();
      await using server = await startServer(handler);
      await using client = await connectRaw(server.port);
      client.write(`GET /a ${version}\r\nHost: h\r\n${field}\r\n${getAndClose}`);
      const responses = await client.readToClose();
      assert.equal(responses.length, kept ? 2 : 1);
      assert.equal(handler.requests.length, kept ? 2 : 1);
      const said = responses[0]?.fields.get('connection');
      assert.equal(said, kept ? (version === 'HTTP/1.0' ? 'keep-alive' : undefined) : 'close');
      assert.equal(client.closedBy, 'end');
    });
  }

  test('HTTP/1.0 needs no Host', async () => {
    await using server = await startServer(new EchoHandler());
    const [response] = await exchangeRaw(server.port, 'GET / HTTP/1.0\r\n\r\n');
    assert.deepEqual([seen(response).minorVersion, seen(response).host], [0, '']);
  });

  test('requests one after another share a connection and are counted', async () => {
    const numbers: number[] = [];
    await using server = await startServer(
      handlerOf((exchange) => {
        numbers.push(exchange.requestNumber);
        exchange.respond(204, []);
      }),
    );
    await using client = await connectRaw(server.port);
    for (let i = 1; i <= 5; i++) {
      client.write(get);
      assert.equal((await client.readResponses(i)).length, i);
    }
    assert.deepEqual(numbers, [1, 2, 3, 4, 5]);
  });
});

describe('pipelining', () => {
  const hundred = Array.from({ length: 100 }, (_, i) => `GET /${i} HTTP/1.1\r\nHost: h\r\n\r\n`).join('');

  test('100 requests in one write are answered in order', async () => {
    await using server = await startServer(new EchoHandler());
    await using client = await connectRaw(server.port);
    client.write(hundred);
    const responses = await client.readResponses(100);
    assert.deepEqual(
      responses.map((response) => seen(response).target),
      Array.from({ length: 100 }, (_, i) => `/${i}`),
    );
  });

  test('a request starts only when the one before is answered, so that slow answers keep their order', async () => {
    let running = 0;
    await using server = await startServer(
      handlerOf((exchange) => {
        assert.equal(++running, 1);
        const answer = (): void => {
          running--;
          exchange.respond(200, [], exchange.head.target);
        };
        const turn = Number(exchange.head.target.slice(1)) % 3;
        if (turn === 0) setTimeout(answer, 1);
        else if (turn === 1) setImmediate(answer);
        else answer();
      }),
    );
    await using client = await connectRaw(server.port);
    client.write(hundred);
    const responses = await client.readResponses(100);
    assert.deepEqual(
      responses.map((response) => response.body.toString()),
      Array.from({ length: 100 }, (_, i) => `/${i}`),
    );
  });

  test('a flood behind a running request is left unread, and handled when its turn comes', async () => {
    const started: Exchange[] = [];
    const socket = new MemorySocket();
    const connection = connectMemory(
      socket,
      handlerOf((exchange) => started.push(exchange)),
    );
    const piece = Buffer.from(get.repeat(1000));
    for (let i = 0; i < 20; i++) socket.receive(piece);
    await settled();
    assert.ok(socket.isPaused());
    // A network would stop taking from the client now; the stand-in shows what was left to it.
    assert.ok(socket.readableLength > 16 * piece.length, `${socket.readableLength} bytes were left unread`);
    for (let answered = 0; answered < 20_000; answered++) {
      if (answered === started.length) await settled();
      started[answered]?.respond(204, []);
    }
    assert.equal(started.length, 20_000);
    connection.destroy();
  });

  test('requests behind an answer that is not taken are left unread', async () => {
    const socket = new MemorySocket();
    let count = 0;
    const handler = handlerOf((exchange) => {
      count++;
      exchange.respond(200, [], Buffer.alloc(100_000));
    });
    const connection = connectMemory(socket, handler);
    socket.hold();
    const piece = Buffer.from(get.repeat(1000));
    socket.receive(piece);
    await settled();
    for (let i = 0; i < 9; i++) socket.receive(piece);
    await settled();
    assert.deepEqual([count, socket.readableLength], [1, 9 * piece.length]);
    assert.equal(connection.deadline, 0, 'this is no idle connection: the send timeout decides');
    socket.release();
    await waitFor(() => count === 10_000, 'the other answers');
    connection.destroy();
  });

  test('a client that takes no answers gets no more of its requests handled', async () => {
    let count = 0;
    const big = Buffer.alloc(1_000_000, 'x');
    await using server = await startServer(
      handlerOf((exchange) => {
        count++;
        exchange.respond(200, [], big);
      }),
    );
    await using client = await connectRaw(server.port);
    client.socket.pause();
    client.write(get.repeat(49) + getAndClose);
    await waitFor(() => count > 0, 'the first request');
    await sleep(100);
    assert.ok(count < 20, `${count} answers of 1 MB were made for a client that reads none`);
    client.socket.resume();
    assert.equal((await client.readToClose()).length, 50);
  });

  test('what follows Connection: close is not handled', async () => {
    const handler = new EchoHandler();
    await using server = await startServer(handler);
    assert.equal((await exchangeRaw(server.port, getAndClose + get)).length, 1);
    assert.equal(handler.requests.length, 1);
  });
});

describe('Expect: 100-continue', () => {
  const head = 'POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n';

  test('the client is asked to go on when the handler reads the body', async () => {
    await using server = await startServer(new EchoHandler());
    await using client = await connectRaw(server.port);
    client.write(head);
    const [interim] = await client.readResponses(1);
    assert.equal(interim?.statusLine, 'HTTP/1.1 100 Continue');
    client.write(`hello${getAndClose}`);
    const [, final, next] = await client.readToClose();
    assert.equal(seen(final).body, 'hello');
    assert.equal(seen(next).target, '/a');
  });

  test('a body that comes along needs no interim answer', async () => {
    await using server = await startServer(new EchoHandler());
    await using client = await connectRaw(server.port);
    client.write(`${head}hello`);
    assert.equal(seen(await client.readResponse()).body, 'hello');
  });

  test('nor does a body of which the start comes along', async () => {
    await using server = await startServer(new EchoHandler());
    await using client = await connectRaw(server.port);
    client.write(`${head}he`);
    await sleep(30);
    client.write('llo');
    assert.equal(seen(await client.readResponse()).body, 'hello');
  });

  test('an answer without the body comes at once and ends the connection', async () => {
    await using server = await startServer(handlerOf((exchange) => exchange.respond(401, [], 'no')));
    await using client = await connectRaw(server.port);
    client.write(head);
    const responses = await client.readToClose();
    assert.deepEqual(
      responses.map((response) => response.status),
      [401],
    );
    assert.equal(responses[0]?.fields.get('connection'), 'close');
  });

  test('a body that is too large is refused instead of asked for', async () => {
    await using server = await startServer(new EchoHandler(4));
    assert.deepEqual(
      (await exchangeRaw(server.port, head)).map((response) => response.status),
      [413],
    );
  });

  test('HTTP/1.0 knows no interim answers', async () => {
    await using server = await startServer(new EchoHandler());
    await using client = await connectRaw(server.port);
    client.write(head.replace('HTTP/1.1', 'HTTP/1.0'));
    await sleep(20);
    client.write('hello');
    assert.deepEqual(
      (await client.readToClose()).map((response) => response.status),
      [200],
    );
  });

  test('other expectations get 417', async () => {
    await using server = await startServer(new EchoHandler());
    const responses = await exchangeRaw(server.port, head.replace('100-Continue', '200-ok'));
    assert.deepEqual(
      responses.map((response) => response.status),
      [417],
    );
  });
});

describe('an answer', () => {
  /** What a streaming handler does with the exchange, given the method and version of the request. */
  async function answerTo(requestLine: string, run: (exchange: Exchange) => void): Promise<RawResponse[]> {
    await using server = await startServer(handlerOf(run));
    await using client = await connectRaw(server.port);
    const method = requestLine.slice(0, requestLine.indexOf(' '));
    const next = requestLine.endsWith('1.0') ? '' : 'GET /end HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n';
    client.write(`${requestLine}\r\nHost: h\r\n\r\n${next}`);
    return await client.readToClose([method]);
  }
  const stream = (exchange: Exchange): void => {
    if (exchange.head.target === '/end') return exchange.respond(204, []);
    exchange.begin(200, ['Content-Type', 'text/plain']);
    exchange.write(Buffer.from('one'));
    setImmediate(() => {
      exchange.write(Buffer.alloc(0));
      exchange.write(Buffer.alloc(40_000, '2'));
      exchange.end();
    });
  };
  const whole = (exchange: Exchange): void => exchange.respond(200, ['X-A', '1'], 'héllo');

  test('whole: Date, Server and Content-Length are added; one character may be two bytes', async () => {
    const [response] = await answerTo('GET / HTTP/1.1', whole);
    assert.equal(response?.statusLine, 'HTTP/1.1 200 OK');
    assert.deepEqual([...(response?.fields.keys() ?? [])], ['x-a', 'server', 'date', 'content-length']);
    assert.equal(response?.fields.get('content-length'), '6');
    assert.ok(Math.abs(Date.parse(response?.fields.get('date') ?? '') - Date.now()) < 5000);
    assert.equal(response?.body.toString(), 'héllo');
  });

  test('to HEAD is the head of the answer to GET without its body', async () => {
    const [response, next] = await answerTo('HEAD / HTTP/1.1', whole);
    assert.equal(response?.fields.get('content-length'), '6');
    assert.equal(next?.status, 200);
  });

  test('in pieces is chunked for HTTP/1.1, an empty piece does not end it', async () => {
    const [response, next] = await answerTo('GET / HTTP/1.1', stream);
    assert.equal(response?.framing, 'chunked');
    assert.equal(response?.body.toString(), `one${'2'.repeat(40_000)}`);
    assert.equal(next?.status, 204);
  });

  test('in pieces to HEAD has no body', async () => {
    const [response, next] = await answerTo('HEAD / HTTP/1.1', stream);
    assert.deepEqual([response?.framing, next?.status], ['none', 204]);
  });

  test('in pieces lasts until close for HTTP/1.0, even when the client asked to keep the connection', async () => {
    const [response] = await answerTo('GET / HTTP/1.0', stream);
    assert.equal(response?.framing, 'until-close');
    assert.equal(response?.body.toString(), `one${'2'.repeat(40_000)}`);
    await using server = await startServer(handlerOf(stream));
    const [kept] = await exchangeRaw(server.port, 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    assert.deepEqual([kept?.framing, kept?.fields.get('connection')], ['until-close', 'close']);
  });

  test('in pieces of known length carries Content-Length', async () => {
    const [response] = await answerTo('GET / HTTP/1.1', (exchange) => {
      exchange.begin(200, [], 6);
      exchange.write(Buffer.from('one'));
      exchange.write(Buffer.from('two'));
      exchange.end();
    });
    assert.deepEqual([response?.framing, response?.body.toString()], ['length', 'onetwo']);
  });

  test('without a piece is an empty stream', async () => {
    const [response, next] = await answerTo('GET / HTTP/1.1', (exchange) => {
      exchange.begin(200, []);
      exchange.end();
    });
    assert.deepEqual([response?.framing, response?.body.length, next?.status], ['chunked', 0, 200]);
    const [old] = await answerTo('GET / HTTP/1.0', (exchange) => {
      exchange.begin(200, []);
      exchange.end();
    });
    assert.deepEqual([old?.framing, old?.body.length], ['until-close', 0]);
  });

  for (const status of [204, 304]) {
    test(`${status} has neither body nor framing fields`, async () => {
      const [response, next] = await answerTo('GET / HTTP/1.1', (exchange) => exchange.respond(status, [], 'x'));
      assert.equal(response?.status, status);
      assert.equal(response?.fields.has('content-length'), false);
      assert.equal(response?.fields.has('transfer-encoding'), false);
      assert.equal(next?.status, status);
    });
  }

  test('is given once: what comes after it is ignored', async () => {
    const responses = await answerTo('GET / HTTP/1.1', (exchange) => {
      exchange.respond(200, [], 'first');
      exchange.respond(500, [], 'second');
      exchange.begin(500, []);
      exchange.write(Buffer.from('third'));
      exchange.end();
      exchange.cut();
    });
    assert.deepEqual(
      responses.map((response) => response.body.toString()),
      ['first', 'first'],
    );
  });

  test('counts what it sent', async () => {
    const counts: number[][] = [];
    await using server = await startServer(
      handlerOf((exchange) => {
        stream(exchange);
        setTimeout(() => counts.push([exchange.status, exchange.bodyBytesSent, exchange.bytesSent]), 10);
      }),
    );
    await using client = await connectRaw(server.port);
    client.write(get);
    await client.readResponse();
    await waitFor(() => counts.length > 0, 'the counts');
    assert.deepEqual(counts, [[200, 40_003, client.received.length]]);
  });

  test('that is cut ends without its last chunk', async () => {
    await using server = await startServer(
      handlerOf((exchange) => {
        exchange.begin(200, []);
        exchange.write(Buffer.from('part'));
        setImmediate(() => exchange.cut());
      }),
    );
    await using client = await connectRaw(server.port);
    client.write(get);
    await client.untilClosed();
    assert.match(client.received.toString(), /\r\n\r\n4\r\npart\r\n$/);
  });
});

describe('limits', () => {
  const fieldsOf = (count: number): string => Array.from({ length: count - 2 }, (_, i) => `X-${i}: v\r\n`).join('');
  const headOf = (bytes: number): string => {
    const rest = 'GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX: \r\n\r\n';
    return rest.replace('X: ', `X: ${'v'.repeat(bytes - rest.length)}`);
  };
  const lineOf = (bytes: number): string => {
    const line = 'GET / HTTP/1.1';
    return `${line.replace('/ ', `/${'p'.repeat(bytes - line.length)} `)}\r\nHost: h\r\nConnection: close\r\n\r\n`;
  };
  const rows: readonly (readonly [string, string, number])[] = [
    ['a head of 32 KiB', headOf(32 * 1024), 200],
    ['a head of 32 KiB and a byte', headOf(32 * 1024 + 1), 431],
    ['a head without end', `GET / HTTP/1.1\r\nX: ${'v'.repeat(100_000)}`, 431],
    ['100 fields', `GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n${fieldsOf(100)}\r\n`, 200],
    ['101 fields', `GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n${fieldsOf(101)}\r\n`, 431],
    ['a request line of 16 KiB', lineOf(16 * 1024 - 1), 200],
    ['a request line of more than 16 KiB', lineOf(16 * 1024 + 1), 414],
    ['a request line without end', `GET /${'p'.repeat(100_000)}`, 414],
    [
      'a body of 10 bytes',
      'POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 10\r\n\r\n0123456789',
      200,
    ],
    ['a body of 11 bytes', 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n0123456789a', 413],
    ['a body of 11 bytes of which none is sent', 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n', 413],
    [
      'chunks of 10 bytes',
      'POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n',
      200,
    ],
    [
      'chunks of 11 bytes',
      'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n6\r\n567890\r\n0\r\n\r\n',
      413,
    ],
    [
      'chunks without end',
      `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n${'5\r\n01234\r\n'.repeat(1000)}`,
      413,
    ],
    [
      'a chunk extension without end',
      `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;${'x'.repeat(20_000)}`,
      400,
    ],
    [
      'chunk extensions of more than 16 KiB together',
      `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n${`1;${'x'.repeat(2500)}\r\na\r\n`.repeat(8)}0\r\n\r\n`,
      400,
    ],
    [
      'trailers without end',
      `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${'X: v\r\n'.repeat(4000)}`,
      400,
    ],
    [
      '101 trailers',
      `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${'X: v\r\n'.repeat(101)}\r\n`,
      431,
    ],
  ];
  for (const [name, request, status] of rows) {
    test(`${name}: ${status}, then the connection is closed`, async () => {
      await using server = await startServer(new EchoHandler(10));
      const responses = await exchangeRaw(server.port, request);
      assert.deepEqual(
        responses.map((response) => response.status),
        [status],
      );
      assert.equal(responses[0]?.fields.get('connection'), 'close');
    });
  }

  test('a client that goes on sending an oversize body still reads its 413', async () => {
    await using server = await startServer(new EchoHandler(1000));
    await using client = await connectRaw(server.port, { allowHalfOpen: true });
    const size = 20_000_000;
    client.write(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${size}\r\n\r\n`);
    // Not reading yet, as a client that sends first and reads afterwards.
    client.socket.pause();
    for (let sent = 0; sent < size; sent += 500_000) {
      client.write(Buffer.alloc(500_000, 'x'));
      await sleep(1);
    }
    client.socket.resume();
    const response = await client.readResponse();
    assert.equal(response.status, 413);
    assert.equal(response.body.toString(), 'request size 20000000 is greater than the maximum size 1000 allowed');
    client.socket.end();
    await client.untilClosed();
    assert.equal(client.closedBy, 'end');
  });

  test('a client that never stops sending after its 413 is cut', async () => {
    await using server = await startServer(new EchoHandler(1000));
    await using client = await connectRaw(server.port, { allowHalfOpen: true });
    client.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999\r\n\r\n');
    let sent = 0;
    while (!client.socket.closed && sent < 200_000_000) {
      client.write(Buffer.alloc(100_000, 'x'));
      sent += 100_000;
      while (client.socket.writableLength > 0 && !client.socket.closed) await sleep(1);
    }
    // 64 MiB and what the kernel holds on both sides.
    assert.ok(sent < 120_000_000, `${sent} bytes were taken`);
  });

  test('a body of many tiny chunks arrives whole', async () => {
    const handler = new EchoHandler();
    await using server = await startServer(handler);
    const letters = Array.from({ length: 30_000 }, (_, i) => String.fromCharCode(0x61 + (i % 26)));
    const chunks = letters.map((letter) => `1\r\n${letter}\r\n`).join('');
    await exchangeRaw(
      server.port,
      `POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`,
    );
    assert.ok(handler.requests[0]?.body === letters.join(''));
  });
});

// They wait most of the time. That a timeout comes at all, and not the 30 s of {@link generousTimeouts} later, is what those
// clients see that give up earlier; how much later depends on the machine.
describe('timeouts', { concurrency: true }, () => {
  /** Milliseconds from now until the server has closed the connection. */
  async function closesAfter(client: { untilClosed(): Promise<void> }): Promise<number> {
    const start = performance.now();
    await client.untilClosed();
    return performance.now() - start;
  }

  test('a connection that sends nothing is closed without an answer', async () => {
    await using server = await startServer(new EchoHandler(), { headMs: 100 });
    await using client = await connectRaw(server.port);
    const ms = await closesAfter(client);
    assert.ok(ms >= 90, `${ms} ms`);
    assert.equal(client.received.length, 0);
  });

  test('a head that comes byte by byte gets 408 at the head timeout, not later', async () => {
    await using server = await startServer(new EchoHandler(), { headMs: 150 });
    await using client = await connectRaw(server.port);
    const start = performance.now();
    const trickle = setInterval(() => client.write('G'), 10);
    try {
      const response = await client.readResponse();
      const ms = performance.now() - start;
      assert.equal(response.status, 408);
      assert.equal(response.fields.get('connection'), 'close');
      assert.ok(ms >= 140, `${ms} ms`);
    } finally {
      clearInterval(trickle);
    }
  });

  test('the head timeout counts from the first byte of each request, not from the one before', async () => {
    await using server = await startServer(new EchoHandler(), { headMs: 500, keepAliveMs: 5000 });
    await using client = await connectRaw(server.port);
    client.write(get);
    await client.readResponse();
    await sleep(600);
    client.write(get.slice(0, 10));
    await sleep(50);
    client.write(get.slice(10));
    const [, second] = await client.readResponses(2);
    assert.equal(second?.status, 200);
    client.write('GET /');
    const [, , third] = await client.readResponses(3);
    assert.equal(third?.status, 408);
  });

  test('empty lines do not keep a connection open', async () => {
    await using server = await startServer(new EchoHandler(), { headMs: 150 });
    await using client = await connectRaw(server.port);
    const trickle = setInterval(() => client.write('\r\n'), 10);
    try {
      await client.untilClosed();
    } finally {
      clearInterval(trickle);
    }
  });

  test('an idle connection is closed without an answer after the keep-alive timeout', async () => {
    await using server = await startServer(new EchoHandler(), { keepAliveMs: 100 });
    await using client = await connectRaw(server.port);
    client.write(get);
    await client.readResponse();
    const ms = await closesAfter(client);
    assert.ok(ms >= 90, `${ms} ms`);
    assert.equal((await client.readToClose()).length, 1);
  });

  test('a request that takes long to answer meets no timeout', async () => {
    await using server = await startServer(
      handlerOf((exchange) => setTimeout(() => exchange.respond(200, [], 'late'), 300)),
      { headMs: 100, keepAliveMs: 100, bodyMs: 100, sendMs: 100 },
    );
    await using client = await connectRaw(server.port);
    client.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na');
    assert.equal((await client.readResponse()).body.toString(), 'late');
  });

  for (const [name, framing] of [
    ['a body by length', 'Content-Length: 10\r\n\r\nabc'],
    ['a chunked body', 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'],
    ['a body of which nothing came', 'Content-Length: 10\r\n\r\n'],
  ] as const) {
    test(`${name} that stalls gets 408 after the body timeout`, async () => {
      const handler = new EchoHandler();
      await using server = await startServer(handler, { bodyMs: 100 });
      await using client = await connectRaw(server.port);
      const start = performance.now();
      client.write(`POST / HTTP/1.1\r\nHost: h\r\n${framing}`);
      const response = await client.readResponse();
      const ms = performance.now() - start;
      assert.equal(response.status, 408);
      assert.ok(ms >= 90, `${ms} ms`);
      client.socket.end();
      assert.equal((await client.readToClose()).length, 1);
      assert.equal(handler.requests.length, 0);
    });
  }

  test('a body that keeps coming may take longer than the body timeout', async () => {
    const handler = new EchoHandler();
    await using server = await startServer(handler, { bodyMs: 500 });
    await using client = await connectRaw(server.port);
    client.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n');
    for (const byte of 'abcdef') {
      await sleep(100);
      client.write(byte);
    }
    assert.equal(seen(await client.readResponse()).body, 'abcdef');
  });

  /** A handler that sends 64 KiB pieces for as long as the client takes them. */
  class EndlessAnswer implements ExchangeHandler {
    sent = 0;
    pauses = 0;
    aborts = 0;
    onRequest(exchange: Exchange): void {
      const piece = Buffer.alloc(64 * 1024, 'x');
      const pump = (): void => {
        while (!exchange.ended && exchange.write(piece)) this.sent += piece.length;
        this.pauses++;
      };
      exchange.listener = { onDrain: pump, onAbort: () => this.aborts++ };
      exchange.begin(200, []);
      pump();
    }
    onRefused(exchange: Exchange, error: WeirError): void {
      exchange.respond(error.status, []);
    }
  }

  test('a client that never reads its answer holds little memory and is cut after the send timeout', async () => {
    const handler = new EndlessAnswer();
    await using server = await startServer(handler, { sendMs: 150 });
    await using client = await connectRaw(server.port);
    client.socket.pause();
    const start = performance.now();
    client.write(get);
    await waitFor(() => handler.aborts > 0, 'the cut');
    const ms = performance.now() - start;
    assert.ok(ms >= 140, `${ms} ms`);
    // The kernel's buffers of both sides; the process itself keeps one piece.
    assert.ok(handler.sent < 32_000_000, `${handler.sent} bytes`);
    assert.equal(handler.aborts, 1);
  });

  test('a client that never reads the last answer of a closing connection is cut too', async () => {
    await using server = await startServer(
      handlerOf((exchange) => exchange.respond(200, [], Buffer.alloc(20_000_000, 'x'))),
      { sendMs: 100 },
    );
    await using client = await connectRaw(server.port);
    client.socket.pause();
    client.write(getAndClose);
    await sleep(400);
    // A paused socket does not see the close; a second write into the closed connection does.
    client.write('G');
    await sleep(20);
    client.write('G');
    await client.untilClosed();
    assert.equal(client.closedBy, 'reset');
  });

  /** A connection over a stand-in that takes nothing, so that even a small answer stays in the socket's buffer. */
  async function answerWithoutTaker(request: string): Promise<{ socket: MemorySocket; connection: ServerConnection }> {
    const socket = new MemorySocket();
    const connection = connectMemory(
      socket,
      handlerOf((exchange) => exchange.respond(200, [], 'x')),
      { sendMs: 123, keepAliveMs: 100 },
    );
    socket.hold();
    socket.receive(Buffer.from(request));
    await settled();
    return { socket, connection };
  }

  test('the send timeout watches a small last answer too, and the time to linger starts behind it', async () => {
    const { socket, connection } = await answerWithoutTaker(getAndClose);
    assert.deepEqual([socket.timeoutMs, connection.deadline], [123, 0]);
    socket.release();
    await settled();
    assert.equal(socket.timeoutMs, 0);
    assert.ok(connection.deadline > 0);
    connection.destroy();
  });

  test('the keep-alive timeout ends a connection whose small answer is not taken', async () => {
    const { socket } = await answerWithoutTaker(get);
    await waitFor(() => socket.destroyed, 'the end of the connection');
  });

  test('a slow client that does read gets everything, however long it takes', async () => {
    await using server = await startServer(
      handlerOf((exchange) => exchange.respond(200, [], Buffer.alloc(8_000_000, 'x'))),
      { sendMs: 150 },
    );
    await using client = await connectRaw(server.port);
    const start = performance.now();
    client.socket.on('data', () => {
      client.socket.pause();
      setTimeout(() => client.socket.resume(), 4);
    });
    client.write(getAndClose);
    const [response] = await client.readToClose();
    assert.equal(response?.body.length, 8_000_000);
    assert.ok(performance.now() - start > 300, 'the client was not slow');
  });
});

describe('a client that leaves', () => {
  /** Collects what the handler learns about its client. */
  function watcher(run: (exchange: Exchange) => void): { handler: ExchangeHandler; events: string[] } {
    const events: string[] = [];
    const handler = handlerOf((exchange) => {
      exchange.listener = { onAbort: () => events.push('abort') };
      exchange.readBody(1000).then(
        () => {
          events.push('body');
          run(exchange);
        },
        (error: WeirError) => events.push(error.code),
      );
    });
    return { handler, events };
  }

  for (const leave of ['destroy', 'resetAndDestroy', 'end'] as const) {
    test(`before the answer (${leave}) is noticed, and once`, async () => {
      const { handler, events } = watcher(() => {});
      await using server = await startServer(handler);
      await using client = await connectRaw(server.port);
      client.write(get);
      await waitFor(() => events.length === 1, 'the request');
      client.socket[leave]();
      await waitFor(() => events.length > 1, 'the abort');
      await sleep(30);
      assert.deepEqual(events, ['body', 'abort']);
    });

    test(`in the middle of a streamed answer (${leave}) is noticed once`, async () => {
      let exchange: Exchange | undefined;
      const { handler, events } = watcher((started) => {
        exchange = started;
        started.begin(200, []);
        started.write(Buffer.from('part'));
      });
      await using server = await startServer(handler);
      await using client = await connectRaw(server.port);
      client.write(get);
      await client.until(() => client.received.includes('part'), 'the first piece');
      client.socket[leave]();
      await waitFor(() => events.length > 1, 'the abort');
      assert.equal(exchange?.aborted, true);
      assert.equal(exchange.ended, true);
      // A handler that has not noticed yet does no harm.
      exchange.write(Buffer.from('more'));
      exchange.end();
      await sleep(30);
      assert.deepEqual(events, ['body', 'abort']);
    });

    test(`in the middle of the body (${leave}) makes reading fail`, async () => {
      const { handler, events } = watcher(() => {});
      await using server = await startServer(handler);
      await using client = await connectRaw(server.port);
      client.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc');
      await sleep(20);
      client.socket[leave]();
      await waitFor(() => events.length > 1, 'both events');
      await sleep(30);
      assert.deepEqual(events.sort(), ['CLIENT_CLOSED_REQUEST', 'abort']);
    });
  }

  test('is noticed after it had been slow, too', async () => {
    const socket = new MemorySocket();
    let aborts = 0;
    const handler = handlerOf((exchange) => {
      exchange.listener = { onAbort: () => aborts++ };
      exchange.begin(200, []);
      assert.equal(exchange.write(Buffer.alloc(100_000)), false);
    });
    connectMemory(socket, handler);
    socket.hold();
    socket.receive(Buffer.from(get));
    await settled();
    socket.release();
    await settled();
    socket.receiveEnd();
    await settled();
    assert.equal(aborts, 1);
  });

  test('after the answer is no abort', async () => {
    const { handler, events } = watcher((exchange) => exchange.respond(200, [], 'done'));
    await using server = await startServer(handler);
    await using client = await connectRaw(server.port);
    client.write(get);
    await client.readResponse();
    client.socket.destroy();
    await sleep(50);
    assert.deepEqual(events, ['body']);
  });

  test('in the middle of a head leaves no trace', async () => {
    const handler = new EchoHandler();
    await using server = await startServer(handler);
    await using client = await connectRaw(server.port);
    client.write('GET / HT');
    await sleep(20);
    client.socket.end();
    await client.untilClosed();
    assert.deepEqual([handler.requests, handler.refusals, client.received.length], [[], [], 0]);
  });

  test('by half, after its last answer was made, still gets all of it', async () => {
    await using server = await startServer(
      handlerOf((exchange) => exchange.respond(200, [], Buffer.alloc(20_000_000, 'x'))),
    );
    await using client = await connectRaw(server.port, { allowHalfOpen: true });
    client.write(get);
    await client.until(() => client.received.length > 1000, 'the start of the answer');
    client.socket.end();
    assert.equal((await client.readToClose())[0]?.body.length, 20_000_000);
  });
});

describe('graceful close', () => {
  test('idle connections are closed at once and nothing new is accepted', async () => {
    await using server = await startServer(new EchoHandler());
    await using client = await connectRaw(server.port);
    client.write(get);
    await client.readResponse();
    await server.listener.drain();
    await client.untilClosed();
    await assert.rejects(connectRaw(server.port), { code: 'ECONNREFUSED' });
  });

  test('a running request is answered with Connection: close; what was pipelined behind it is not', async () => {
    const running: Exchange[] = [];
    await using server = await startServer(handlerOf((exchange) => running.push(exchange)));
    await using client = await connectRaw(server.port);
    client.write(get + get);
    await waitFor(() => running.length > 0, 'the request');
    let drained = false;
    const drain = server.listener.drain().then(() => (drained = true));
    await sleep(30);
    assert.equal(drained, false);
    running[0]?.respond(200, [], 'last words');
    const responses = await client.readToClose();
    await drain;
    assert.deepEqual(
      responses.map((response) => response.body.toString()),
      ['last words'],
    );
    assert.equal(responses[0]?.fields.get('connection'), 'close');
    assert.equal(running.length, 1);
  });

  test('a running stream goes on to its end, then the connection closes although its head had not said so', async () => {
    const running: Exchange[] = [];
    await using server = await startServer(
      handlerOf((exchange) => {
        running.push(exchange);
        exchange.begin(200, []);
        exchange.write(Buffer.from('one'));
      }),
    );
    await using client = await connectRaw(server.port);
    client.write(get);
    await client.until(() => client.received.includes('one'), 'the first piece');
    const drain = server.listener.drain();
    running[0]?.write(Buffer.from('two'));
    running[0]?.end();
    const [response] = await client.readToClose();
    await drain;
    assert.equal(response?.body.toString(), 'onetwo');
  });

  test('an answer that a slow client is still taking is not cut', async () => {
    await using server = await startServer(
      handlerOf((exchange) => exchange.respond(200, [], Buffer.alloc(20_000_000, 'x'))),
    );
    await using client = await connectRaw(server.port);
    client.socket.pause();
    client.write(get);
    await sleep(50);
    const drain = server.listener.drain();
    client.socket.resume();
    const [response] = await client.readToClose();
    await drain;
    assert.equal(response?.body.length, 20_000_000);
  });

  test('a request whose body is still coming is answered', async () => {
    await using server = await startServer(new EchoHandler());
    await using client = await connectRaw(server.port);
    client.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe');
    await sleep(30);
    const drain = server.listener.drain();
    client.write('llo');
    const [response] = await client.readToClose();
    await drain;
    assert.equal(seen(response).body, 'hello');
    assert.equal(response?.fields.get('connection'), 'close');
  });

  test('destroy cuts running requests', async () => {
    let aborts = 0;
    await using server = await startServer(handlerOf((exchange) => (exchange.listener = { onAbort: () => aborts++ })));
    await using client = await connectRaw(server.port);
    client.write(get);
    await sleep(30);
    server.listener.destroy();
    await client.untilClosed();
    await waitFor(() => aborts === 1, 'the abort');
  });
});
