import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createKeyedHash, int32At } from './keyed-hash.ts';

test('the hash depends on the seed and on the key', () => {
  const hash = createKeyedHash('0123');
  assert.equal(hash('a'), createKeyedHash('0123')('a'));
  assert.notEqual(hash('a'), hash('b'));
  assert.notEqual(hash('a'), createKeyedHash('4567')('a'));
});

test('int32At reads the bytes as a Buffer would', () => {
  const bytes = createKeyedHash('0123')('key');
  for (const offset of [0, 4, 13, 28]) {
    assert.equal(int32At(bytes, offset), Buffer.from(bytes, 'latin1').readInt32LE(offset));
  }
});
