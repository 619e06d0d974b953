import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { fakeRequest } from '../../router/request-view.fixture.ts';
import type { Candidate } from './balancer.ts';
import { ConsistentHash } from './consistent-hash.ts';

const nobody: ReadonlySet<number> = new Set();
const keys = Array.from({ length: 10_000 }, (_, i) => `user-${i}`);

function candidatesOf(weights: Readonly<Record<string, number>>): Candidate[] {
  return Object.entries(weights).map(([name, weight]) => ({ name, weight }));
}

/** The name of the candidate that each key belongs to. */
function ownersOf(candidates: readonly Candidate[], excluded: ReadonlySet<number> = nobody): string[] {
  let key = '';
  const balancer = new ConsistentHash(candidates, () => key);
  return keys.map((each) => {
    key = each;
    return candidates[balancer.begin(fakeRequest()).next(excluded)]?.name ?? '';
  });
}

function moved(before: readonly string[], after: readonly string[]): number {
  return before.filter((owner, i) => owner !== after[i]).length;
}

describe('the hash ring', () => {
  const spreads: readonly (readonly [weights: Record<string, number>, tolerance: number])[] = [
    [{ a: 1, b: 1 }, 0.06],
    [{ a: 1, b: 1, c: 1, d: 1 }, 0.06],
    [{ a: 10, b: 5 }, 0.06],
    [{ a: 4, b: 1 }, 0.06],
    [{ 'openai-eu': 3, 'openai-us': 2, deepseek: 1 }, 0.06],
    [{ a: 100, b: 99, c: 1 }, 0.03],
    [{ a: 1_000_000, b: 999_999 }, 0.03],
  ];
  for (const [weights, tolerance] of spreads) {
    test(`spreads 10,000 keys by the weights ${JSON.stringify(weights)}`, () => {
      const owners = ownersOf(candidatesOf(weights));
      const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0);
      for (const [name, weight] of Object.entries(weights)) {
        const share = owners.filter((owner) => owner === name).length / keys.length;
        const difference = Math.abs(share - weight / total);
        assert.ok(difference < tolerance, `${name} has ${share}, its weight is ${weight / total} of all`);
      }
    });
  }

  test('gives every candidate its share among many', () => {
    const owners = ownersOf(
      Array.from({ length: 1000 }, (_, i) => ({ name: `10.0.${i >> 8}.${i & 255}:80`, weight: 1 })),
    );
    const most = Math.max(
      ...Map.groupBy(owners, (owner) => owner)
        .values()
        .map((list) => list.length),
    );
    assert.ok(most < 40, `one of 1000 has ${most} of 10,000 keys`);
  });

  test('is the same whatever the order of the candidates is, and on every day', () => {
    const owners = ownersOf(candidatesOf({ a: 2, b: 1, c: 1 }));
    assert.deepEqual(ownersOf(candidatesOf({ c: 1, a: 2, b: 1 })), owners);
    // A change of these would move the keys of everybody who upgrades.
    assert.deepEqual(owners.slice(0, 12).join(''), 'aabaababcaca');
  });

  test('moves only the keys of a candidate that is excluded, and to all of the others', () => {
    const candidates = candidatesOf({ a: 1, b: 1, c: 1, d: 1 });
    const before = ownersOf(candidates);
    const after = ownersOf(candidates, new Set([1]));
    for (const [i, owner] of before.entries()) if (owner !== 'b') assert.equal(after[i], owner);
    const heirs = after.filter((_, i) => before[i] === 'b');
    for (const name of ['a', 'c', 'd']) {
      const part = heirs.filter((heir) => heir === name).length / heirs.length;
      assert.ok(part > 0.2 && part < 0.5, `${name} inherits ${part}`);
    }
  });

  test('an exclusion and a removal move the same keys to the same places', () => {
    const candidates = candidatesOf({ a: 1, b: 1, c: 1, d: 1 });
    const remaining = candidates.filter(({ name }) => name !== 'b');
    assert.deepEqual(ownersOf(remaining), ownersOf(candidates, new Set([1])));
  });

  test('a new candidate takes keys from others, and moves none between them', () => {
    const before = ownersOf(candidatesOf({ a: 1, b: 1, c: 1 }));
    const after = ownersOf(candidatesOf({ a: 1, b: 1, c: 1, d: 1 }));
    for (const [i, owner] of after.entries()) if (owner !== 'd') assert.equal(before[i], owner);
    const taken = moved(before, after) / keys.length;
    assert.ok(taken > 0.19 && taken < 0.31, `${taken} of the keys moved`);
  });

  test('one request is led from one candidate to the next until all were tried', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 }),
        (key, weights) => {
          const candidates = weights.map((weight, i) => ({ name: `n${i}`, weight }));
          const picker = new ConsistentHash(candidates, () => key).begin(fakeRequest());
          const tried = new Set<number>();
          for (const _ of candidates) {
            const index = picker.next(tried);
            assert.ok(index >= 0 && !tried.has(index));
            tried.add(index);
          }
          assert.equal(picker.next(tried), -1);
        },
      ),
    );
  });

  test('keys differ by every character, also by those outside ASCII', () => {
    const candidates = Array.from({ length: 200 }, (_, i) => ({ name: `n${i}`, weight: 1 }));
    const pick = (key: string): number => new ConsistentHash(candidates, () => key).begin(fakeRequest()).next(nobody);
    const distinct = new Set(['\u00e4', '\u00f6', '\u4f60', '\u{1f600}', '\u{1f601}', ''].map(pick));
    assert.ok(distinct.size >= 5, `${distinct.size} of 6 different keys`);
  });
});
