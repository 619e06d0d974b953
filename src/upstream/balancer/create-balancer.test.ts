import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { silentLog } from '../../base/log.ts';
import { fakeRequest } from '../../router/request-view.fixture.ts';
import { createSharedRegion, SharedMemory } from '../../shared-memory/shared-memory.ts';
import type { Picker } from './balancer.ts';
import { createBalancer, type BalancerConf } from './create-balancer.ts';
import type { RankedCandidate } from './priority-groups.ts';

type Row = readonly [name: string, weight: number, priority?: number];

const roundrobin: BalancerConf = { algorithm: 'roundrobin', hash_on: 'vars' };
const byUser: BalancerConf = { algorithm: 'chash', hash_on: 'header', key: 'x-user' };
const region = createSharedRegion({ counterBytes: 4096, cellSlots: 256 });

function candidatesOf(rows: readonly Row[]): RankedCandidate[] {
  return rows.map(([name, weight, priority = 0]) => ({ name, weight, priority }));
}

let places = 0;

/** A balancer in a place of its own. */
function start(rows: readonly Row[], conf = roundrobin): { begin(user?: string): Picker } {
  const { cells, running } = new SharedMemory(region);
  const parts = { name: `test ${++places}`, cells, running, log: silentLog };
  const balancer = createBalancer(candidatesOf(rows), conf, parts);
  return { begin: (user = 'u') => balancer.begin(fakeRequest({ headers: { 'x-user': user } })) };
}

/** The order in which one request tries them all, by name. */
function order(rows: readonly Row[], picker: Picker, excluded: readonly number[] = []): string {
  const tried = new Set(excluded);
  const names: string[] = [];
  for (let index = picker.next(tried); index !== -1; index = picker.next(tried)) {
    names.push(rows[index]?.[0] ?? '?');
    tried.add(index);
  }
  return names.join(' ');
}

describe('priorities', () => {
  const lines: readonly (readonly [what: string, rows: Row[], order: string, excluded?: number[]])[] = [
    [
      'the larger number comes first',
      [
        ['low', 9, 0],
        ['high', 1, 10],
      ],
      'high low',
    ],
    [
      'the published example: priority 1 before priority 0',
      [
        ['openai', 10, 0],
        ['deepseek', 5, 1],
      ],
      'deepseek openai',
    ],
    [
      'numbers below 0 come last',
      [
        ['c', 1, -5],
        ['b', 1, 0],
        ['a', 1, 7],
      ],
      'a b c',
    ],
    [
      'a group without anybody left is passed over',
      [
        ['a', 1, 2],
        ['b', 1, 1],
        ['c', 1, 0],
      ],
      'b c',
      [0],
    ],
    [
      'weight 0 waits until nobody else is left',
      [
        ['zero', 0],
        ['one', 1],
      ],
      'one zero',
    ],
    [
      'weight 0 waits even with the higher priority',
      [
        ['zero', 0, 9],
        ['one', 1, 0],
      ],
      'one zero',
    ],
    [
      'weight 0 everywhere: by priority',
      [
        ['low', 0, 1],
        ['high', 0, 2],
      ],
      'high low',
    ],
    ['one alone', [['a', 3]], 'a'],
    ['one alone that is excluded', [['a', 3]], '', [0]],
  ];
  for (const conf of [roundrobin, byUser]) {
    for (const [what, rows, expected, excluded] of lines) {
      test(`${conf.algorithm}: ${what}`, () => {
        assert.equal(order(rows, start(rows, conf).begin(), excluded), expected);
      });
    }
  }

  test('within a priority the weights decide, before the next one is asked', () => {
    const rows: Row[] = [
      ['a', 4, 1],
      ['spare', 100, 0],
      ['b', 1, 1],
    ];
    const balancer = start(rows);
    const orders = Array.from({ length: 10 }, () => order(rows, balancer.begin()));
    assert.equal(orders.filter((each) => each === 'a b spare').length, 8);
    assert.equal(orders.filter((each) => each === 'b a spare').length, 2);
  });

  test('each group counts its own turns', () => {
    const rows: Row[] = [
      ['a', 1, 1],
      ['b', 1, 1],
      ['c', 1, 0],
      ['d', 1, 0],
    ];
    const balancer = start(rows);
    const spares = Array.from({ length: 10 }, (_, i) => {
      // Every other request finds the first group as it is.
      if (i % 2 === 0) balancer.begin().next(new Set());
      return rows[balancer.begin().next(new Set([0, 1]))]?.[0];
    });
    assert.equal(spares.filter((name) => name === 'c').length, 5);
  });

  test('instances of weight 0 share what they get', () => {
    const rows: Row[] = [
      ['a', 0],
      ['b', 0],
      ['c', 1],
    ];
    const balancer = start(rows);
    const picks = Array.from({ length: 10 }, () => rows[balancer.begin().next(new Set([2]))]?.[0]);
    assert.equal(picks.filter((name) => name === 'a').length, 5);
  });
});

describe('a balancer in several workers', () => {
  test('is exact over each round of all of them together', async () => {
    const rows: Row[] = [
      ['a', 5],
      ['b', 3],
      ['c', 1],
    ];
    const rounds = 400;
    const parts = JSON.stringify({ candidates: candidatesOf(rows), conf: roundrobin, picks: rounds * 3 });
    const code = `
      const { parentPort, workerData } = require('node:worker_threads');
      const load = (path) => import(new URL(path, workerData.base));
      (async () => {
        const { createBalancer } = await load('./create-balancer.ts');
        const { SharedMemory } = await load('../../shared-memory/shared-memory.ts');
        const { candidates, conf, picks } = JSON.parse(workerData.parts);
        const { cells, running } = new SharedMemory(workerData.region);
        const balancer = createBalancer(candidates, conf, { name: 'workers', cells, running, log: console });
        const counts = candidates.map(() => 0);
        parentPort.once('message', () => {
          for (let i = 0; i < picks; i++) counts[balancer.begin({}).next(new Set())]++;
          parentPort.postMessage(counts);
        });
        parentPort.postMessage('ready');
      })();`;
    const workers = [1, 2, 3].map(
      () => new Worker(code, { eval: true, workerData: { base: import.meta.url, parts, region } }),
    );
    const messageOf = (worker: Worker): Promise<unknown> =>
      new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    try {
      await Promise.all(workers.map(messageOf));
      const answers = workers.map(messageOf);
      for (const worker of workers) worker.postMessage('go');
      const counts = (await Promise.all(answers)) as number[][];
      const sums = rows.map((_, i) => counts.reduce((sum, each) => sum + (each[i] ?? 0), 0));
      assert.deepEqual(sums, [rounds * 5, rounds * 3, rounds]);
    } finally {
      await Promise.all(workers.map((worker) => worker.terminate()));
    }
  });

  test('sends a key to the same candidate in each of them', () => {
    const rows: Row[] = [
      ['a', 2],
      ['b', 1],
      ['c', 1],
    ];
    const orders = [1, 2].map(() => {
      const balancer = start(rows, byUser);
      return Array.from({ length: 50 }, (_, i) => order(rows, balancer.begin(`user ${i}`)));
    });
    assert.deepEqual(orders[0], orders[1]);
    assert.ok(new Set(orders[0]).size > 3);
  });
});
