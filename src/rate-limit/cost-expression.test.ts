import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileCostExpression, toWholeTokens } from './cost-expression.ts';

const openai = {
  prompt_tokens: 100,
  completion_tokens: 40,
  total_tokens: 140,
  prompt_tokens_details: { cached_tokens: 60, audio_tokens: 1 },
  completion_tokens_details: { reasoning_tokens: 30, audio_tokens: 2 },
};
const anthropic = { input_tokens: 10, output_tokens: 8, cache_read_input_tokens: 55, service_tier: 'standard' };

const cases: readonly (readonly [
  what: string,
  text: string,
  usage: Readonly<Record<string, unknown>>,
  cost: number | null,
])[] = [
  ['members', 'input_tokens + cache_read_input_tokens*0.1 + output_tokens*5', anthropic, 56],
  ['a missing member as 0', 'input_tokens + cache_creation_input_tokens * 9', anthropic, 10],
  ['a text as 0', 'service_tier + 1', anthropic, 1],
  ['the members of another protocol as 0', 'input_tokens + output_tokens', openai, 0],
  ['a path', 'prompt_tokens - prompt_tokens_details.cached_tokens * 0.5', openai, 70],
  ['a path into nothing as 0', 'prompt_tokens.cached + nothing.at.all + 1', openai, 1],
  ['a member of an inner object by its own name', 'cached_tokens + reasoning_tokens', openai, 90],
  ['of two inner members the one whose object comes first in the alphabet', 'audio_tokens', openai, 2],
  ['the outer one of two members', 'n', { z: { n: 1 }, n: 2 }, 2],
  ['the nearer one of two members', 'n', { a: { b: { n: 1 } }, z: { n: 2 } }, 2],
  ['an inner number in place of an outer text', 'n', { n: 'x', a: { n: 3 } }, 3],
  ['members of a list as 0', 'n', { list: [{ n: 1 }] }, 0],
  ['what every object inherits as 0', 'constructor + toString + __proto__ + 1', {}, 1],
  ['a member named __proto__', '__proto__', JSON.parse('{"__proto__":3}') as object as Record<string, unknown>, 3],
  ['a half as the next whole number', '0.5', {}, 1],
  ['less than a half as none', '0.49', {}, 0],
  ['a negative result as 0', 'input_tokens - 100', anthropic, 0],
  ['a division by zero as nothing known', 'input_tokens / nothing', anthropic, null],
  ['0 / 0 as nothing known', 'nothing / nothing', anthropic, null],
  ['a number too large for JSON as nothing known', 'n', JSON.parse('{"n":1e999}') as Record<string, unknown>, null],
  ['more than can be counted as the most', '1e300', {}, Number.MAX_SAFE_INTEGER],
];

for (const [what, text, usage, cost] of cases) {
  test(`a cost reads ${what}`, () => {
    assert.equal(compileCostExpression(text).evaluate(usage), cost);
  });
}

test('an expression that is none is refused when it is compiled', () => {
  assert.throws(
    () => compileCostExpression('input_tokens +'),
    /expected a number, a name or "\(" at position 15, got the end/,
  );
});

test('whatever a provider reports, the cost is a whole number of at least 0, or unknown', () => {
  const { evaluate } = compileCostExpression('a + b.c * d - e / f');
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', '__proto__'), fc.jsonValue()), (usage) => {
      const cost = evaluate(usage);
      assert.ok(cost === null || (Number.isSafeInteger(cost) && cost >= 0), String(cost));
    }),
  );
});

test('an answer with very many members is read, but not to its end', () => {
  const wide = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`k${String(i).padStart(4, '0')}`, { n: i }]));
  assert.equal(compileCostExpression('n + absent').evaluate(wide), 0);
  let deep: Record<string, unknown> = { n: 1 };
  for (let level = 0; level < 10_000; level++) deep = { deep };
  assert.equal(compileCostExpression('n').evaluate(deep), 0);
});

test('token counts are whole numbers of at least 0', () => {
  assert.deepEqual([1.5, 1.49, -3, -0, 0, 7, Infinity, Number.NaN].map(toWholeTokens), [2, 1, 0, 0, 0, 7, null, null]);
});
