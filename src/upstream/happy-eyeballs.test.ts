import assert from 'node:assert/strict';
import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBlackHole } from '../../test/support/black-hole.ts';
import { freePort } from '../../test/support/free-port.ts';
import {
  describeFailures,
  interleaveFamilies,
  raceToConnect,
  startAnywhere,
  type RaceResult,
} from './happy-eyeballs.ts';

async function listen(host = '127.0.0.1', port = 0): Promise<{ server: Server; port: number } & AsyncDisposable> {
  const server = createServer((socket) => socket.on('error', () => {}).resume());
  server.listen(port, host);
  await once(server, 'listening');
  return {
    server,
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, 'close');
    },
  };
}

function addresses(...list: string[]): LookupAddress[] {
  return list.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
}

function race(list: LookupAddress[], port: number): Promise<RaceResult & { tookMs: number }> {
  const startedAt = performance.now();
  return new Promise((resolve) => {
    raceToConnect(list, port, (result) => resolve({ ...result, tookMs: performance.now() - startedAt }));
  });
}

const orders = [
  { given: [], order: [] },
  { given: ['1.1.1.1'], order: ['1.1.1.1'] },
  { given: ['1.1.1.1', '1.1.1.2'], order: ['1.1.1.1', '1.1.1.2'] },
  { given: ['::1', '::2', '::3', '1.1.1.1'], order: ['::1', '1.1.1.1', '::2', '::3'] },
  { given: ['1.1.1.1', '::1', '::2', '1.1.1.2'], order: ['1.1.1.1', '::1', '1.1.1.2', '::2'] },
];

for (const { given, order } of orders) {
  test(`[${given.join(' ')}] is tried in the order [${order.join(' ')}]`, () => {
    assert.deepEqual(
      interleaveFamilies(addresses(...given)).map(({ address }) => address),
      order,
    );
  });
}

for (const [given, random, order] of [
  ['1.1.1.1', 0.9, '1.1.1.1'],
  ['1 2 3', 0, '1 2 3'],
  ['1 2 3', 0.34, '2 3 1'],
  ['1 2 3', 0.99, '3 1 2'],
  ['::1 1 2 ::2', 0.5, '::2 ::1 2 1'],
] as const) {
  test(`[${given}] may begin anywhere, with ${random}: [${order}]`, () => {
    const started = startAnywhere(addresses(...given.split(' ')), random);
    assert.equal(started.map(({ address }) => address).join(' '), order);
  });
}

test('an address that refuses is passed over at once', async () => {
  await using live = await listen();
  const times: number[] = [];
  // The next address would come by itself after 250 ms. A busy machine may be as slow once, and not every time.
  for (let n = 0; n < 5; n++) {
    const { socket, address, failures, tookMs } = await race(addresses('127.0.0.2', '127.0.0.1'), live.port);
    socket?.destroy();
    assert.equal(address, `127.0.0.1:${live.port}`);
    assert.equal(describeFailures(failures), `127.0.0.2:${live.port}: connection refused`);
    times.push(tookMs);
  }
  assert.ok(Math.min(...times) < 200, `${times.join()} ms`);
});

test('an address that never answers delays by 250 ms and its attempt is closed afterwards', async () => {
  await using live = await listen();
  await using hole = await openBlackHole('127.0.0.2', live.port);
  const before = openSockets();
  const { socket, address, failures, tookMs } = await race(addresses('127.0.0.2', '127.0.0.1'), hole.port);
  assert.equal(address, `127.0.0.1:${live.port}`);
  assert.deepEqual(failures, []);
  assert.ok(tookMs >= 245 && tookMs < 2000, `${tookMs} ms`);
  socket?.destroy();
  await returnsTo(before);
});

test('the other addresses are left alone when the first one answers', async () => {
  await using live = await listen();
  const { promise, resolve } = Promise.withResolvers<RaceResult>();
  const { tried } = raceToConnect(addresses('127.0.0.1', '127.0.0.2'), live.port, resolve);
  const { socket, address } = await promise;
  socket?.destroy();
  assert.equal(address, `127.0.0.1:${live.port}`);
  assert.deepEqual(tried, [address]);
});

test('IPv6 is reached when the IPv4 address refuses', async (t) => {
  const live = await listen('::1').catch(() => null);
  if (live === null) {
    t.skip('this machine has no IPv6 loopback');
    return;
  }
  const { address, socket } = await race(addresses('127.0.0.1', '::1'), live.port);
  socket?.destroy();
  await live[Symbol.asyncDispose]();
  assert.equal(address, `[::1]:${live.port}`);
});

test('when all addresses fail each failure is reported', async () => {
  const port = await freePort();
  const { socket, address, failures } = await race(addresses('127.0.0.1', '127.0.0.2'), port);
  assert.equal(socket, null);
  assert.equal(address, '');
  assert.equal(
    describeFailures(failures),
    `127.0.0.1:${port}: connection refused, 127.0.0.2:${port}: connection refused`,
  );
});

test('the socket of the winner has no listener for errors or data', async () => {
  await using live = await listen();
  const { socket } = await race(addresses('127.0.0.1'), live.port);
  assert.ok(socket);
  assert.deepEqual(
    ['connect', 'error', 'data', 'close', 'timeout'].map((event) => socket.listenerCount(event)),
    [0, 0, 0, 0, 0],
  );
  socket.destroy();
});

test('a cancelled race reports nothing and leaves nothing open, wherever it stands', async () => {
  await using hole = await openBlackHole('127.0.0.2');
  await using live = await listen();
  const before = openSockets();
  const races = [
    // At the first attempt, at the second, at a refusal under way and at a connection under way.
    { list: addresses('127.0.0.2', '127.0.0.3'), port: hole.port, afterMs: 10 },
    { list: addresses('127.0.0.2', '127.0.0.2'), port: hole.port, afterMs: 270 },
    { list: addresses('127.0.0.9', '127.0.0.2'), port: hole.port, afterMs: 0 },
    { list: addresses('127.0.0.1'), port: live.port, afterMs: 0 },
  ];
  await Promise.all(
    races.map(async ({ list, port, afterMs }) => {
      const running = raceToConnect(list, port, () => assert.fail('called after cancel'));
      if (afterMs > 0) await sleep(afterMs);
      running.cancel();
    }),
  );
  await sleep(20);
  await returnsTo(before);
});

test('an error that was on its way at the cancellation starts no further attempt', async () => {
  await using live = await listen();
  // The kernel refuses a broadcast address within the call, so the error is raised one tick before it is reported.
  const list = addresses('255.255.255.255', '127.0.0.1');
  const running = raceToConnect(list, live.port, () => assert.fail('called after cancel'));
  process.nextTick(() => running.cancel());
  await sleep(20);
  assert.equal(running.tried.length, 1);
});

function openSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap' || name === 'TCPConnectWrap')
    .length;
}

/** Waits until no more sockets are open than before; the other end needs a moment to notice. */
async function returnsTo(before: number): Promise<void> {
  const deadline = performance.now() + 2000;
  while (openSockets() !== before && performance.now() < deadline) await sleep(5);
  assert.equal(openSockets(), before);
}
