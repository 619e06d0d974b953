import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSharedRegion, forgetThread, SharedMemory } from './shared-memory.ts';

const options = { counterBytes: 0, cellSlots: 64 };

test('threads count together, each from 0 on, and open a name as often as they like', () => {
  const region = createSharedRegion(options);
  const [one, other] = [new SharedMemory(region).running, new SharedMemory(region).running];
  one.open('a').add(2);
  other.open('a').add(3);
  other.open('b').add(1);
  one.open('a').add(-1);
  assert.deepEqual([one.open('a').load(), other.open('a').load(), one.open('b').load()], [4, 4, 1]);
});

test('what ran in a thread that died is not counted any more, and who takes its place begins at 0', () => {
  const region = createSharedRegion(options);
  const dying = new SharedMemory(region).running.open('a');
  // All views of this test are in one thread, so the seat of the first is given to another one.
  new Int32Array(region.seats)[1] = 77 + 1;
  const survivor = new SharedMemory(region).running.open('a');
  dying.add(5);
  survivor.add(1);
  assert.equal(survivor.load(), 6);
  forgetThread(region, 77);
  assert.equal(survivor.load(), 1);
  const successor = new SharedMemory(region).running.open('a');
  assert.deepEqual([successor.load(), survivor.load()], [1, 1]);
  successor.add(1);
  assert.deepEqual([successor.load(), survivor.load()], [2, 2]);
});
