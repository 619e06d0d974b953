import assert from 'node:assert/strict';
import { test } from 'node:test';
import { searchCost } from './pattern-cost.ts';

const thousand = 1000;
const million = thousand * thousand;

/** Patterns by how their cost grows with the text: the bounds for 1000 characters. */
const rows: readonly [growth: string, atLeast: number, atMost: number, patterns: readonly RegExp[]][] = [
  [
    'with the text',
    thousand,
    100 * thousand,
    [
      /a/,
      /password/i,
      /(?:foo|bar|baz)/,
      /\b(?:one|two|three|four|five|six)\b/,
      /\d{3}-\d{2}-\d{4}/,
      /colou?r/,
      /a{0,5}b/,
      /[a-z\]]{2}/,
      /\p{Lu}\u{1f600}/u,
      /x(?=y|z)(?!q)(?<=y)(?<!p)/,
      /(?<name>a)(?i:b)/,
      /(?:)/,
    ],
  ],
  ['with its square', million, 100 * million, [/a*b/, /a+?b/, /\d{2,}x/, /(?:abc)+d/, /.*a/, /[^a]*$/, /(?<=a+)b/]],
  ['with its cube', thousand * million, 100 * thousand * million, [/a*a*b/, /\s+,\s+/, /.*foo.*/]],
  [
    'without bounds',
    1e100,
    Infinity,
    [/(a+)+$/, /(?:a|a)*b/, /(?:a?)*b/, /(?:a*b?)+c/, /((a|b){1,2000})c/, /(a)\1/, /(?<n>a)\k<n>/, /(|a)+/],
  ],
];

for (const [growth, atLeast, atMost, patterns] of rows) {
  for (const pattern of patterns) {
    test(`searching for ${String(pattern)} costs work that grows ${growth}`, () => {
      const cost = searchCost(pattern.source, thousand);
      assert.ok(cost >= atLeast && cost <= atMost, String(cost));
    });
  }
}

test('many small choices multiply', () => {
  assert.ok(searchCost('a?'.repeat(30), 10) > 2 ** 30);
  assert.ok(searchCost('(?:a|b)'.repeat(30), 10) > 2 ** 30);
  assert.ok(searchCost('(?:a{0,50}){0,50}', 10) > 1e80);
});

test('the words of a long list only add up', () => {
  const words = Array.from({ length: 500 }, (_, index) => `word${index}`);
  assert.ok(searchCost(words.join('|'), thousand) < 10 * million);
});
