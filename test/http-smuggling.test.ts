import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { EchoHandler, startServer, type TestServer } from './support/echo-server.ts';
import { connectRaw, exchangeRaw } from './support/raw-client.ts';
import { attacks, chunked, field, smuggled } from './support/smuggling-attacks.ts';

describe('an ambiguous or broken request is refused and ends the connection', () => {
  const handler = new EchoHandler();
  let server: TestServer;
  before(async () => {
    server = await startServer(handler);
  });
  after(() => server[Symbol.asyncDispose]());

  for (const { name, bytes, status } of attacks) {
    test(`${name}: ${status}`, async () => {
      handler.requests.length = 0;
      const responses = await exchangeRaw(server.port, bytes + smuggled + smuggled);
      assert.deepEqual(
        responses.map((response) => response.status),
        [status],
      );
      assert.equal(responses[0]?.fields.get('connection'), 'close');
      assert.equal(handler.requests.length, status === 200 ? 1 : 0);
      assert.ok(handler.requests.every((request) => request.target === '/'));
    });
  }
});

describe('what only looks like an attack is served, and the next request is the one that follows', () => {
  const good: readonly (readonly [string, string, string])[] = [
    ['Transfer-Encoding behind a tab', field('Transfer-Encoding:\tchunked', '0\r\n\r\n'), ''],
    [
      'a field whose name contains Transfer-Encoding',
      field('X-Transfer-Encoding: chunked\r\nContent-Length: 5', 'hello'),
      'hello',
    ],
    [
      'a field whose value looks like a field',
      field('X: Transfer-Encoding: chunked\r\nContent-Length: 5', 'hello'),
      'hello',
    ],
    ['a request inside a body', field(`Content-Length: ${smuggled.length}`, smuggled), smuggled],
    ['a request inside a chunk', chunked(`${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`), smuggled],
    ['Host in a trailer', chunked('3\r\nabc\r\n0\r\nHost: x\r\n\r\n'), 'abc'],
    ['Content-Length with white space around it', field('Content-Length: \t 5 \t', 'hello'), 'hello'],
    ['a GET with a body', field('Content-Length: 5', 'hello').replace('POST', 'GET'), 'hello'],
    ['a colon in the path and a double slash', 'GET //a:b HTTP/1.1\r\nHost: h\r\n\r\n', ''],
    ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', ''],
    ['an IPv6 Host with a port', 'GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n', ''],
  ];
  for (const [name, bytes, body] of good) {
    test(name, async () => {
      const handler = new EchoHandler();
      await using server = await startServer(handler);
      await using client = await connectRaw(server.port);
      client.write(`${bytes}GET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
      assert.deepEqual(
        (await client.readToClose()).map((response) => response.status),
        [200, 200],
      );
      assert.equal(handler.requests[0]?.body, body);
      assert.equal(handler.requests[1]?.target, '/next');
    });
  }
});
