import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { threadId } from 'node:worker_threads';
import { silentLog } from '../../base/log.ts';
import { fakeRequest } from '../../router/request-view.fixture.ts';
import { createSharedRegion, forgetThread, SharedMemory } from '../../shared-memory/shared-memory.ts';
import type { ImmediateBalancer, Picker } from './balancer.ts';
import { createBalancer } from './create-balancer.ts';

const region = createSharedRegion({ counterBytes: 4096, cellSlots: 256 });
const nobody: ReadonlySet<number> = new Set();
let places = 0;

/** A balancer of one worker; the same name is the same place in the configuration. */
function start(
  weights: readonly number[],
  name = `least ${++places}`,
  priorities: readonly number[] = [],
): ImmediateBalancer {
  const candidates = weights.map((weight, at) => ({ name: `n${at}`, weight, priority: priorities[at] ?? 0 }));
  const { cells, running } = new SharedMemory(region);
  const parts = { name, cells, running, log: silentLog };
  return createBalancer(candidates, { algorithm: 'least_conn', hash_on: 'vars' }, parts);
}

/** One request that stays. */
function take(balancer: ImmediateBalancer, excluded = nobody): { index: number; picker: Picker } {
  const picker = balancer.begin(fakeRequest());
  return { index: picker.next(excluded), picker };
}

describe('least_conn', () => {
  const rows: readonly (readonly [what: string, weights: readonly number[], picked: readonly number[]])[] = [
    ['equal weights fill up evenly', [1, 1, 1], [2, 2, 2]],
    ['twice the weight, twice the requests', [2, 1], [4, 2]],
    ['proportions, whatever their size', [30, 10], [3, 1]],
    ['weight 0 gets nothing', [1, 0, 1], [3, 0, 3]],
  ];
  for (const [what, weights, picked] of rows) {
    test(`${what}: ${picked.join(' ')}`, () => {
      const balancer = start(weights);
      const counts = weights.map(() => 0);
      const total = picked.reduce((sum, count) => sum + count, 0);
      for (let n = 0; n < total; n++) {
        const { index } = take(balancer);
        counts[index] = (counts[index] ?? 0) + 1;
      }
      assert.deepEqual(counts, picked);
    });
  }

  test('one that was done with is free again', () => {
    const balancer = start([1, 1]);
    const first = take(balancer);
    const second = take(balancer);
    assert.notEqual(first.index, second.index);
    second.picker.release?.(second.index, 5);
    for (let n = 0; n < 3; n++) {
      const next = take(balancer);
      assert.equal(next.index, second.index);
      next.picker.release?.(next.index, 5);
    }
  });

  test('when nothing runs they take turns', () => {
    const balancer = start([1, 1, 1]);
    const picked = Array.from({ length: 6 }, () => {
      const { index, picker } = take(balancer);
      picker.release?.(index, 1);
      return index;
    });
    assert.deepEqual(
      picked.toSorted((a, b) => a - b),
      [0, 0, 1, 1, 2, 2],
    );
  });

  test('workers count together', () => {
    const [one, other] = [start([1, 1], 'shared'), start([1, 1], 'shared')];
    assert.notEqual(take(one).index, take(other).index);
  });

  test('what a worker that died had under way is forgotten', () => {
    const dying = start([1, 1], 'dying');
    for (let n = 0; n < 5; n++) take(dying, new Set([1]));
    forgetThread(region, threadId);
    const balancer = start([1, 1], 'dying');
    assert.notEqual(take(balancer).index, take(balancer).index);
  });

  test('who is excluded is passed over, however idle; all excluded: none', () => {
    const balancer = start([1, 1]);
    assert.equal(take(balancer, new Set([0])).index, 1);
    assert.equal(take(balancer, new Set([0])).index, 1);
    assert.equal(take(balancer, new Set([0, 1])).index, -1);
  });

  test('priorities come first, and what is done with is counted in its group', () => {
    const balancer = start([1, 1, 1], 'ranked', [5, 0, 0]);
    assert.equal(take(balancer).index, 0);
    assert.equal(take(balancer).index, 0, 'busy, but preferred');
    const reserve = take(balancer, new Set([0]));
    const other = take(balancer, new Set([0]));
    assert.deepEqual(new Set([reserve.index, other.index]), new Set([1, 2]));
    reserve.picker.release?.(reserve.index, 1);
    assert.equal(take(balancer, new Set([0])).index, reserve.index);
  });
});
