import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { toShares } from './weights.ts';

const rows: readonly (readonly [what: string, weights: readonly number[], shares: readonly number[]])[] = [
  ['are divided by what all have in common', [10, 5, 0 + 15], [2, 1, 3]],
  ['stay as they are without', [4, 1], [4, 1]],
  ['that are equal become ones', [100, 100], [1, 1]],
  ['of one candidate become one', [7], [1]],
  ['of nobody are none', [], []],
  ['in huge numbers in simple proportions are exact', [2e300, 1e300], [2, 1]],
];

describe('weights', () => {
  for (const [what, weights, shares] of rows) {
    test(what, () => assert.deepEqual(toShares(weights, 1000), shares));
  }

  test('beyond the limit are rounded in proportion, and nobody loses all', () => {
    assert.deepEqual(toShares([1_000_000, 999_999, 1], 1000), [499, 499, 1]);
  });

  test('as large as numbers get keep their order and the limit', () => {
    const shares = toShares([Number.MAX_VALUE, Number.MAX_VALUE / 2, 3], 1000);
    assert.deepEqual(shares, [665, 333, 1]);
  });
});
