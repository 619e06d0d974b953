import assert from 'node:assert/strict';
import { test } from 'node:test';
import { threadId } from 'node:worker_threads';
import { EntryTable, entryTableBytes, locksOf } from './entry-table.ts';

const entriesInGroup = 128;

/** Reads keys such as `1,0,0,0` as the four words of the tag, so that a test decides what collides. */
function hashOfWords(key: string): string {
  const words = new Uint32Array(8);
  for (const [index, word] of key.split(',').entries()) words[index] = Number(word);
  return Buffer.from(words.buffer).toString('latin1');
}

interface TestTable {
  put(key: string, value: number, end: number, now?: number): void;
  get(key: string, now?: number): { value: number; end: number };
}

function view(memory: SharedArrayBuffer, onEvict: () => void = () => {}): TestTable {
  const table = new EntryTable(memory, hashOfWords, onEvict);
  return {
    put: (key, value, end, now = 0) => {
      table.open(key, now);
      assert.equal(table.write(value, end), true);
    },
    get: (key, now = 0) => {
      table.open(key, now);
      const { value, end } = table;
      table.close();
      return { value, end };
    },
  };
}

/** Memory of one group. */
const smallMemory = (): SharedArrayBuffer => new SharedArrayBuffer(entryTableBytes(0));

for (const { wanted, groups } of [
  { wanted: 0, groups: 1 },
  { wanted: 8263, groups: 1 },
  { wanted: 8264, groups: 2 },
  { wanted: 8 * 1024 * 1024, groups: 2045 },
]) {
  test(`of ${wanted} bytes, ${groups} groups are made`, () => {
    assert.equal(entryTableBytes(wanted), 64 + groups * (entriesInGroup * 32 + 4));
  });
}

test('an entry is there until its end', () => {
  const table = view(smallMemory());
  table.put('1,2,3,4', 2.5, 100);
  assert.deepEqual(table.get('1,2,3,4', 99), { value: 2.5, end: 100 });
  assert.deepEqual(table.get('1,2,3,4', 100), { value: 0, end: -1 });
  table.put('1,2,3,4', 7, 200, 100);
  assert.deepEqual(table.get('1,2,3,4', 100), { value: 7, end: 200 });
});

test('keys whose hashes differ in any one word have their own entries', () => {
  const table = view(smallMemory());
  const keys = ['9,9,9,9', '8,9,9,9', '9,8,9,9', '9,9,8,9', '9,9,9,8'];
  for (const [index, key] of keys.entries()) table.put(key, index, 100);
  assert.deepEqual(
    keys.map((key) => table.get(key).value),
    [0, 1, 2, 3, 4],
  );
});

test('a full group forgets the entry that ends first, and says so once for all threads', () => {
  const memory = smallMemory();
  const told: string[] = [];
  const [one, other] = [view(memory, () => told.push('one')), view(memory, () => told.push('other'))];
  // All begin their search at the same place.
  const keys = Array.from({ length: entriesInGroup }, (_, index) => `${index + 1},7`);
  for (const [index, key] of keys.entries()) one.put(key, index, index === 50 ? 10 : 1000);
  assert.ok(keys.every((key, index) => one.get(key).value === index));
  assert.deepEqual(told, []);

  other.put('500,7', 1, 20);
  other.put('501,7', 1, 2000);
  one.put('502,7', 1, 2000);
  assert.deepEqual(told, ['other']);
  assert.equal(one.get(keys[50] ?? '').end, -1);
  assert.equal(one.get('500,7').end, -1);
  assert.equal(one.get('501,7').end, 2000);
});

test('an entry that has ended makes room, and nothing in use is lost', () => {
  const memory = smallMemory();
  let evictions = 0;
  const table = view(memory, () => evictions++);
  for (let key = 1; key <= entriesInGroup; key++) table.put(`${key},3`, key, key === 100 ? 10 : 1000);
  table.put('900,3', 9, 1000, 10);
  assert.equal(evictions, 0);
  assert.equal(table.get('100,3', 10).end, -1);
  for (let key = 1; key <= entriesInGroup; key++) if (key !== 100) assert.equal(table.get(`${key},3`, 10).value, key);
});

test('who lost the lock while it slept writes nothing', () => {
  const memory = smallMemory();
  const sleeper = new EntryTable(memory, hashOfWords, () => {});
  const other = view(memory);
  sleeper.open('1,1,1,1', 0);
  locksOf(memory).releaseAllOf(threadId);
  other.put('1,1,1,1', 5, 100);
  assert.equal(sleeper.write(1, 50), false);
  assert.deepEqual(other.get('1,1,1,1'), { value: 5, end: 100 });
});
