import assert from 'node:assert/strict';
import { test } from 'node:test';
import { threadId } from 'node:worker_threads';
import { SpinLocks } from './spin-locks.ts';

function createWords(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(16));
}

test('a lock is held until it is released, and its neighbour is not', () => {
  const words = createWords();
  const locks = new SpinLocks(words);
  const hold = locks.acquire(0);
  assert.equal(locks.isHeld(0, hold), true);
  assert.equal(words[1], 0);
  locks.release(0, hold);
  assert.equal(locks.isHeld(0, hold), false);
  assert.deepEqual([...words], [0, 0, 0, 0]);
});

test('all locks of a thread that died in them are released, and only those', () => {
  const words = createWords();
  const locks = new SpinLocks(words);
  // This thread stands for the dead one: it never releases.
  locks.acquire(0);
  locks.acquire(2);
  const ofOther = (words[0] ?? 0) + 2 ** 11;
  words[1] = ofOther;
  locks.releaseAllOf(threadId);
  assert.deepEqual([...words], [0, ofOther, 0, 0]);
  locks.releaseAllOf(threadId + 1);
  assert.deepEqual([...words], [0, 0, 0, 0]);
});

test('a lock that nobody releases is taken over in the end', () => {
  const words = createWords();
  new SpinLocks(words).acquire(0);
  const left = words[0];
  const hold = new SpinLocks(words, 3).acquire(0);
  assert.notEqual(hold, left);
  assert.equal(words[0], hold);
});

test('a holder that slept too long learns that it lost the lock, and does not release that of its successor', () => {
  const words = createWords();
  const [sleeper, successor] = [new SpinLocks(words), new SpinLocks(words, 3)];
  const lost = sleeper.acquire(0);
  const hold = successor.acquire(0);
  assert.equal(sleeper.isHeld(0, lost), false);
  sleeper.release(0, lost);
  assert.equal(successor.isHeld(0, hold), true);
});
