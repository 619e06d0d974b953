import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { silentLog } from '../base/log.ts';
import { Deadlines } from '../http/deadlines.ts';
import type { PoolUse } from './connection.ts';
import { createConnector } from './connector.ts';
import { Pools, type Pool } from './pool.ts';
import { createResolver } from './resolver.ts';

const use: PoolUse = { timeoutMs: 1000, keepAlive: true, idleTimeoutMs: 1000, maxIdle: 10 };
const wire = { method: 'GET', head: 'GET / HTTP/1.1\r\nhost: x\r\n\r\n', body: Buffer.alloc(0) };

/** A pool to a server that answers each request with 204, and the connections that were made to it. */
async function openPool(t: TestContext, maxLifetimeMs?: number): Promise<{ pools: Pools; pool: Pool; made: Socket[] }> {
  const made: Socket[] = [];
  const server = createServer((socket) => {
    made.push(socket);
    socket.on('data', () => socket.write('HTTP/1.1 204 No Content\r\n\r\n'));
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const connector = createConnector({
    resolver: createResolver({ log: silentLog }),
    connectTo: new Map(),
    log: silentLog,
  });
  const pools = new Pools({
    connector,
    deadlines: new Deadlines(),
    ...(maxLifetimeMs !== undefined && { maxLifetimeMs }),
  });
  t.after(() => {
    pools.close();
    for (const socket of made) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { pools, pool: pools.get({ origin: { scheme: 'http', host: '127.0.0.1', port }, verifyTls: true }), made };
}

function callOnce(pool: Pool, more: Partial<PoolUse> = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    pool.call(
      wire,
      { ...use, ...more },
      { onHead: () => {}, onData: () => {}, onReadEnd: () => {}, onEnd: resolve, onError: reject },
    );
  });
}

test('a connection is used again within its lifetime', async (t) => {
  const { pool, made } = await openPool(t);
  await callOnce(pool);
  await callOnce(pool);
  assert.equal(made.length, 1);
});

test('a connection beyond its lifetime is closed after its answer, so that a name that moved is followed', async (t) => {
  const { pool, made } = await openPool(t, 30);
  await callOnce(pool);
  await setTimeout(50);
  await callOnce(pool);
  assert.equal(made.length, 1);
  await callOnce(pool);
  assert.equal(made.length, 2);
});

test('a connection that comes back after its pool was closed is closed, too', async (t) => {
  const { pools, pool, made } = await openPool(t);
  const answered = callOnce(pool);
  pools.close();
  await answered;
  const [socket] = made;
  assert.ok(socket);
  if (!socket.closed) await once(socket, 'close', { signal: AbortSignal.timeout(1000) });
});

test('pools with equal settings are one, with other TLS settings another', async (t) => {
  const { pools, pool } = await openPool(t);
  assert.equal(pools.get({ ...pool.key }), pool);
  assert.notEqual(pools.get({ ...pool.key, verifyTls: false }), pool);
});

test('a connection to an address that became unhealthy is not used again, unless all addresses are unhealthy', async (t) => {
  const { pool, made } = await openPool(t);
  let healthy = true;
  const sick = new Set<string>();
  const health = {
    get healthy(): boolean {
      return healthy;
    },
    isAddressHealthy: (ip: string): boolean => !sick.has(ip),
  };
  await callOnce(pool, { health });
  await callOnce(pool, { health });
  assert.equal(made.length, 1);
  sick.add('127.0.0.1');
  await callOnce(pool, { health });
  assert.equal(made.length, 2);
  healthy = false;
  await callOnce(pool, { health });
  assert.equal(made.length, 2);
});

test('of pools for names that clients choose only so many are remembered, and the forgotten ones are closed', async (t) => {
  const { pools, pool, made } = await openPool(t);
  const named = (servername: string): Pool => pools.getNamed({ ...pool.key, servername });
  const first = named('0.example');
  assert.equal(named('0.example'), first);
  assert.notEqual(named('1.example'), first);
  await callOnce(first);
  assert.equal(made.length, 1);
  const closed = once(made[0] as Socket, 'close');
  for (let n = 2; n < 1001; n++) named(`${n}.example`);
  await closed;
  assert.notEqual(named('0.example'), first);
});
