import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { mergePatch, replaceAt } from './patch.ts';

describe('mergePatch', () => {
  const rows: readonly [value: unknown, patch: unknown, expected: unknown][] = [
    [{ a: 1 }, { a: 2 }, { a: 2 }],
    [{ a: 1 }, { b: 2 }, { a: 1, b: 2 }],
    [{ a: 1, b: 2 }, { a: null }, { b: 2 }],
    [{ a: [1, 2] }, { a: [3] }, { a: [3] }],
    [{ a: { b: 1, c: 2 } }, { a: { b: null, d: 3 } }, { a: { c: 2, d: 3 } }],
    [{ a: 1 }, { a: { b: null, c: 1 } }, { a: { c: 1 } }],
    [{ a: [1] }, { a: { b: 1 } }, { a: { b: 1 } }],
    [{}, { toString: { a: 1 } }, { toString: { a: 1 } }],
  ];
  for (const [value, patch, expected] of rows) {
    it(`of ${JSON.stringify(value)} with ${JSON.stringify(patch)}`, () =>
      assert.deepEqual(mergePatch(value, patch), expected));
  }

  it('changes neither of its arguments, and doing it twice changes nothing more', () => {
    const object = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.jsonValue({ maxDepth: 3 }), {
      noNullPrototype: true,
    });
    fc.assert(
      fc.property(object, object, (value, patch) => {
        const [valueBefore, patchBefore] = [JSON.stringify(value), JSON.stringify(patch)];
        const once = mergePatch(value, patch);
        assert.deepEqual([JSON.stringify(value), JSON.stringify(patch)], [valueBefore, patchBefore]);
        assert.deepEqual(mergePatch(once, patch), once);
      }),
    );
  });
});

describe('replaceAt', () => {
  const value = { a: { b: 1 }, list: [{ c: 1 }] };
  const rows: readonly [path: readonly string[], part: unknown, expected: unknown][] = [
    [['a'], 2, { ...value, a: 2 }],
    [['a', 'b'], { x: 1 }, { ...value, a: { b: { x: 1 } } }],
    [['a', 'b'], null, { ...value, a: {} }],
    [['new', 'deep'], 1, { ...value, new: { deep: 1 } }],
    [['constructor', 'x'], 1, { ...value, constructor: { x: 1 } }],
    [['a', 'b', 'c'], 1, undefined],
    [['list', '0', 'c'], 1, undefined],
    [['__proto__', 'x'], 1, undefined],
    [[], 1, undefined],
  ];
  for (const [path, part, expected] of rows) {
    it(`/${path.join('/')} by ${JSON.stringify(part)}`, () => {
      assert.deepEqual(replaceAt(value, path, part), expected);
      assert.deepEqual(value, { a: { b: 1 }, list: [{ c: 1 }] });
    });
  }
});
