import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answerArithmetic } from './arithmetic.ts';

const questions: readonly (readonly [string, string | null])[] = [
  ['What is 1+1?', '1 + 1 = 2'],
  ['1+1', '1 + 1 = 2'],
  ['what is 2 + 3 * 4 - 1', '2 + 3 * 4 - 1 = 13'],
  ['How much is 12 times (3 - 0.5)?', '12 * (3 - 0.5) = 30'],
  ['Please calculate: 10 / 4 =', '10 / 4 = 2.5'],
  ['What is 7 divided by 2?', '7 / 2 = 3.5'],
  ['What is 6 × 7?', '6 * 7 = 42'],
  ['What is -3 * -(2 + 1)?', '-3 * -(2 + 1) = 9'],
  ['What is 0.1 + 0.2?', '0.1 + 0.2 = 0.3'],
  ['What is 1/0?', '1 / 0 has no result: nothing can be divided by zero.'],
  ['What is 0/0?', '0 / 0 has no result: nothing can be divided by zero.'],
  ['What is (1+2?', null],
  ['What is 1+?', null],
  ['What is 1 2 + 3?', null],
  ['What is Weir?', null],
  ['What is 42?', null],
  ['What happened on 2026-11-21 in Paris?', null],
  ['process.exit(1+1)', null],
];

for (const [question, answer] of questions) {
  test(`${JSON.stringify(question)} is ${answer === null ? 'no sum' : 'calculated'}`, () => {
    assert.equal(answerArithmetic(question), answer);
  });
}

test('no question takes long', () => {
  const startedAt = performance.now();
  for (const piece of [' ', '1+(', '1 ', 'is ', '-', '(']) {
    for (const length of [119, 100_000]) answerArithmetic(`${piece.repeat(length).slice(0, length)}x`);
  }
  assert.ok(performance.now() - startedAt < 500);
});
