import assert from 'node:assert/strict';
import { on } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import {
  createSharedRegion,
  forgetThread,
  SharedMemory,
  type SharedRegion,
} from '../src/shared-memory/shared-memory.ts';
import type { CountingThreadData } from './fixtures/counting-thread.ts';

/** Longer than any test. */
const windowMs = 3_600_000;

function startThread(data: CountingThreadData): Worker {
  return new Worker(new URL('./fixtures/counting-thread.ts', import.meta.url), { workerData: data });
}

/** Runs a task in threads that begin at the same moment. @returns What each of them found. */
async function runTogether(
  region: SharedRegion,
  task: CountingThreadData['task'],
  { threads = 4, contested = [] as readonly SharedRegion[] } = {},
): Promise<number[]> {
  const started = new Int32Array(new SharedArrayBuffer(4));
  const workers = Array.from({ length: threads }, () => startThread({ region, contested, task, threads, started }));
  return Promise.all(workers.map((worker) => answerOf(worker)));
}

async function answerOf(worker: Worker): Promise<number> {
  for await (const [said] of on(worker, 'message')) if (typeof said === 'number') return said;
  assert.fail();
}

/** Runs a task in a thread of its own until it says `word`, and ends it there as the worker pool does. */
async function killAfter(region: SharedRegion, task: CountingThreadData['task'], word: string): Promise<void> {
  const worker = startThread({
    region,
    contested: [],
    task,
    threads: 1,
    started: new Int32Array(new SharedArrayBuffer(4)),
  });
  const { threadId } = worker;
  for await (const [said] of on(worker, 'message')) if (said === word) break;
  await worker.terminate();
  forgetThread(region, threadId);
}

test('what four threads add to the same keys is all there', async () => {
  const region = createSharedRegion();
  await runTogether(region, 'add');
  const { counters } = new SharedMemory(region);
  assert.equal(counters.read('hot', windowMs).used, 200_000);
  for (let key = 0; key < 1000; key++) {
    assert.equal(counters.read(`cold ${key}`, windowMs).used, 100, `cold ${key}`);
  }
});

test('four threads together take the limit exactly', async () => {
  const region = createSharedRegion();
  const taken = await runTogether(region, 'take');
  assert.equal(
    taken.reduce((sum, each) => sum + each),
    7777,
  );
  assert.equal(new SharedMemory(region).counters.read('limited', windowMs).used, 7777);
});

test('a leaky bucket lets one burst through, whichever threads it comes from', async () => {
  const accepted = await runTogether(createSharedRegion(), 'leak');
  assert.equal(
    accepted.reduce((sum, each) => sum + each),
    100,
  );
});

test('threads that open the same names have the same cells', async () => {
  const region = createSharedRegion({ cellSlots: 1500 });
  await runTogether(region, 'cells');
  const { cells } = new SharedMemory(region);
  for (let index = 0; index < 1000; index++) assert.equal(cells.find(`cell ${index}`)?.load(), 4);
  assert.equal(cells.find('hot')?.load(), 200_000);
});

test('of two threads that claim the last free cell at the same moment, one has it', async () => {
  const contested = Array.from({ length: 2000 }, () => createSharedRegion({ counterBytes: 0, cellSlots: 1 }));
  const threadIds = await runTogether(createSharedRegion(), 'contest', { threads: 2, contested });
  for (const region of contested) {
    const { cells } = new SharedMemory(region);
    const found = threadIds.map((id) => cells.find(`of thread ${id}`)).filter((cell) => cell !== null);
    assert.deepEqual(
      found.map((cell) => cell.load()),
      [1],
    );
  }
});

test('all threads see the same time', async () => {
  const before = performance.now();
  const times = await runTogether(createSharedRegion(), 'tellTime');
  const after = performance.now();
  for (const time of times) assert.ok(time > before && time < after, `${before} < ${time} < ${after}`);
});

test('a thread that is terminated while it holds a lock does not block the others', async () => {
  // The memory has one lock, in its last word.
  const region = createSharedRegion({ counterBytes: 0 });
  await killAfter(region, 'holdLockForEver', 'locked');
  assert.equal(new Int32Array(region.counters).at(-1), 0);
  assert.equal(new SharedMemory(region).counters.add('hot', 1, windowMs).used, 1);
});

test('threads that are terminated at any moment lose nothing that others have counted', async () => {
  const region = createSharedRegion();
  const { counters } = new SharedMemory(region);
  counters.add('hot', 1000, windowMs);
  const survivors = runTogether(region, 'add');
  for (let times = 0; times < 6; times++) await killAfter(region, 'addForEver', 'started');
  await survivors;
  const { used } = counters.read('hot', windowMs);
  assert.ok(Number.isInteger(used) && used >= 1000 + 200_000, `${used}`);
  for (let key = 0; key < 1000; key++) assert.equal(counters.read(`cold ${key}`, windowMs).used, 100);
});
