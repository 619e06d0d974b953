import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { WeirError } from '../../base/errors.ts';
import { SemanticIndex } from './semantic-index.ts';
import { toUnitVector, type UnitVector } from './unit-vector.ts';

const directions: Readonly<Record<string, readonly number[]>> = {
  code: [1, 0],
  'more code': [0.8, 0.6],
  poem: [0, 1],
  'other dimension': [1, 0, 0],
};
const examples = [['code', 'more code'], ['poem']];
const timeout = new WeirError('UPSTREAM_READ_TIMEOUT', ['127.0.0.1:1']);
const refusal = new WeirError('UPSTREAM_ANSWER', ['status 400']);
const never = new AbortController().signal;

/** An index above a service that knows a few texts; others are errors that a test has given. */
function startIndex(errors: Readonly<Record<string, WeirError>> = {}) {
  const calls: (readonly string[])[] = [];
  const outcomes: unknown[] = [];
  const index = new SemanticIndex({
    client: {
      async embed(texts): Promise<UnitVector[]> {
        calls.push(texts);
        return texts.map((text) => {
          const error = errors[text];
          if (error !== undefined) throw error;
          const vector = toUnitVector(directions[text] ?? []);
          assert.ok(vector, text);
          return vector;
        });
      },
    },
    examples,
    onOutcome: (error) => outcomes.push(error),
  });
  return { index, calls, outcomes };
}

describe('the index of examples', () => {
  test('scores a text by the best example of each instance, all of them embedded in one call', async () => {
    const { index, calls, outcomes } = startIndex();
    assert.deepEqual(await index.scores('more code', never), [1, 0.6]);
    assert.deepEqual(await index.scores('poem', never), [0.6, 1]);
    assert.deepEqual(calls, [['code', 'more code', 'poem'], ['more code'], ['poem']]);
    assert.deepEqual(outcomes, [null, null]);
  });

  test('fails with the examples, without another call for each request', async () => {
    const { index, calls, outcomes } = startIndex({ poem: timeout });
    await assert.rejects(index.scores('code', never), timeout);
    await assert.rejects(index.scores('code', never), WeirError);
    assert.deepEqual(calls, [['code', 'more code', 'poem'], ['code']]);
    assert.ok(outcomes.every((error) => error instanceof WeirError));
  });

  test('fails for a text of another dimension', async () => {
    const { index } = startIndex();
    await assert.rejects(index.scores('other dimension', never), /different dimensions/);
    assert.deepEqual(await index.scores('code', never), [1, 0]);
  });

  test('leaves a service alone that has not answered four times in a row', async () => {
    const { index, calls } = startIndex({ x: timeout });
    for (let i = 0; i < 4; i++) await assert.rejects(index.scores('x', never), timeout);
    await assert.rejects(index.scores('code', never), /failed several times in a row/);
    assert.equal(calls.length, 5);
  });

  test('a success between failures, and refusals of single texts, pause nothing', async () => {
    const { index } = startIndex({ x: timeout, refused: refusal });
    for (const text of ['x', 'x', 'x', 'code', 'x', 'x', 'x']) await index.scores(text, never).catch(() => {});
    for (let i = 0; i < 9; i++) await assert.rejects(index.scores('refused', never), refusal);
    assert.deepEqual(await index.scores('code', never), [1, 0]);
  });

  test('a client that leaves is no failure of the service', async () => {
    const gone = new WeirError('CLIENT_CLOSED_REQUEST');
    const { index, outcomes } = startIndex({ x: gone });
    await assert.rejects(index.scores('x', AbortSignal.abort(gone)), gone);
    assert.deepEqual(outcomes, []);
  });
});
