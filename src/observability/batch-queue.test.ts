import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'node:test';
import { silentLog, type LogFields } from '../base/log.ts';
import { BatchQueues, type BatchQueue, type BatchQueueOptions } from './batch-queue.ts';

type Deliver = BatchQueueOptions['deliver'];

const minute = 60_000;

interface Stage {
  readonly queues: BatchQueues;
  readonly queue: BatchQueue;
  /** Every attempt, in order. */
  readonly attempts: (readonly string[])[];
  readonly reports: LogFields[];
}

/** A queue that sends only when it is full, and notes what it sends. */
function stage(options: Partial<BatchQueueOptions>, answer: Deliver = () => Promise.resolve()): Stage {
  const attempts: (readonly string[])[] = [];
  const reports: LogFields[] = [];
  const queues = new BatchQueues({ ...silentLog, error: (_message, fields) => void reports.push(fields ?? {}) });
  const queue = queues.create({
    facts: { logger: 'test' },
    maxBatchEntries: 3,
    maxPendingEntries: 10,
    bufferDurationMs: minute,
    inactiveTimeoutMs: minute,
    attemptTimeoutMs: minute,
    maxRetries: 0,
    retryDelayMs: 0,
    deliver: (entries, signal) => {
      attempts.push([...entries]);
      return answer(entries, signal);
    },
    ...options,
  });
  return { queues, queue, attempts, reports };
}

const push = (queue: BatchQueue, ...entries: string[]): void => entries.forEach((entry) => queue.push(entry));
const refuse: Deliver = () => Promise.reject(new Error('connection refused'));
/** A server that takes everything and never answers. */
const stall: Deliver = (_entries, signal) =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error));
  });

async function until(done: () => boolean): Promise<void> {
  for (let tries = 0; !done(); tries++) {
    assert.ok(tries < 500, 'it did not happen in time');
    await sleep(2);
  }
}

