import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSharedRegion, SharedMemory } from './shared-memory.ts';

test('a memory without room for another name says once what does not work from now on, and what helps', () => {
  const region = createSharedRegion({ cellSlots: 2 });
  const warnings: string[] = [];
  const views = [1, 2].map(() => new SharedMemory(region, { log: { warn: (text) => void warnings.push(text) } }));
  for (const { cells } of views) for (const name of ['a', 'b', 'c', 'd']) cells.open(name);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /do not see which of their instances are unhealthy.*round robin.*restart/);
});

test('a hundred thousand names are not too many', () => {
  const { cells } = new SharedMemory(createSharedRegion(), { log: { warn: assert.fail } });
  for (let route = 0; route < 100_000; route++) cells.open(`${route}`);
});
