import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePcre } from './pcre.ts';

const cases: readonly [pattern: string, matching: readonly string[], others: readonly string[]][] = [
  ['[a-z]+', ['abc', '1a'], ['ABC', '']],
  ['^gpt-(4o|5)$', ['gpt-4o', 'gpt-5\n'], ['gpt-4o-mini', 'xgpt-5', 'gpt-5\n\n']],
  ['(?i)^abc$', ['ABC'], ['abcd']],
  ['(?s)^a.b$', ['a\nb'], ['ab']],
  ['^a.b$', ['a\rb', 'axb'], ['a\nb']],
  ['(?m)^b$', ['a\nb\nc'], ['ab']],
  ['a(?i:b)c', ['aBc'], ['ABc']],
  ['\\Aabc\\z', ['abc'], ['abc\n', 'xabc']],
  ['abc\\Z', ['abc\n'], ['abcd']],
  ['^\\h+$', ['\t '], ['\n']],
  ['^[[:alpha:]_]+$', ['ab_C'], ['a1', ':', '[a']],
  ['^[^[:digit:]]$', ['a'], ['1']],
  ['^[[:punct:]]$', ['/', '[', '`', '~'], ['a', ' ']],
  ['^[]a]+$', ['a]'], ['b']],
  ['^[^]a]$', ['b'], [']', 'a']],
  ['^[a[b]$', ['['], ['c']],
  ['^[\\]\\\\]+$', ['\\]'], ['a']],
  ['(?P<year>\\d{4})-(?P=year)', ['2026-2026'], ['2026-2025']],
  ["(?'a'x)\\k<a>", ['xx'], ['xy']],
  ['^a(?#comment)b$', ['ab'], ['acb']],
  ['^\\Qa.b(\\E+$', ['a.b((', 'a.b('], ['axb(']],
  ['\\Qa.b', ['a.b'], ['axb']],
  ['^\\x41\\x{e9}$', ['Aé'], ['x41']],
  ['^\\/v1\\-\\_\\@$', ['/v1-_@'], ['v1']],
  ['^{x}$', ['{x}'], ['x']],
  ['(?<!a)b(?!c)', ['b'], ['abc']],
  ['^(a)\\1$', ['aa'], ['ab']],
];

for (const [pattern, matching, others] of cases) {
  test(`${JSON.stringify(pattern)} matches what PCRE matches`, () => {
    const regex = compilePcre(pattern, { ignoreCase: false });
    for (const text of matching) assert.ok(regex.test(text), JSON.stringify(text));
    for (const text of others) assert.ok(!regex.test(text), JSON.stringify(text));
  });
}

const unicodeCases: typeof cases = [
  ['^.$', ['\u{1f600}', 'a'], ['ab']],
  ['^[\u{1f600}\u{1f601}]$', ['\u{1f601}'], ['\u{1f602}']],
  ['^\\x{1f600}$', ['\u{1f600}'], ['\u{1f601}']],
  ['^\\p{Lu}\\pL+$', ['\u00c4bc'], ['abc', 'A1']],
  ['^\\p{L&}$', ['a', 'A'], ['\u4e2d']],
  ['^\\p{Han}+$', ['\u4e2d\u6587'], ['a']],
  ['^\\P{Han}$', ['a'], ['\u4e2d']],
  ['^\\p{^Han}$', ['a'], ['\u4e2d']],
  ['^[\\p{Han}\\d]$', ['\u4e2d', '1'], ['a']],
  ['^[\\w-.]+$', ['a-b.c'], ['a b', '']],
  ['^[\\h-x]$', ['-', 'x', ' '], ['a', '0']],
  ['^[[:digit:]-x]$', ['-', 'x', '1'], ['a']],
  ['^\\-\\_\\@\\/\\#$', ['-_@/#'], ['-_@/']],
  ['^{x}]$', ['{x}]'], ['x']],
  ['^{,2}a{1,}$', ['{,2}aa'], ['a']],
];

for (const [pattern, matching, others] of unicodeCases) {
  test(`in Unicode mode, ${JSON.stringify(pattern)} matches what PCRE matches in UTF mode`, () => {
    const regex = compilePcre(pattern, { ignoreCase: false, unicode: true });
    for (const text of matching) assert.ok(regex.test(text), JSON.stringify(text));
    for (const text of others) assert.ok(!regex.test(text), JSON.stringify(text));
  });
}

for (const [pattern, matching, others] of cases) {
  test(`in Unicode mode, ${JSON.stringify(pattern)} means the same`, () => {
    const regex = compilePcre(pattern, { ignoreCase: false, unicode: true });
    for (const text of matching) assert.ok(regex.test(text), JSON.stringify(text));
    for (const text of others) assert.ok(!regex.test(text), JSON.stringify(text));
  });
}

test('what no version of Unicode knows is refused', () => {
  for (const pattern of ['\\p{Klingon}', '\\p', '\\p{}', '\\X']) {
    assert.throws(() => compilePcre(pattern, { ignoreCase: false, unicode: true }), SyntaxError);
  }
});

test('case is ignored when asked', () => {
  assert.ok(compilePcre('^abc$', { ignoreCase: true }).test('aBC'));
  assert.ok(compilePcre('(?i)^abc$', { ignoreCase: true }).test('aBC'));
});

for (const pattern of [
  '(',
  ')',
  '*',
  'a**',
  '[a',
  '[]a',
  '\\',
  'a++',
  'a{2}+',
  '(?>a)',
  '(?R)',
  '(?1)',
  '(?|a)',
  '(?(1)a)',
  '(?x)a',
  '(?x:a)',
  '(*UTF8)a',
  'a\\Kb',
  '\\p{L}',
  '\\g{1}',
  '[[:nonsense:]]',
  '[[:^alpha:]]',
  '\\x{1f600}',
  '(?P<a>x)(?P<a>y)',
]) {
  test(`${JSON.stringify(pattern)} is refused`, () => {
    assert.throws(() => compilePcre(pattern, { ignoreCase: false }), SyntaxError);
  });
}
