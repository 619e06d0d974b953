import assert from 'node:assert/strict';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { Log } from '../src/base/log.ts';
import type { GatewayConfig } from '../src/config/static/gateway-config.ts';
import type { ResourceChange, StoredResource } from '../src/config/store/store.ts';
import type { Buckets } from '../src/observability/metrics/metric-list.ts';
import { MetricsHub } from '../src/observability/metrics/metrics-hub.ts';
import { createWorkerPool, type WorkerPool, type WorkerPoolOptions } from '../src/process/worker-pool.ts';
import { createSharedRegion } from '../src/shared-memory/shared-memory.ts';

const workerUrl = new URL('./fixtures/stub-worker.ts', import.meta.url);

/** The stub reads one key of it; all but the first worker refuse the number 13. */
function configOf(client_max_body_size: number): GatewayConfig {
  return { nginx_config: { http: { client_max_body_size } } } as unknown as GatewayConfig;
}

const noBuckets: Buckets = {
  default_buckets: [],
  llm_latency_buckets: [],
  llm_prompt_tokens_buckets: [],
  llm_completion_tokens_buckets: [],
};

interface WorkerState {
  readonly threadId: number;
  readonly index: number;
  readonly revision: number;
  readonly ids: readonly string[];
  readonly logReopens: number;
  readonly maxBodySize: number;
}

function createTestPool(
  t: TestContext,
  options: Partial<WorkerPoolOptions> = {},
): { pool: WorkerPool; resources: StoredResource[]; errors: string[] } {
  const resources: StoredResource[] = [];
  const errors: string[] = [];
  const note = (message: string, fields?: Readonly<Record<string, unknown>>): void => {
    errors.push(`${message} ${JSON.stringify(fields)}`);
  };
  const ignore = (): void => {};
  const log: Log = { error: note, warn: note, notice: ignore, info: ignore, debug: ignore };
  const pool = createWorkerPool({
    workerUrl,
    size: 1,
    config: configOf(1),
    prefix: '/',
    currentState: () => ({ revision: resources.length, resources }),
    listen: [{ ip: '127.0.0.1', port: 0 }],
    region: createSharedRegion(),
    metrics: new MetricsHub(noBuckets),
    onHealthReport: () => {},
    log,
    ...options,
  });
  t.after(() => pool.drain(0));
  return { pool, resources, errors };
}

async function startAndGetPort(pool: WorkerPool): Promise<number> {
  const [address] = await pool.start();
  assert.ok(address && address.port > 0);
  return address.port;
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.setEncoding('utf8');
  await once(socket, 'connect');
  return socket;
}

/** Sends one line and resolves with all that comes back until the end; '' when the worker dies or is not there. */
async function ask(port: number, line: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.setEncoding('utf8').on('data', (text) => (answer += text));
  socket.on('error', () => {});
  socket.write(`${line}\n`);
  await new Promise((resolve) => {
    socket.on('close', resolve);
  });
  return answer;
}

async function readState(port: number): Promise<WorkerState | undefined> {
  const answer = await ask(port, 'state');
  return answer ? (JSON.parse(answer) as WorkerState) : undefined;
}

/** Asks until every one of `count` workers has answered: the kernel, not the client, picks who accepts. */
async function readAllStates(port: number, count: number): Promise<WorkerState[]> {
  const byIndex = new Map<number, WorkerState>();
  const end = performance.now() + 10_000;
  while (byIndex.size < count && performance.now() < end) {
    const state = await readState(port);
    if (state) byIndex.set(state.index, state);
  }
  assert.equal(byIndex.size, count, 'every worker answers');
  return [...byIndex.values()].sort((a, b) => a.index - b.index);
}

async function eventually<T>(probe: () => Promise<T | undefined | false> | T | undefined | false): Promise<T> {
  const end = Date.now() + 20_000;
  for (;;) {
    const found = await probe();
    if (found) return found;
    assert.ok(Date.now() < end, 'waited 20 s in vain');
    await setTimeout(10);
  }
}

