import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Specimens } from '../src/proxy/specimens.ts';
import { startForwarding } from './support/forward-stage.ts';
import { eventually } from './support/gateway.ts';
import { startRawProvider } from './support/mock-provider.ts';
import { connectRaw } from './support/raw-client.ts';

const mebibyte = 1024 * 1024;
const size = 100 * mebibyte;

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

/** The data plane in a process of its own. */
async function startChild(upstreamPort: number) {
  const child = fork(fileURLToPath(new URL('support/forward-child.ts', import.meta.url)), [String(upstreamPort)]);
  const [port] = (await once(child, 'message')) as [number];
  return {
    port,
    /** The most memory that it ever had, in KiB. */
    async peak(): Promise<number> {
      child.send('peak');
      const [peak] = (await once(child, 'message')) as [number];
      return peak;
    },
    async [Symbol.asyncDispose]() {
      child.disconnect();
      await once(child, 'exit');
    },
  };
}

/** Writes so many bytes as the other side takes them. */
function pour(into: NodeJS.WritableStream, bytes: number): void {
  const piece = Buffer.alloc(mebibyte, 'x');
  let left = bytes;
  const more = (): void => {
    while (left > 0) {
      left -= piece.length;
      if (!into.write(piece)) return void into.once('drain', more);
    }
    into.end();
  };
  more();
}

/** Counts what comes, without keeping it. */
async function count(stream: IncomingMessage): Promise<number> {
  let bytes = 0;
  for await (const piece of stream) bytes += (piece as Buffer).length;
  return bytes;
}

describe('100 MB pass in little memory', () => {
  const rows: readonly (readonly [what: string, headers: (bytes: number) => Record<string, string>])[] = [
    ['by length, up and down', (bytes) => ({ 'Content-Length': String(bytes) })],
    ['in chunks, up and down', () => ({ 'Transfer-Encoding': 'chunked' })],
  ];
  for (const [what, headersFor] of rows) {
    test(what, async () => {
      // Echoes while it receives: both directions at once.
      const echo = (incoming: IncomingMessage, response: ServerResponse): void => {
        const length = incoming.headers['content-length'];
        response.writeHead(200, length === undefined ? {} : { 'Content-Length': length });
        incoming.pipe(response);
      };
      await using upstream = await listening(createServer(echo));
      await using child = await startChild(upstream.port);
      const pass = async (bytes: number): Promise<void> => {
        const outgoing = request({ port: child.port, method: 'POST', headers: headersFor(bytes), agent: false });
        pour(outgoing, bytes);
        const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
        assert.equal(response.headers['content-length'], headersFor(bytes)['Content-Length']);
        assert.equal(await count(response), bytes);
      };
      // What the garbage of a stream takes, it takes once.
      await pass(30 * mebibyte);
      const before = await child.peak();
      await pass(size);
      const growth = (await child.peak()) - before;
      assert.ok(growth < 50 * 1024, `grew by ${growth} KiB`);
    });
  }
});

