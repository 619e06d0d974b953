import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fields } from './fields.ts';

const fields = new Fields(['host', 'h', 'x-a', '1', 'accept', '', 'x-a', '2, 3']);

test('get gives the first value, and the empty value as such', () => {
  assert.deepEqual([fields.get('x-a'), fields.get('accept'), fields.get('x-b')], ['1', '', undefined]);
});

test('a value is never taken for a name', () => {
  assert.equal(fields.get('h'), undefined);
  assert.equal(fields.get('1'), undefined);
});

test('getCombined joins repeated fields in order', () => {
  assert.deepEqual(
    [fields.getCombined('x-a'), fields.getCombined('host'), fields.getCombined('h')],
    ['1, 2, 3', 'h', undefined],
  );
});

test('has and size', () => {
  assert.deepEqual([fields.has('accept'), fields.has('x-b'), fields.size, new Fields().size], [true, false, 4, 0]);
});