function put(resources: StoredResource[], id: string): ResourceChange {
  const index = resources.length + 1;
  const resource = { kind: 'routes', id, value: {}, createdIndex: index, modifiedIndex: index };
  resources.push(resource);
  return { kind: 'routes', id, resource };
}

test('the workers share the port that the first one was given', async (t) => {
  const { pool } = createTestPool(t, { size: 3 });
  const port = await startAndGetPort(pool);
  const threads = (await readAllStates(port, 3)).map(({ threadId }) => threadId);
  assert.equal(new Set(threads).size, 3);
});

test('a change is live on every worker when publish resolves', async (t) => {
  const { pool, resources } = createTestPool(t, { size: 2 });
  const port = await startAndGetPort(pool);
  await pool.publish([put(resources, 'a')], 1);
  for (const state of await readAllStates(port, 2)) {
    assert.deepEqual([state.revision, state.ids], [1, ['a']]);
  }
});

for (const how of ['throw', 'exit']) {
  test(`a worker that dies (${how}) is logged and replaced, with the configuration of now, while the others serve`, async (t) => {
    const { pool, resources, errors } = createTestPool(t, { size: 2 });
    const port = await startAndGetPort(pool);
    const before = await readAllStates(port, 2);
    await pool.publish([put(resources, 'added-later')], 1);

    await ask(port, how);
    const after = await eventually(async () => {
      const states = await readAllStates(port, 2);
      return states.some(({ threadId }, index) => threadId !== before[index]?.threadId) && states;
    });

    assert.equal(after.filter(({ threadId }, index) => threadId !== before[index]?.threadId).length, 1);
    for (const state of after) assert.deepEqual(state.ids, ['added-later']);
    assert.equal(errors.length, 1);
    assert.match(errors[0] ?? '', /^worker [01] ended; a new one takes its place at once/);
    assert.match(
      errors[0] ?? '',
      how === 'throw' ? /thrown on request.*stub-worker\.ts:\d+/ : /ended by itself with code 7/,
    );
  });
}

test('a lock of the shared memory that a worker dies in is open again', async (t) => {
  const region = createSharedRegion({ counterBytes: 0 });
  const { pool } = createTestPool(t, { region });
  const port = await startAndGetPort(pool);
  // The memory has one lock, in its last word.
  const lock = new Int32Array(region.counters).subarray(-1);
  assert.equal(await ask(port, 'lock'), 'locked');
  assert.notEqual(lock[0], 0);
  await ask(port, 'throw');
  await eventually(() => lock[0] === 0);
});

test('a worker that dies again and again comes back with a growing delay, which the log tells', async (t) => {
  const { pool, errors } = createTestPool(t);
  const port = await startAndGetPort(pool);
  for (let deaths = 1; deaths <= 3; deaths++) {
    await ask(port, 'throw');
    await eventually(() => errors.length === deaths);
    await eventually(() => readState(port));
  }
  assert.deepEqual(
    errors.map((error) => /at once|in \d+ ms/.exec(error)?.[0]),
    ['at once', 'in 100 ms', 'in 200 ms'],
  );
});

test('a change that a worker cannot take is logged, and publish does not fail', async (t) => {
  const { pool, resources, errors } = createTestPool(t);
  const port = await startAndGetPort(pool);
  await pool.publish([put(resources, 'refuse')], 1);
  assert.match(errors[0] ?? '', /refused a change.*"revision":1,"error":"refused as asked"/);
  assert.equal((await readState(port))?.revision, 0);
});

test('a worker that does not answer a change in time is replaced by one that has it', async (t) => {
  const { pool, resources, errors } = createTestPool(t, { applyTimeoutMs: 100 });
  const port = await startAndGetPort(pool);
  // A change of one resource may mean to compile all anew, say that of a global rule.
  for (const id of ['b', 'c']) put(resources, id);
  await pool.publish([put(resources, 'ignore')], 1);
  const state = await eventually(() => readState(port));
  assert.deepEqual([state.revision, state.ids], [3, ['b', 'c', 'ignore']]);
  assert.match(errors[0] ?? '', /did not take over revision 1 within 103 ms/);
});

