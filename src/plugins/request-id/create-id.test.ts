import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createIdSource, ksuid } from './create-id.ts';

const range_id = { length: 16, char_set: 'abcdef' };

test('a KSUID is that of its specification', () => {
  // The example of https://github.com/segmentio/ksuid: time 107608047, payload B5A1CD34B5F99D1154FB6853345C9735.
  const payload = Buffer.from('B5A1CD34B5F99D1154FB6853345C9735', 'hex');
  assert.equal(ksuid(1_400_000_000 + 107_608_047, payload), '0ujtsYcgvSTl8PAuAdqWYSMnLOv');
});

test('ids do not repeat', () => {
  for (const algorithm of ['uuid', 'nanoid', 'range_id', 'ksuid'] as const) {
    const createId = createIdSource({ algorithm, range_id });
    const ids = new Set(Array.from({ length: 1000 }, createId));
    assert.equal(ids.size, 1000, algorithm);
  }
});

test('every character of a set has its chance, also where their number does not divide 256', () => {
  const char_set = String.fromCodePoint(...Array.from({ length: 200 }, (_, index) => 0x100 + index));
  const createId = createIdSource({ algorithm: 'range_id', range_id: { length: 1000, char_set } });
  const counts = new Map<string, number>();
  for (let round = 0; round < 100; round++) {
    for (const character of createId()) counts.set(character, (counts.get(character) ?? 0) + 1);
  }
  assert.equal(counts.size, 200);
  // 500 each, give or take 22; of a plain remainder 781 for the first 56 and 391 for the others.
  for (const [character, count] of counts) assert.ok(Math.abs(count - 500) < 180, `${character}: ${count}`);
});
