import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Specimens } from './specimens.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Offers one object at each of these times. @returns The times of those that are still there after a collection. */
async function keptOf(specimens: Specimens, times: readonly number[]): Promise<number[]> {
  const offered = times.map((nowMs) => {
    const specimen = { nowMs };
    specimens.offer(specimen, nowMs);
    return new WeakRef(specimen);
  });
  // A WeakRef holds its object to the end of the turn.
  await nextTurn();
  collectGarbage();
  return offered.flatMap((reference) => reference.deref()?.nowMs ?? []);
}

test('of the objects of one second the first is kept, and the others can be collected', async () => {
  const specimens = new Specimens();
  assert.deepEqual(await keptOf(specimens, [5000, 5001, 5999, 6000, 6500]), [5000, 6000]);
});

test('the last eight are kept', async () => {
  const specimens = new Specimens();
  const seconds = Array.from({ length: 10 }, (_, index) => 1000 * (index + 1));
  assert.deepEqual(await keptOf(specimens, seconds), seconds.slice(-8));
});
