import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createKeyedHash } from './keyed-hash.ts';
import { NamedCells, namedCellsBytes } from './named-cells.ts';

const hash = createKeyedHash('seed');

function memoryOf(slots: number): SharedArrayBuffer {
  return new SharedArrayBuffer(namedCellsBytes(slots));
}

function view(memory: SharedArrayBuffer, onFull: () => void = () => {}): NamedCells {
  return new NamedCells(memory, { hash, onFull });
}

test('all who open a name have the same cell', () => {
  const memory = memoryOf(64);
  const [one, other] = [view(memory).open('a'), view(memory).open('a')];
  assert.equal(one.load(), 0);
  assert.equal(one.add(5), 0);
  assert.equal(other.add(-2), 5);
  assert.equal(one.load(), 3);
  other.store(-1);
  assert.equal(one.load(), -1);
});

test('a cell wraps around as int32 does', () => {
  const cell = view(memoryOf(1)).open('a');
  cell.store(2 ** 31 - 1);
  cell.add(1);
  assert.equal(cell.load(), -(2 ** 31));
});

test('find gives a cell that was opened and never claims one', () => {
  const memory = memoryOf(2);
  const cells = view(memory);
  assert.equal(cells.find('a'), null);
  assert.equal(cells.find('b'), null);
  cells.open('c').store(7);
  assert.equal(view(memory).find('c')?.load(), 7);
  assert.equal(cells.find('a'), null);
});

test('every name has a cell of its own until the last slot is taken', () => {
  const cells = view(memoryOf(200), () => assert.fail('not full'));
  const names = Array.from({ length: 200 }, (_, index) => `name ${index}`);
  for (const [index, name] of names.entries()) cells.open(name).store(index);
  assert.deepEqual(
    names.map((name) => cells.find(name)?.load()),
    names.map((_, index) => index),
  );
});

test('names whose hashes are alike in one half have cells of their own', () => {
  const hashes: Record<string, string> = {
    a: '\x01\0\0\0\x02\0\0\0',
    b: '\x03\0\0\0\x02\0\0\0',
    c: '\x01\0\0\0\x04\0\0\0',
  };
  const cells = new NamedCells(memoryOf(8), { hash: (name) => `${hashes[name]}\0\0\0\0`, onFull: () => {} });
  for (const [index, name] of ['a', 'b', 'c'].entries()) cells.open(name).store(index + 1);
  assert.deepEqual(
    ['a', 'b', 'c'].map((name) => cells.find(name)?.load()),
    [1, 2, 3],
  );
});

test('a hash of zeros does not look like a free slot', () => {
  const memory = memoryOf(4);
  const zeros = { hash: () => '\0'.repeat(12), onFull: () => {} };
  new NamedCells(memory, zeros).open('a').store(9);
  assert.equal(new NamedCells(memory, zeros).find('a')?.load(), 9);
});

test('when the memory is full a thread gets a cell for itself, and one thread says so once', () => {
  const memory = memoryOf(2);
  const told: string[] = [];
  const [one, other] = [view(memory, () => told.push('one')), view(memory, () => told.push('other'))];
  one.open('a');
  one.open('b').store(1);
  assert.deepEqual(told, []);
  one.open('c').store(3);
  assert.equal(one.open('c').load(), 3);
  assert.equal(one.find('c')?.load(), 3);
  assert.equal(other.open('c').load(), 0);
  one.open('d');
  assert.deepEqual(told, ['one']);
  assert.equal(other.open('b').load(), 1);
});
