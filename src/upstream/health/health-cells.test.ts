import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSharedRegion, SharedMemory } from '../../shared-memory/shared-memory.ts';
import { HealthReader, HealthWriter } from './health-cells.ts';

const state = { isUsable: false, isMixed: true };

for (const [name, owner, instance] of [
  ['like the address of another', 'routes/1', 'a/127.0.0.1'],
  ['with the quotes that keep names apart', 'routes/1', 'a","127.0.0.1'],
  ['of another resource', 'routes/1/a', '127.0.0.1'],
] as const) {
  test(`the health of one instance says nothing of an instance named ${name}`, () => {
    const { cells } = new SharedMemory(createSharedRegion({ cellSlots: 64 }));
    const sick = new HealthWriter(cells, 'routes/1', 'a');
    const other = new HealthReader(cells, owner, instance);
    sick.writeAddress('127.0.0.1', 'unhealthy');
    sick.writeInstance(state);
    assert.deepEqual([other.isUsable(), other.statusOf('127.0.0.1')], [true, 'healthy']);

    const reader = new HealthReader(cells, 'routes/1', 'a');
    assert.deepEqual([reader.isUsable(), reader.statusOf('127.0.0.1')], [false, 'unhealthy']);
  });
}
