import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ChangeQueue } from './change-queue.ts';
import type { ConfigurationMessage } from './messages.ts';

function createQueue() {
  const applied: string[] = [];
  const answers: string[] = [];
  const tries = { count: 0 };
  const queue = new ChangeQueue({
    apply(changes, revision) {
      tries.count++;
      const ids = changes.map(({ id }) => id);
      if (ids.includes('bad')) throw new Error('it cannot be');
      applied.push(`${revision}: ${ids.join()}`);
    },
    send: (answer) => answers.push(`${answer.type} ${'id' in answer ? answer.id : ''}`),
  });
  const add = (revision: number, resourceId: string): void => {
    const changes = [{ kind: 'routes', id: resourceId, resource: null }];
    const message: ConfigurationMessage = { type: 'configuration', id: revision * 10, revision, changes };
    queue.add(message);
  };
  return { queue, add, applied, answers, tries };
}

test('changes that are here together are applied together, and each is answered', async () => {
  const { add, applied, answers } = createQueue();
  add(1, 'a');
  add(2, 'b');
  assert.deepEqual(applied, []);
  await nextTurn();
  add(3, 'c');
  await nextTurn();
  assert.deepEqual(applied, ['2: a,b', '3: c']);
  assert.deepEqual(answers, ['applied 10', 'applied 20', 'applied 30']);
});

test('a change that cannot be applied takes no other one with it', async () => {
  const { add, applied, answers } = createQueue();
  add(1, 'a');
  add(2, 'bad');
  add(3, 'c');
  await nextTurn();
  assert.deepEqual(applied, ['1: a', '3: c']);
  assert.deepEqual(answers, ['applied 10', 'failed 20', 'applied 30']);
});

test('one change that cannot be applied costs few snapshots, however many wait with it', async () => {
  const { add, answers, tries } = createQueue();
  for (let revision = 1; revision <= 64; revision++) add(revision, revision === 40 ? 'bad' : 'good');
  await nextTurn();
  const expected = Array.from({ length: 64 }, (_, n) => (n === 39 ? 'failed 400' : `applied ${(n + 1) * 10}`));
  assert.deepEqual(answers, expected);
  assert.equal(tries.count, 13);
});

test('what waits can be applied before its turn', async () => {
  const { queue, add, applied } = createQueue();
  add(1, 'a');
  queue.flush();
  assert.deepEqual(applied, ['1: a']);
  await nextTurn();
  assert.deepEqual(applied, ['1: a']);
});
