import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MovingAverage, type LatencyCells } from './moving-average.ts';

const nobody: ReadonlySet<number> = new Set();

function cell(): { load(): number; store(value: number): void } {
  let value = 0;
  return { load: () => value, store: (next) => void (value = next) };
}

/** Candidates, with chance and clock in the hands of the test. */
function start(count: number) {
  const cells: LatencyCells[] = Array.from({ length: count }, () => ({ average: cell(), writtenAt: cell() }));
  const chance = { draws: [0], now: 1_000_000 };
  const balancer = new MovingAverage(cells, {
    random: () => chance.draws.shift() ?? 0,
    now: () => chance.now,
  });
  return {
    cells,
    chance,
    learn: (index: number, elapsedMs: number) => balancer.begin().release?.(index, elapsedMs),
    /** @param draws - Of the two candidates, each from 0 up to 1. */
    pick: (draws: readonly [number, number], excluded = nobody): number => {
      chance.draws = [...draws];
      return balancer.begin().next(excluded);
    },
    average: (index: number) => cells[index]?.average.load(),
  };
}

describe('ewma', () => {
  test('of the two that are drawn the faster one is picked, in either order', () => {
    const { learn, pick } = start(3);
    learn(0, 100);
    learn(1, 50);
    learn(2, 10);
    assert.equal(pick([0, 0]), 1, '0 and 1');
    assert.equal(pick([0.4, 0]), 1, '1 and 0');
    assert.equal(pick([0, 0.9]), 2, '0 and 2');
    assert.equal(pick([0.9, 0.9]), 2, '2 and 1');
  });

  test('one of which nothing is known is tried', () => {
    const { learn, pick } = start(2);
    learn(0, 1);
    assert.equal(pick([0, 0]), 1);
  });

  test('the first value is the average; later ones weigh as much as time has passed', () => {
    const { learn, average, chance } = start(1);
    learn(0, 100);
    assert.equal(average(0), 100_000);
    learn(0, 500);
    assert.equal(average(0), 100_000, 'in the same moment: nothing');
    chance.now += 10_000;
    learn(0, 500);
    // 100 ms * 1/e + 500 ms * (1 - 1/e), in microseconds.
    assert.equal(average(0), Math.round(100_000 / Math.E + 500_000 * (1 - 1 / Math.E)));
  });

  test('what is long ago fades: a slow one gets its chance again', () => {
    const { learn, pick, chance } = start(2);
    learn(0, 1000);
    chance.now += 60_000;
    learn(1, 10);
    assert.equal(pick([0, 0]), 0, '1000 ms a minute ago are 2.5 ms');
  });

  test('excluded ones are not drawn; all excluded: none', () => {
    const { pick, learn } = start(3);
    learn(2, 900);
    assert.equal(pick([0, 0], new Set([0, 1])), 2);
    assert.equal(pick([0, 0], new Set([0, 1, 2])), -1);
  });

  test('a time that no cell can hold is cut off', () => {
    const { learn, average } = start(1);
    learn(0, 1e12);
    assert.equal(average(0), 0x7fffffff);
  });

  test('a clock that runs around goes on', () => {
    const { learn, pick, average, chance } = start(2);
    chance.now = 2 ** 31 - 1;
    learn(0, 100);
    learn(1, 5);
    chance.now = 2 ** 31 - 1 + 10_000;
    assert.equal(pick([0, 0]), 1);
    learn(1, 5);
    assert.equal(average(1), 5000);
    learn(0, 500);
    assert.equal(average(0), Math.round(100_000 / Math.E + 500_000 * (1 - 1 / Math.E)));
  });
});
