import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BoundedValues, labelText } from './label-text.ts';

for (const [name, value, printed] of [
  ['plain text', 'r1', 'r1'],
  ['quotes, backslashes and line breaks', 'a"b\\c\nd', 'a\\"b\\\\c\\nd'],
  ['what was no text', '\ud800', '\ufffd'],
  ['128 bytes', 'x'.repeat(128), 'x'.repeat(128)],
  ['more bytes', 'x'.repeat(1000), 'x'.repeat(128)],
  ['a character across the limit', `${'x'.repeat(127)}ü`, 'x'.repeat(127)],
  ['many bytes in few characters', '\u{1f600}'.repeat(40), '\u{1f600}'.repeat(32)],
] as const) {
  test(`of ${name} a label is made`, () => {
    assert.equal(labelText(['a', 'b'], ['', value]), `a="",b="${printed}"`);
  });
}

test('a value that is kept is cut before: values that begin alike are one', () => {
  const values = new BoundedValues(1);
  const [one, other] = ['a', 'b'].map((end) => values.get('x'.repeat(1000) + end));
  assert.deepEqual([one, other, values.get('y')], ['x'.repeat(128), 'x'.repeat(128), '<other>']);
});

test('after so many different values all others are one', () => {
  const values = new BoundedValues(2);
  assert.deepEqual(
    ['a', '', 'b', 'c', 'a', 'd'].map((value) => values.get(value)),
    ['a', '', 'b', '<other>', 'a', '<other>'],
  );
});
