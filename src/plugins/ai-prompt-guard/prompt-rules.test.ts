import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkPattern, PromptRules } from './prompt-rules.ts';

const rules = (allow_patterns: readonly string[], deny_patterns: readonly string[] = []): PromptRules =>
  new PromptRules({ allow_patterns, deny_patterns });

const cases: readonly [what: string, rules: PromptRules, text: string, verdict: string][] = [
  ['no pattern accepts everything', rules([]), 'anything', 'accepted'],
  ['one of the allowed is enough', rules(['weather', 'news']), 'the news', 'accepted'],
  ['none of the allowed', rules(['weather', 'news']), 'a poem', 'not allowed'],
  ['a denied one', rules([], ['bomb', 'poison']), 'how to poison', 'denied'],
  ['none of the denied', rules([], ['bomb']), 'a poem', 'accepted'],
  ['what is allowed can be denied', rules(['weather'], ['bomb']), 'weather bomb', 'denied'],
  ['what is not allowed is not looked at further', rules(['weather'], ['bomb']), 'bomb', 'not allowed'],
  ['case counts', rules([], ['Bomb']), 'bomb', 'accepted'],
  ['unless the pattern says otherwise', rules([], ['(?i)Bomb']), 'bOMB', 'denied'],
  ['characters are code points', rules([], ['^.$']), '\u{1f600}', 'denied'],
  ['scripts have names', rules([], ['\\p{Han}']), 'a \u4e2d', 'denied'],
  ['patterns that need the clock work too', rules([], ['(?:a|b)*c$']), 'ababc', 'denied'],
];

for (const [what, promptRules, text, verdict] of cases) {
  test(`prompts are judged: ${what}`, () => assert.equal(promptRules.judge(text).is, verdict));
}

const hostile: readonly [pattern: string, text: string][] = [
  ['^(a+)+$', `${'a'.repeat(50)}!`],
  ['(?:a|aa)+$', `${'a'.repeat(100)}!`],
  ['(x+x+)+y', 'x'.repeat(100)],
  ['(.*)*\\1!', 'a'.repeat(5000)],
  // No nesting, but a text that makes it long: 10^10 steps.
  ['a*b', 'a'.repeat(100_000)],
  ['a*a*a*b', 'a'.repeat(3000)],
];

for (const [pattern, text] of hostile) {
  test(`${pattern} on a text made for it ends in time, named in the verdict`, () => {
    const promptRules = rules(['a|x'], ['never', pattern]);
    const startedAt = performance.now();
    const verdict = promptRules.judge(text);
    const ms = performance.now() - startedAt;
    assert.deepEqual(verdict, { is: 'undecided', pattern: 'deny_patterns[1]' });
    assert.ok(ms < 500, `${ms} ms`);
  });
}

test('what runs without the clock is quick even on a text made for it', () => {
  // The longest texts that are affordable for these patterns lie around 2000 and 150 characters.
  for (const [pattern, longest] of [
    ['a*b', 2500],
    ['a*a*b', 200],
    ['a?'.repeat(15), 100],
  ] as const) {
    const promptRules = rules([], [pattern]);
    for (let length = 10; length <= longest; length += Math.ceil(longest / 20)) {
      const startedAt = performance.now();
      promptRules.judge('a'.repeat(length));
      const ms = performance.now() - startedAt;
      assert.ok(ms < 200, `${pattern} on ${length}: ${ms} ms`);
    }
  }
});

test('after a pattern was ended the next text is judged as ever', () => {
  const promptRules = rules([], ['^(a+)+$']);
  assert.equal(promptRules.judge(`${'a'.repeat(50)}!`).is, 'undecided');
  assert.equal(promptRules.judge('aaa').is, 'denied');
  assert.equal(promptRules.judge('b').is, 'accepted');
});

test('a pattern that cannot be used is told', () => {
  assert.equal(checkPattern('a+'), null);
  assert.match(checkPattern('(') ?? '', /\(/);
  assert.match(checkPattern('(?R)') ?? '', /not supported/);
});
