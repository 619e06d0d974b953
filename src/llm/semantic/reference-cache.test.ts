import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { describe, test } from 'node:test';
import { WeirError } from '../../base/errors.ts';
import { ReferenceCache, type References } from './reference-cache.ts';

const failure = new WeirError('UPSTREAM_CONNECT', ['127.0.0.1:1: connection refused']);

/** A cache whose fetches the test ends, and whose clock it turns. */
function startCache() {
  const fetches: PromiseWithResolvers<References>[] = [];
  const failures: unknown[] = [];
  const clock = { now: 0 };
  const cache = new ReferenceCache({
    fetch() {
      const fetch = Promise.withResolvers<References>();
      fetches.push(fetch);
      return fetch.promise;
    },
    onFailure: (error) => failures.push(error),
    now: () => clock.now,
  });
  return { cache, fetches, failures, clock };
}

const references: References = [[Float32Array.of(1)]];
const newer: References = [[Float32Array.of(-1)]];

describe('references', () => {
  test('are fetched before anybody asks, and once for all who ask meanwhile', async () => {
    const { cache, fetches } = startCache();
    assert.equal(fetches.length, 1);
    const asked = [cache.get(), cache.get()];
    fetches[0]?.resolve(references);
    assert.deepEqual([await asked[0], await asked[1]], [references, references]);
    assert.equal(cache.get(), references);
    assert.equal(fetches.length, 1);
  });

  test('a failure is told once, to all who wait; later ones are refused at once until the pause is over', async () => {
    const { cache, fetches, failures, clock } = startCache();
    const asked = cache.get();
    fetches[0]?.reject(failure);
    await assert.rejects(async () => asked, failure);
    assert.deepEqual(failures, [failure]);
    for (const [pausedUntil, fetchCount] of [
      [1000, 2],
      [3000, 3],
      [7000, 4],
    ] as const) {
      clock.now = pausedUntil - 1;
      assert.throws(() => cache.get(), WeirError);
      clock.now = pausedUntil;
      const again = cache.get();
      assert.equal(fetches.length, fetchCount);
      fetches[fetchCount - 1]?.reject(failure);
      await assert.rejects(async () => again, failure);
    }
  });

  test('after a failure that nobody waited for they are fetched for the next one who asks', async () => {
    const { cache, fetches, clock } = startCache();
    fetches[0]?.reject(failure);
    await setImmediate();
    clock.now = 1000;
    const asked = cache.get();
    fetches[1]?.resolve(references);
    assert.equal(await asked, references);
  });

  test('older than an hour they serve until newer ones are here', async () => {
    const { cache, fetches, clock } = startCache();
    fetches[0]?.resolve(references);
    await setImmediate();
    clock.now = 3_599_999;
    assert.equal(cache.get(), references);
    assert.equal(fetches.length, 1);
    clock.now = 3_600_000;
    assert.equal(cache.get(), references);
    assert.equal(cache.get(), references);
    assert.equal(fetches.length, 2);
    fetches[1]?.resolve(newer);
    await setImmediate();
    assert.equal(cache.get(), newer);
  });

  test('old ones serve on when newer ones cannot be had', async () => {
    const { cache, fetches, clock } = startCache();
    fetches[0]?.resolve(references);
    await setImmediate();
    clock.now = 3_600_000;
    cache.get();
    fetches[1]?.reject(failure);
    await setImmediate();
    assert.equal(cache.get(), references);
    assert.equal(fetches.length, 2);
    clock.now += 1000;
    assert.equal(cache.get(), references);
    assert.equal(fetches.length, 3);
  });

  test('that do not fit are fetched anew, once a minute at most', async () => {
    const { cache, fetches, clock } = startCache();
    fetches[0]?.resolve(references);
    await setImmediate();
    cache.distrust();
    assert.equal(fetches.length, 1);
    clock.now = 60_000;
    cache.distrust();
    cache.distrust();
    assert.equal(fetches.length, 2);
  });
});