test('a worker that spins in a loop is replaced at the next change', async (t) => {
  const { pool, resources } = createTestPool(t, { applyTimeoutMs: 100 });
  const port = await startAndGetPort(pool);
  const socket = await open(port);
  socket.on('error', () => {});
  socket.write('spin\n');
  await setTimeout(50);
  await pool.publish([put(resources, 'a')], 1);
  assert.deepEqual((await eventually(() => readState(port)))?.ids, ['a']);
});

test('a worker that dies does not hold up publish', async (t) => {
  const { pool, resources } = createTestPool(t, { applyTimeoutMs: 60_000 });
  const port = await startAndGetPort(pool);
  const publishing = pool.publish([put(resources, 'ignore')], 1);
  await ask(port, 'throw');
  await publishing;
});

test('new settings reach every worker, and those that replace it', async (t) => {
  const { pool } = createTestPool(t, { size: 2 });
  const port = await startAndGetPort(pool);
  assert.equal(await pool.reconfigure(configOf(5)), true);
  for (const state of await readAllStates(port, 2)) assert.equal(state.maxBodySize, 5);
  await ask(port, 'throw');
  await ask(port, 'throw');
  for (const state of await readAllStates(port, 2)) assert.equal(state.maxBodySize, 5);
});

test('settings that a worker refuses leave all with the old ones', async (t) => {
  const { pool } = createTestPool(t, { size: 2 });
  const port = await startAndGetPort(pool);
  assert.equal(await pool.reconfigure(configOf(13)), false);
  for (const state of await readAllStates(port, 2)) assert.equal(state.maxBodySize, 1);
});

test('draining lets running work end and takes no new connections', async (t) => {
  const { pool } = createTestPool(t);
  const port = await startAndGetPort(pool);
  const socket = await open(port);
  socket.write('hold\n');
  await once(socket, 'data');

  let ended = false;
  const draining = pool.drain(10_000).then(() => (ended = true));
  await eventually(async () => {
    const refused = await open(port).then(
      (late) => void late.destroy(),
      () => true,
    );
    return refused;
  });
  assert.equal(ended, false);

  socket.write('release\n');
  assert.deepEqual(await once(socket, 'data'), ['done']);
  await draining;
});

test('at the drain deadline running work is cut', async (t) => {
  const { pool } = createTestPool(t);
  const port = await startAndGetPort(pool);
  const socket = await open(port);
  socket.on('error', () => {});
  socket.write('hold\n');
  await once(socket, 'data');
  const begin = Date.now();
  await pool.drain(100);
  assert.ok(Date.now() - begin < 1000, 'the worker itself ended, before the grace was over');
});

test('a second drain with a shorter deadline ends the first one', async (t) => {
  const { pool } = createTestPool(t);
  const port = await startAndGetPort(pool);
  const socket = await open(port);
  socket.on('error', () => {});
  socket.write('hold\n');
  await once(socket, 'data');
  const first = pool.drain(60_000);
  await pool.drain(0);
  await first;
});

test('a worker that never says that it is drained is ended a second after the deadline', async (t) => {
  const { pool } = createTestPool(t, { prefix: '/never-drained' });
  const port = await startAndGetPort(pool);
  await pool.drain(0);
  await assert.rejects(open(port), { code: 'ECONNREFUSED' });
});

test('log files are reopened by every worker', async (t) => {
  const { pool } = createTestPool(t, { size: 2 });
  const port = await startAndGetPort(pool);
  pool.reopenLogs();
  for (const state of await readAllStates(port, 2)) assert.equal(state.logReopens, 1);
});

test('a worker that cannot listen makes the start fail with one line', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  t.after(() => taken.close());
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const { pool } = createTestPool(t, { size: 2, listen: [{ ip: '127.0.0.1', port }] });
  await assert.rejects(pool.start(), {
    message: `port ${port} on 127.0.0.1 is already in use: stop the program that holds it, or choose another port`,
  });
});

test('a worker that throws while it starts makes the start fail with its error', async (t) => {
  const { pool } = createTestPool(t, { prefix: '/throws-at-start' });
  await assert.rejects(pool.start(), { message: 'thrown at start' });
});
