import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FloodGuard } from './flood-guard.ts';

test('so many are admitted at once, and no more', () => {
  const guard = new FloodGuard({ burst: 3, perSecond: 1 });
  assert.deepEqual(
    [1, 2, 3, 4].map(() => guard.admits(1000)),
    [true, true, true, false],
  );
});

test('a steady rate at the limit is admitted for ever, twice of it is not', () => {
  const steady = new FloodGuard({ burst: 2, perSecond: 10 });
  const double = new FloodGuard({ burst: 2, perSecond: 10 });
  const seconds = Array.from({ length: 1000 }, (_, i) => i);
  assert.ok(seconds.every((i) => steady.admits(i * 100)));
  assert.ok(!seconds.every((i) => double.admits(i * 50)));
});

test('what was too much is forgiven in time', () => {
  const guard = new FloodGuard({ burst: 1, perSecond: 1 });
  guard.admits(0);
  assert.equal(guard.admits(0), false);
  assert.equal(guard.admits(2000), true);
});
