import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answerTo, answerToToolResult } from './answers.ts';
import { splitTokens } from './tokens.ts';

const topics: readonly (readonly [string, RegExp])[] = [
  ['What is Weir?', /^Weir is an AI gateway/],
  ['What is a weir?', /^A weir is a low wall across a river/],
  ['How does streaming work in Weir?', /server-sent events/],
  ['Tell me a story about a weir', /^There was a river/],
  ['Write a haiku', /^Rain falls/],
  ['Hello!', /^Hello!/],
  ['What is 1+1?', /^1 \+ 1 = 2$/],
  ['', /not asked anything/],
];
for (const [question, answer] of topics) {
  test(`${JSON.stringify(question)} gets its own answer`, () => {
    assert.match(answerTo(question), answer);
  });
}

test('any other question is quoted, shortened, on one line', () => {
  assert.match(answerTo('Why is\nthe sky blue?'), /"Why is the sky blue\?"/);
  const long = answerTo('😀'.repeat(5000));
  assert.ok(long.length < 1000);
  assert.ok(long.isWellFormed());
});

test('the result of a tool is quoted', () => {
  assert.match(answerToToolResult('{"degrees": 21}'), /\{"degrees": 21\}/);
});

for (const text of ['', ' ', 'one', ' two  words\n\n', '漢字漢字漢字漢字漢字漢字漢字漢字', '😀'.repeat(40), 'a\n\nb']) {
  test(`the tokens of ${JSON.stringify(text.slice(0, 12))} are the text again, and none is long`, () => {
    const tokens = splitTokens(text);
    assert.equal(tokens.join(''), text);
    assert.ok(tokens.every((token) => Array.from(token.trim()).length <= 12 && token.isWellFormed()));
  });
}
