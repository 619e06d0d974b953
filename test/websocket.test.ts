import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { startForwarding } from './support/forward-stage.ts';
import { eventually } from './support/gateway.ts';
import { startRawProvider, type RawProvider } from './support/mock-provider.ts';
import { connectRaw } from './support/raw-client.ts';

const upgrade =
  'GET /chat HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n';
const accepted =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';
const mebibyte = 1024 * 1024;

/** What the answer to a handshake must say (RFC 6455, section 4.2.2). */
function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

/** Accepts every handshake; the test sees the bytes behind it. */
async function startAccepting(answer = accepted): Promise<RawProvider> {
  return startRawProvider((connection) => {
    connection.socket.removeAllListeners('data');
    connection.socket.write(answer);
  });
}

const open = { allowsWebSocket: true };

function nodesOf({ port }: { readonly port: number }): { nodes: Record<string, number> } {
  return { nodes: { [`127.0.0.1:${port}`]: 1 } };
}

describe('WebSocket', () => {
  test("Node's own client talks to a server through the gateway", async () => {
    // Frames of the client are masked; those of the server are not (RFC 6455, section 5).
    await using upstream = await startRawProvider(({ socket }, { fields }) => {
      const key = fields.find(([name]) => name.toLowerCase() === 'sec-websocket-key')?.[1] ?? '';
      socket.removeAllListeners('data');
      socket.write(accepted.replace(/(Accept: ).*\r\n\r\n/, `$1${acceptOf(key)}\r\n\r\n`));
      socket.on('data', (frame: Buffer) => {
        const payload = Buffer.from(frame.subarray(6).map((byte, at) => byte ^ (frame[2 + (at % 4)] ?? 0)));
        const isClose = (frame[0] ?? 0) === 0x88;
        const echo = isClose ? payload : Buffer.concat([Buffer.from('echo '), payload]);
        socket.write(Buffer.concat([Buffer.from([frame[0] ?? 0, echo.length]), echo]));
        if (isClose) socket.end();
      });
    });
    await using stage = await startForwarding(nodesOf(upstream), open);
    const client = new WebSocket(`ws://127.0.0.1:${stage.port}/chat`);
    await once(client, 'open');
    for (const text of ['one', 'zwei']) {
      client.send(text);
      const [{ data }] = (await once(client, 'message')) as [MessageEvent];
      assert.equal(data, `echo ${text}`);
    }
    client.close(1000, 'bye');
    const [{ code, reason }] = (await once(client, 'close')) as [CloseEvent];
    assert.equal(`${code} ${reason}`, '1000 bye');
    const ctx = await stage.over(1);
    assert.equal(ctx.loggedStatus, 101);
    assert.equal(ctx.errorCode, null);
    assert.equal(ctx.attempts[0]?.status, 101);
    assert.equal(
      ctx.header('upgrade'),
      'websocket',
      'for conditions of routes and for logs, though Connection names it',
    );
  });

  test('the handshake reaches the upstream, its answer the client, and then bytes both ways as they are', async () => {
    await using upstream = await startAccepting(`${accepted}first`);
    await using stage = await startForwarding(nodesOf(upstream), open);
    await using client = await connectRaw(stage.port);
    client.write(`${upgrade}GET /not-a-request HTTP/1.1\r\n`);
    await client.until(() => client.received.includes('first'), 'the first bytes');
    const head = client.received.toString('latin1').split('\r\n\r\n')[0] ?? '';
    assert.match(head, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
    assert.match(head, /\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/);
    assert.match(head, /\r\nUpgrade: websocket\r\nConnection: Upgrade$/);
    const fields = Object.fromEntries(upstream.requests[0]?.fields ?? []);
    assert.equal(fields['upgrade'], 'websocket');
    assert.equal(fields['connection'], 'upgrade');
    assert.equal(fields['sec-websocket-key'], 'dGhlIHNhbXBsZSBub25jZQ==');

    const socket = upstream.connections[0]?.socket;
    assert.ok(socket);
    const [early] = (await once(socket, 'data')) as [Buffer];
    assert.equal(early.toString(), 'GET /not-a-request HTTP/1.1\r\n', 'sent before the answer, and no request');
    client.write('\x81\x00\r\n\r\n');
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    assert.equal(bytes.toString('latin1'), '\x81\x00\r\n\r\n');
    socket.end('last');
    await client.untilClosed();
    assert.ok(client.received.toString().endsWith('firstlast'));
    const ctx = await stage.over(1);
    assert.equal(ctx.exchange.bodyBytesSent, 9);
    assert.equal(ctx.exchange.bodyBytesReceived, 29 + 6);
    assert.equal(ctx.attempts[0]?.bytes, 9);
  });

  test('megabytes in both directions arrive whole', async () => {
    await using upstream = await startAccepting();
    await using stage = await startForwarding(nodesOf(upstream), open);
    await using client = await connectRaw(stage.port);
    client.write(upgrade);
    await client.until(() => client.received.includes('\r\n\r\n'), 'the answer');
    const socket = upstream.connections[0]?.socket;
    assert.ok(socket);
    let up = 0;
    socket.on('data', (bytes: Buffer) => (up += bytes.length));
    let down = 0;
    client.socket.removeAllListeners('data').on('data', (bytes: Buffer) => (down += bytes.length));
    client.write(Buffer.alloc(20 * mebibyte));
    socket.write(Buffer.alloc(20 * mebibyte));
    await eventually(() => up === 20 * mebibyte && down === 20 * mebibyte);
  });

  test('the end of either side is the end of the other', async () => {
    await using upstream = await startAccepting();
    await using stage = await startForwarding(nodesOf(upstream), open);
    await using client = await connectRaw(stage.port, { allowHalfOpen: true });
    client.write(upgrade);
    await client.until(() => client.received.includes('\r\n\r\n'), 'the answer');
    client.socket.end('bye');
    const [bytes] = (await once(upstream.connections[0]?.socket ?? client.socket, 'data')) as [Buffer];
    assert.equal(bytes.toString(), 'bye', 'what came before the end is delivered');
    await upstream.closed(0);
    await client.untilClosed();
    assert.equal((await stage.over(1)).loggedStatus, 101);
  });

  test('a client that is cut off ends the connection to the upstream', async () => {
    await using upstream = await startAccepting();
    await using stage = await startForwarding(nodesOf(upstream), open);
    await using client = await connectRaw(stage.port);
    client.write(upgrade);
    await client.until(() => client.received.includes('\r\n\r\n'), 'the answer');
    client.socket.resetAndDestroy();
    await upstream.closed(0);
    assert.equal((await stage.over(1)).loggedStatus, 101);
  });

  test('silence on both sides for timeout.read seconds ends it; a word of either side does not let it end', async () => {
    await using upstream = await startAccepting();
    const timeout = { connect: 5, send: 5, read: 0.4 };
    await using stage = await startForwarding({ ...nodesOf(upstream), timeout }, open);
    await using client = await connectRaw(stage.port);
    client.write(upgrade);
    await client.until(() => client.received.includes('\r\n\r\n'), 'the answer');
    const startedAt = performance.now();
    for (let n = 0; n < 8; n++) {
      client.write('x');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await upstream.closed(0);
    assert.ok(performance.now() - startedAt > 1000);
    await client.untilClosed();
  });

  test('a refused handshake is an ordinary answer, and the connection goes on', async () => {
    await using upstream = await startRawProvider(({ socket }) =>
      socket.write('HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno'),
    );
    await using stage = await startForwarding(nodesOf(upstream), open);
    await using client = await connectRaw(stage.port);
    client.write(upgrade + upgrade);
    const responses = await client.readResponses(2);
    assert.deepEqual(
      responses.map(({ status, body }) => `${status} ${body.toString()}`),
      ['403 no', '403 no'],
    );
  });

  const refused: readonly (readonly [what: string, options: { allowsWebSocket: boolean }, request: string])[] = [
    ['without enable_websocket', { allowsWebSocket: false }, upgrade],
    ['of another protocol', open, upgrade.replace('Upgrade: websocket', 'Upgrade: h2c')],
    ['of several protocols', open, upgrade.replace('Upgrade: websocket', 'Upgrade: h2c, websocket')],
    ['that Connection does not name', open, upgrade.replace(', Upgrade', '')],
    ['of a POST', open, upgrade.replace('GET', 'POST')],
    ['of HTTP/1.0', open, upgrade.replace('HTTP/1.1', 'HTTP/1.0')],
    ['with a body', open, `${upgrade.replace('Sec-WebSocket-Version', 'Content-Length: 1\r\nX')}x`],
  ];
  for (const [what, options, request] of refused) {
    test(`an upgrade ${what} is not passed on`, async () => {
      await using upstream = await startRawProvider(({ socket }) =>
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
      );
      await using stage = await startForwarding(nodesOf(upstream), options);
      await using client = await connectRaw(stage.port);
      client.write(request);
      assert.equal((await client.readResponse()).status, 200);
      const names = upstream.requests[0]?.fields.map(([name]) => name) ?? [];
      assert.equal(names.includes('upgrade') || names.includes('connection'), false);
    });
  }

  test('an upstream that changes to another protocol than was asked for: 502', async () => {
    await using upstream = await startAccepting(accepted.replace('WebSocket', 'h2c'));
    await using stage = await startForwarding(nodesOf(upstream), open);
    await using client = await connectRaw(stage.port);
    client.write(upgrade);
    assert.equal((await client.readResponse()).status, 502);
  });
});