describe('BatchQueue', () => {
  it('sends as soon as a batch is full, in order, and keeps the rest', async () => {
    const { queue, attempts } = stage({});
    push(queue, 'a', 'b');
    await sleep(10);
    assert.deepEqual(attempts, []);
    push(queue, 'c', 'd');
    await sleep(10);
    assert.deepEqual(attempts, [['a', 'b', 'c']]);
  });

  it('sends when there was no further entry for the inactive timeout', async () => {
    const { queue, attempts } = stage({ inactiveTimeoutMs: 40 });
    queue.push('a');
    await sleep(25);
    queue.push('b');
    await sleep(25);
    assert.deepEqual(attempts, [], 'the second entry starts the time anew');
    await until(() => attempts.length > 0);
    assert.deepEqual(attempts, [['a', 'b']]);
  });

  it('sends when the oldest entry has waited for the buffer duration, however many follow', async () => {
    const { queue, attempts } = stage({ bufferDurationMs: 50, maxBatchEntries: 1000, maxPendingEntries: 1000 });
    const started = performance.now();
    while (attempts.length < 2 && performance.now() - started < 2000) {
      queue.push('x');
      await sleep(5);
    }
    assert.equal(attempts.length, 2, 'also for the entries after the first batch');
    assert.ok((attempts[0]?.length ?? 0) > 1);
  });

  it('sends one batch after the other, and what came meanwhile with the next', async () => {
    const answers: (() => void)[] = [];
    const { queue, attempts } = stage({}, () => new Promise<void>((resolve) => void answers.push(resolve)));
    push(queue, 'a', 'b', 'c', 'd', 'e');
    await sleep(5);
    assert.deepEqual(attempts, [['a', 'b', 'c']]);
    push(queue, 'f', 'g');
    answers.shift()?.();
    await sleep(5);
    assert.deepEqual(attempts.slice(1), [['d', 'e', 'f']]);
  });

  it('tries again as often as it may, after the delay', async () => {
    let refusals = 2;
    const times: number[] = [];
    const { queue, attempts, reports } = stage({ maxRetries: 2, retryDelayMs: 30 }, () => {
      times.push(performance.now());
      return refusals-- > 0 ? Promise.reject(new Error('status 500')) : Promise.resolve();
    });
    push(queue, 'a', 'b', 'c');
    await until(() => attempts.length === 3);
    assert.deepEqual(new Set(attempts.map(String)), new Set(['a,b,c']));
    assert.ok((times[1] ?? 0) - (times[0] ?? 0) >= 28);
    assert.deepEqual(reports, []);
  });

  it('drops a batch that cannot be delivered and says how many entries and why', async () => {
    const { queue, attempts, reports } = stage({ maxRetries: 1 }, refuse);
    push(queue, 'a', 'b', 'c');
    await until(() => reports.length > 0);
    assert.equal(attempts.length, 2);
    assert.deepEqual(reports, [{ logger: 'test', lost_entries: 3, reason: 'connection refused' }]);
  });

  it('reports losses once and the later ones together, not each', async () => {
    const { queues, queue, reports } = stage({ maxBatchEntries: 1 }, refuse);
    for (let n = 0; n < 20; n++) {
      queue.push('x');
      await sleep(1);
    }
    assert.equal(reports.length, 1);
    push(queue, 'y');
    await queues.close(minute);
    assert.deepEqual(
      reports.map((report) => report['lost_entries']),
      [1, 20],
    );
  });

  it('ends an attempt that gets no answer after its timeout', async () => {
    const { queue, reports } = stage({ attemptTimeoutMs: 30 }, stall);
    push(queue, 'a', 'b', 'c');
    await until(() => reports.length > 0);
    assert.equal(reports[0]?.['reason'], 'no answer within 30 ms');
  });

  it('keeps the newest entries when the server does not keep up, counting those on their way', async () => {
    let stalled = true;
    const { queues, queue, attempts, reports } = stage({ maxPendingEntries: 5, attemptTimeoutMs: 40 }, (...call) =>
      stalled ? stall(...call) : Promise.resolve(),
    );
    for (let n = 1; n <= 12; n++) queue.push(String(n));
    assert.deepEqual(attempts, [['1', '2', '3']]);
    stalled = false;
    await queues.close(minute);
    assert.deepEqual(attempts.slice(1), [['11', '12']], '3 on their way and 2 that wait make 5');
    assert.equal(
      reports.reduce((sum, report) => sum + Number(report['lost_entries']), 0),
      10,
    );
  });

  it('bounds what waits by its size, too', async () => {
    const { queues, queue, attempts } = stage({ maxPendingCharacters: 10 });
    push(queue, 'aaaaaa', 'bbbbbb');
    await queues.close(minute);
    assert.deepEqual(attempts, [['bbbbbb']]);
  });

  it('sends batches no larger than what may wait, where those could never fill', async () => {
    const { queue, attempts } = stage({ maxBatchEntries: 1000, maxPendingEntries: 2 });
    push(queue, 'a', 'b');
    await until(() => attempts.length > 0);
    assert.deepEqual(attempts, [['a', 'b']]);
  });
});

describe('BatchQueues.close', () => {
  it('delivers what waits', async () => {
    const { queues, queue, attempts, reports } = stage({});
    push(queue, 'a', 'b', 'c', 'd');
    await queues.close(minute);
    assert.deepEqual(attempts, [['a', 'b', 'c'], ['d']]);
    assert.deepEqual(reports, []);
  });

  it('does not wait for retries', async () => {
    const { queues, queue, attempts, reports } = stage({ maxRetries: 100, retryDelayMs: minute }, refuse);
    push(queue, 'a', 'b', 'c');
    await until(() => attempts.length === 1);
    await sleep(5);
    await queues.close(minute);
    assert.equal(attempts.length, 2, 'one last time');
    assert.equal(reports[0]?.['lost_entries'], 3);
  });

  it('counts as lost what a silent server has not taken at the deadline', async () => {
    const { queues, queue, attempts, reports } = stage({}, stall);
    push(queue, 'a', 'b', 'c', 'd');
    const started = performance.now();
    await queues.close(50);
    assert.ok(performance.now() - started < 1000);
    assert.equal(attempts.length, 1);
    assert.deepEqual(
      reports.map((report) => report['lost_entries']).reduce((a, b) => Number(a) + Number(b)),
      4,
    );
    assert.equal(reports[0]?.['reason'], 'the gateway ended');
  });
});
