import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { test } from 'node:test';
import { postBody, type HttpPostTarget } from './http-post.ts';

const forever = new AbortController().signal;

async function serve(server: Server): Promise<{ readonly target: HttpPostTarget } & AsyncDisposable> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    target: { url: new URL(`http://127.0.0.1:${port}/logs?x=1`), headers: { 'X-A': 'b' }, verifyTls: false },
    async [Symbol.asyncDispose]() {
      server.close();
      if ('closeAllConnections' in server) (server as ReturnType<typeof createServer>).closeAllConnections();
      await once(server, 'close');
    },
  };
}

const answer =
  (status: number): RequestListener =>
  (request, response) => {
    request.resume().on('end', () => response.writeHead(status).end('taken'));
  };

for (const status of [200, 204, 302]) {
  test(`a body is delivered when the answer is ${status}`, async () => {
    let seen: string[] = [];
    await using server = await serve(
      createServer((request, response) => {
        seen = [request.method ?? '', request.url ?? '', String(request.headers['x-a'])];
        answer(status)(request, response);
      }),
    );
    await postBody(server.target, 'entry', forever);
    assert.deepEqual(seen, ['POST', '/logs?x=1', 'b']);
  });
}

for (const status of [400, 503]) {
  test(`a body is not delivered when the answer is ${status}`, async () => {
    await using server = await serve(createServer(answer(status)));
    await assert.rejects(postBody(server.target, 'entry', forever), /the server answered with status/);
  });
}

test('a server that refuses connections is an error', async () => {
  const server = await serve(createTcpServer());
  await server[Symbol.asyncDispose]();
  await assert.rejects(postBody(server.target, 'entry', forever), /ECONNREFUSED/);
});

test('the signal ends a request without an answer', async () => {
  await using server = await serve(createServer(() => {}));
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error('too late')), 20);
  await assert.rejects(postBody(server.target, 'entry', controller.signal), { name: 'AbortError' });
});

test('a kept connection that the server closes when it is used again costs nothing', async () => {
  let requests = 0;
  let connections = 0;
  await using server = await serve(
    createTcpServer((socket) => {
      connections++;
      let first = true;
      socket.on('error', () => {});
      socket.on('data', () => {
        requests++;
        if (!first) socket.resetAndDestroy();
        else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
        first = false;
      });
    }),
  );
  await postBody(server.target, 'one', forever);
  await new Promise((resolve) => setImmediate(resolve));
  await postBody(server.target, 'two', forever);
  assert.deepEqual([requests, connections], [3, 2]);
});