describe('each side waits for the other', () => {
  test('an upstream that does not read stops the client', async () => {
    let accepted: Socket | undefined;
    await using upstream = await listening(createTcpServer({ pauseOnConnect: true }, (socket) => (accepted = socket)));
    await using stage = await startForwarding({ nodes: { [`127.0.0.1:${upstream.port}`]: 1 } });
    await using client = await connectRaw(stage.port);
    client.write(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${size}\r\n\r\n`);
    const piece = Buffer.alloc(mebibyte);
    let sent = 0;
    while (sent < size && client.socket.writableLength < 8 * mebibyte) {
      client.write(piece);
      sent += piece.length;
      // Two turns of the loop in which nothing leaves: everybody's buffers are full.
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    assert.ok(sent < size / 2, `${sent} bytes went to nobody`);
    // And it goes on when the upstream does.
    let received = 0;
    accepted?.on('data', (bytes) => (received += bytes.length)).resume();
    await eventually(() => received >= sent - mebibyte);
  });

  test('a client that does not read stops the upstream', async () => {
    await using upstream = await listening(
      createServer((_request, response) => {
        response.writeHead(200, { 'Content-Length': size });
        response.on('close', () => (open = false));
        const piece = Buffer.alloc(mebibyte);
        const more = (): void => {
          while (sent < size) {
            sent += piece.length;
            if (!response.write(piece)) return void response.once('drain', more);
          }
        };
        more();
      }),
    );
    let sent = 0;
    let open = true;
    await using stage = await startForwarding({ nodes: { [`127.0.0.1:${upstream.port}`]: 1 } });
    await using client = await connectRaw(stage.port);
    client.socket.pause();
    client.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    let last = -1;
    while (last !== sent) {
      last = sent;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok(sent < size / 2, `${sent} bytes went to nobody`);
    client.socket.destroy();
    await eventually(() => !open, undefined, 'the end of the connection to the upstream');
    assert.equal((await stage.over(1)).loggedStatus, 499);
  });
});

test('a client that reads its answer only when it has sent everything gets both through', async () => {
  let received = 0;
  await using upstream = await listening(
    createServer((incoming, response) => {
      incoming.on('data', (bytes: Buffer) => (received += bytes.length));
      incoming.on('end', () => response.end('last'));
      response.write(Buffer.alloc(20 * mebibyte));
    }),
  );
  await using stage = await startForwarding({ nodes: { [`127.0.0.1:${upstream.port}`]: 1 } });
  await using client = await connectRaw(stage.port);
  client.socket.pause();
  client.write(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${20 * mebibyte}\r\n\r\n`);
  client.write(Buffer.alloc(20 * mebibyte));
  await eventually(() => received === 20 * mebibyte, 5000, `the whole body, not ${received} bytes`);
  let answered = 0;
  client.socket.removeAllListeners('data').on('data', (bytes: Buffer) => (answered += bytes.length));
  client.socket.resume();
  await eventually(() => answered > 20 * mebibyte);
});

describe('Expect: 100-continue', () => {
  test('the client is told to go on when the upstream is there, which hears nothing of it', async () => {
    await using upstream = await startRawProvider(({ socket }) =>
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
    );
    await using stage = await startForwarding({ nodes: { [`127.0.0.1:${upstream.port}`]: 1 } });
    await using client = await connectRaw(stage.port);
    client.write('POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n');
    const [interim] = await client.readResponses(1);
    assert.equal(interim?.status, 100);
    client.write(Buffer.alloc(100_000));
    const [, final] = await client.readResponses(2);
    assert.equal(final?.status, 200);
    assert.equal(
      upstream.requests[0]?.fields.some(([name]) => name === 'expect'),
      false,
    );
  });

  test('a client whose upstream cannot be reached is not told to send its body', async () => {
    await using stage = await startForwarding({ nodes: { '127.0.0.1:1': 1 } });
    await using client = await connectRaw(stage.port);
    client.write('POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n');
    const [response] = await client.readResponses(1);
    assert.equal(response?.status, 502);
  });
});

describe('ends', () => {
  test('a client that leaves in the middle of its body ends the request to the upstream', async () => {
    await using upstream = await startRawProvider(() => {});
    await using stage = await startForwarding({ nodes: { [`127.0.0.1:${upstream.port}`]: 1 } });
    await using client = await connectRaw(stage.port);
    client.write('POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n');
    await eventually(() => upstream.connections.length === 1);
    client.socket.destroy();
    await upstream.closed(0);
    const ctx = await stage.over(1);
    assert.equal(ctx.loggedStatus, 499);
    assert.equal(ctx.errorCode, 'CLIENT_CLOSED_REQUEST');
  });

  test('an answer that comes before the body is complete reaches the client, and both connections end', async () => {
    await using upstream = await listening(
      createTcpServer((socket) => {
        socket.once('data', () => socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno'));
        socket.on('close', () => (closed = true));
      }),
    );
    let closed = false;
    await using stage = await startForwarding({ nodes: { [`127.0.0.1:${upstream.port}`]: 1 } });
    await using client = await connectRaw(stage.port);
    client.write('POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n');
    const response = await client.readResponse();
    assert.equal(response.status, 413);
    assert.equal(response.body.toString(), 'no');
    assert.equal(response.fields.get('connection'), 'close');
    await eventually(() => closed);
  });

  test('an upstream that takes nothing for timeout.send seconds: 504', async () => {
    await using upstream = await listening(createTcpServer({ pauseOnConnect: true }));
    const timeout = { connect: 5, send: 0.1, read: 5 };
    await using stage = await startForwarding({ nodes: { [`127.0.0.1:${upstream.port}`]: 1 }, timeout });
    await using client = await connectRaw(stage.port);
    client.write(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${size}\r\n\r\n`);
    client.write(Buffer.alloc(40 * mebibyte));
    assert.equal((await client.readResponse()).status, 504);
    assert.equal((await stage.over(1)).errorCode, 'UPSTREAM_SEND_TIMEOUT');
  });

  test('a slow client is no slow upstream: timeout.read counts from the end of the body', async () => {
    await using upstream = await startRawProvider(({ socket }) =>
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
    );
    const timeout = { connect: 5, send: 5, read: 0.1 };
    await using stage = await startForwarding({ nodes: { [`127.0.0.1:${upstream.port}`]: 1 }, timeout });
    await using client = await connectRaw(stage.port);
    client.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nx');
    await new Promise((resolve) => setTimeout(resolve, 300));
    client.write(Buffer.alloc(99_999));
    assert.equal((await client.readResponse()).status, 200);
  });

  test("an upstream that does not answer within timeout.read: 504; the route's timeout wins", async () => {
    await using upstream = await startRawProvider(() => {});
    const nodes = { [`127.0.0.1:${upstream.port}`]: 1 };
    const timeout = { connect: 5, send: 5, read: 0.1 };
    await using stage = await startForwarding({ nodes, timeout: { ...timeout, read: 60 } }, { timeout });
    await using client = await connectRaw(stage.port);
    client.write('POST / HTTP/1.1\r\nHost: h\r\n\r\n');
    assert.equal((await client.readResponse()).status, 504);
    assert.equal((await stage.over(1)).errorCode, 'UPSTREAM_READ_TIMEOUT');
  });
});

class CountedSpecimens extends Specimens {
  offered = 0;

  override offer(): void {
    this.offered++;
  }
}

test('an attempt is kept as a specimen only while its answer is small: it may stay for hours', async () => {
  const upstream = createServer((incoming, response) => response.end('x'.repeat(Number(incoming.url?.slice(1)))));
  await using provider = await listening(upstream);
  const specimens = new CountedSpecimens();
  await using stage = await startForwarding({ nodes: { [`127.0.0.1:${provider.port}`]: 1 } }, { specimens });
  const offeredAfter: number[] = [];
  for (const bytes of [10, 64 * 1024, 64 * 1024 + 1]) {
    const answer = await fetch(`${stage.url}/${bytes}`);
    assert.equal((await answer.text()).length, bytes);
    offeredAfter.push(specimens.offered);
  }
  assert.deepEqual(offeredAfter, [1, 2, 2]);
});
