import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { WeirError } from '../../base/errors.ts';
import type { JsonObject } from '../json.ts';
import { readEmbeddings } from './read-embeddings.ts';
import { cosine, toUnitVector } from './unit-vector.ts';

const item = (index: unknown, embedding: unknown): JsonObject => ({ object: 'embedding', index, embedding });

describe('reading embeddings', () => {
  test('gives unit vectors in the order of the indexes', () => {
    const vectors = readEmbeddings({ data: [item(1, [0, 2]), item(0, [3, 4])] }, 2);
    const rounded = vectors.map((vector) => Array.from(vector, (number) => Math.round(number * 1e6) / 1e6));
    assert.deepEqual(rounded, [
      [0.6, 0.8],
      [0, 1],
    ]);
  });

  const good = item(0, [1, 0]);
  const refused: readonly (readonly [what: string, data: unknown, complaint: RegExp])[] = [
    ['no data', undefined, /`data` is no array/],
    ['data that is no array', { 0: good, length: 2 }, /`data` is no array/],
    ['one too few', [good], /1 embeddings for 2 texts/],
    ['one too many', [good, good, good], /3 embeddings for 2 texts/],
    ['the same index twice', [good, good], /two embeddings of the index 0/],
    ['an index beyond the texts', [good, item(2, [0, 1])], /no index from 0 to 1/],
    ['a negative index', [good, item(-1, [0, 1])], /no index/],
    ['half an index', [good, item(0.5, [0, 1])], /no index/],
    ['an index that is text', [good, item('1', [0, 1])], /no index/],
    ['no index', [good, { embedding: [0, 1] }], /no index/],
    ['an item that is none', [good, null], /no index/],
    ['no embedding', [good, { index: 1 }], /embedding 1 is no array of finite numbers/],
    ['an empty embedding', [good, item(1, [])], /embedding 1 is no array of finite numbers/],
    ['an embedding in base64', [good, item(1, 'AACAPw==')], /embedding 1 is no array of finite numbers/],
    ['a number that is text', [good, item(1, [0, '1'])], /embedding 1 is no array of finite numbers/],
    ['a number that is null', [good, item(1, [0, null])], /embedding 1 is no array of finite numbers/],
    ['an infinite number', [good, item(1, [0, JSON.parse('1e999')])], /embedding 1 is no array of finite numbers/],
    ['another dimension', [good, item(1, [0, 1, 0])], /differ in dimension/],
    ['nothing but zeros', [good, item(1, [0, 0])], /embedding 1 has no direction/],
    ['numbers too large to be squared', [good, item(1, [1e300, 1e300])], /embedding 1 has no direction/],
  ];
  for (const [what, data, complaint] of refused) {
    test(`refuses ${what}`, () => {
      const isRefusal = (error: unknown): boolean =>
        error instanceof WeirError && error.code === 'UPSTREAM_ANSWER' && complaint.test(error.message);
      assert.throws(() => readEmbeddings({ data }, 2), isRefusal);
    });
  }
});

describe('the cosine', () => {
  const rows: readonly (readonly [what: string, a: number[], b: number[], cosine: number])[] = [
    ['of the same direction is 1, whatever the lengths are', [0.1, 0.2, 0.3], [1, 2, 3], 1],
    ['of opposite directions is -1', [1, 2], [-2, -4], -1],
    ['of unrelated directions is 0', [1, 0], [0, 5], 0],
    ['in between', [1, 0], [3, 4], 0.6],
  ];
  for (const [what, a, b, expected] of rows) {
    test(what, () => {
      const [left, right] = [toUnitVector(a), toUnitVector(b)];
      assert.ok(left !== null && right !== null);
      assert.equal(cosine(left, right), expected);
    });
  }

  test('of a text and itself is exactly 1 in 3072 dimensions', () => {
    const vector = toUnitVector(Array.from({ length: 3072 }, (_, i) => Math.sin(i) / 50));
    assert.ok(vector);
    assert.equal(cosine(vector, vector), 1);
  });
});
