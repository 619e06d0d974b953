import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BoundedPattern, compileSubstitute, PatternTimeout, replaceMatch } from './bounded-pattern.ts';

for (const [pattern, text, substitute, once, all] of [
  ['^/a/(.*)/(.*)', '/a/b/c', '/$1-$2', '/b-c', '/b-c'],
  ['b', 'abcabc', 'x', 'axcabc', 'axcaxc'],
  ['(b)(z)?', 'abab', '[$0${1}1$2]', 'a[bb1]ab', 'a[bb1]a[bb1]'],
  ['b', 'ab', '$$0', 'a$0', 'a$0'],
  ['$', 'ab', 'c', 'abc', 'abc'],
] as const) {
  test(`${pattern} becomes ${substitute} in ${text}`, () => {
    const compiled = new BoundedPattern(pattern);
    const parts = compileSubstitute(substitute, compiled.groupCount);
    const first = compiled.exec(text);
    assert.equal(first && replaceMatch(text, first, parts), once);
    assert.equal(compiled.replaceAll(text, parts), all);
  });
}

for (const [substitute, reason] of [
  ['$host', /expected \$1/],
  ['/a$', /expected \$1/],
  ['$2', /no group 2/],
  ['${12}', /no group 12/],
] as const) {
  test(`${substitute} is refused as the substitute for one group`, () => {
    assert.throws(() => compileSubstitute(substitute, 1), reason);
  });
}

test('replacing a million matches is stopped as well', () => {
  const pattern = new BoundedPattern('a');
  assert.equal(pattern.replaceAll('a'.repeat(1000), ['b']), 'b'.repeat(1000));
  assert.throws(() => pattern.replaceAll('a'.repeat(1_900_000), ['b']), PatternTimeout);
});

test('a pattern that backtracks without end is stopped', () => {
  const pattern = new BoundedPattern('^(a+)+$');
  assert.equal(pattern.exec('aaaa')?.[0], 'aaaa');
  assert.throws(() => pattern.exec(`${'a'.repeat(60)}b`), PatternTimeout);
});
