import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Deadlines, deadlineResolutionMs, type Expirable } from './deadlines.ts';

test('a deadline that passed is told once, others are not; 0 is none', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const deadlines = new Deadlines();
  const told: string[] = [];
  const item = (name: string, deadline: number): Expirable => ({ deadline, onDeadline: () => told.push(name) });
  const items = [item('past', deadlines.now() - 1), item('future', deadlines.now() + 60_000), item('none', 0)];
  for (const one of items) deadlines.add(one);
  t.mock.timers.tick(deadlineResolutionMs);
  assert.deepEqual(told, ['past']);
  assert.equal(items[0]?.deadline, 0);
  t.mock.timers.tick(10 * deadlineResolutionMs);
  assert.deepEqual(told, ['past']);

  for (const one of items) deadlines.remove(one);
  const again = item('again', deadlines.now() - 1);
  deadlines.add(again);
  t.mock.timers.tick(deadlineResolutionMs);
  assert.deepEqual(told, ['past', 'again'], 'the sweep starts anew after the last item was removed');
  deadlines.remove(again);
});

test('an item may leave while the sweep tells it', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const deadlines = new Deadlines();
  const told: number[] = [];
  for (const number of [1, 2, 3]) {
    const item: Expirable = {
      deadline: deadlines.now() - 1,
      onDeadline: () => {
        told.push(number);
        deadlines.remove(item);
      },
    };
    deadlines.add(item);
  }
  t.mock.timers.tick(deadlineResolutionMs);
  assert.deepEqual(told, [1, 2, 3]);
});
