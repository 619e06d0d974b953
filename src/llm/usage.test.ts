import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { JsonObject } from './json.ts';
import { mergeUsage, noUsage, tokenCount } from './usage.ts';

it('a token count is a positive finite number or nothing', () => {
  for (const [value, count] of [
    [5, 5],
    [0, 0],
    [-3, 0],
    [Number.NaN, 0],
    [Infinity, 0],
    ['7', 0],
    [null, 0],
    [{}, 0],
  ]) {
    assert.equal(tokenCount(value), count);
  }
});

it('the first report stands as it is', () => {
  const report = { usage: { ...noUsage, totalTokens: 3 }, raw: { total_tokens: 3 } };
  assert.equal(mergeUsage(null, report), report);
});

it('later positive numbers overwrite earlier ones, and the total is at least the sum', () => {
  const merged = mergeUsage(
    {
      usage: { ...noUsage, promptTokens: 10, totalTokens: 10, cacheReadInputTokens: 4, reasoningTokens: 2 },
      raw: { input: 10, details: { cached: 4, audio: 0 }, tier: 'a' },
    },
    {
      usage: { ...noUsage, completionTokens: 8, totalTokens: 8, cacheCreationInputTokens: 1 },
      raw: { input: 0, output: 8, details: { cached: 5 }, tier: null },
    },
  );
  assert.deepEqual(merged.usage, {
    promptTokens: 10,
    completionTokens: 8,
    totalTokens: 18,
    cacheReadInputTokens: 4,
    cacheCreationInputTokens: 1,
    reasoningTokens: 2,
  });
  assert.deepEqual(merged.raw, { input: 10, output: 8, details: { cached: 5, audio: 0 }, tier: 'a' });
});

it('a larger total that the provider reports stays', () => {
  const earlier = { usage: { ...noUsage, promptTokens: 1, totalTokens: 1 }, raw: {} };
  const later = { usage: { ...noUsage, completionTokens: 1, totalTokens: 50 }, raw: {} };
  assert.equal(mergeUsage(earlier, later).usage.totalTokens, 50);
});

it('usage that is nested without end is merged without the end of the stack', () => {
  let raw: JsonObject = {};
  for (let level = 0; level < 100_000; level++) raw = { a: raw };
  const earlier = { usage: { ...noUsage, promptTokens: 1 }, raw };
  assert.equal(mergeUsage(earlier, { usage: noUsage, raw: { ...raw } }).usage.promptTokens, 1);
});
