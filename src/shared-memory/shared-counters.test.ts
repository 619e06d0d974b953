import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSharedRegion, SharedMemory, type SharedRegion } from './shared-memory.ts';
import type { SharedCounters } from './shared-counters.ts';

interface Clock {
  now: number;
}

function createCounters(region: SharedRegion = createSharedRegion()): { counters: SharedCounters; clock: Clock } {
  const clock = { now: 5000 };
  return { counters: new SharedMemory(region, { now: () => clock.now }).counters, clock };
}

test('a window begins with the first amount and ends after its length', () => {
  const { counters, clock } = createCounters();
  assert.deepEqual(counters.read('k', 1000), { used: 0, resetMs: 1000 });
  clock.now += 300;
  assert.equal(counters.add('k', 1, 1000).resetMs, 1000);
  clock.now += 400;
  assert.deepEqual(counters.read('k', 1000), { used: 1, resetMs: 600 });
  assert.equal(counters.add('k', 2, 1000).used, 3);
  clock.now += 600;
  assert.deepEqual(counters.read('k', 1000), { used: 0, resetMs: 1000 });
  assert.equal(counters.add('k', 4, 1000).used, 4);
});

test('take fills the limit exactly and takes nothing above it', () => {
  const { counters, clock } = createCounters();
  const take = { amount: 2, limit: 5, windowMs: 1000 };
  assert.deepEqual(counters.take('k', take), { taken: true, used: 2, resetMs: 1000 });
  clock.now += 100;
  assert.deepEqual(counters.take('k', take), { taken: true, used: 4, resetMs: 900 });
  assert.deepEqual(counters.take('k', take), { taken: false, used: 4, resetMs: 900 });
  assert.deepEqual(counters.take('k', { ...take, amount: 1 }), { taken: true, used: 5, resetMs: 900 });
  clock.now += 900;
  assert.equal(counters.take('k', take).taken, true);
});

test('an amount above the limit opens no window', () => {
  const { counters, clock } = createCounters();
  assert.deepEqual(counters.take('k', { amount: 6, limit: 5, windowMs: 1000 }), {
    taken: false,
    used: 0,
    resetMs: 1000,
  });
  clock.now += 500;
  assert.equal(counters.read('k', 1000).resetMs, 1000);
});

test('add goes above any limit, and amounts may be fractions or large', () => {
  const { counters } = createCounters();
  counters.add('k', 0.25, 1000);
  assert.equal(counters.add('k', 2 ** 40, 1000).used, 2 ** 40 + 0.25);
  assert.equal(counters.take('k', { amount: 0, limit: 2 ** 40, windowMs: 1000 }).taken, false);
});

test('keys may be anything', () => {
  const { counters } = createCounters();
  const keys = ['', ' ', '__proto__', 'a', 'A', 'ä', '\u0000', 'x'.repeat(100_000), 'x'.repeat(100_001)];
  for (const [index, key] of keys.entries()) counters.add(key, index + 1, 1000);
  assert.deepEqual(
    keys.map((key) => counters.read(key, 1000).used),
    keys.map((_, index) => index + 1),
  );
});

test('two views of a region count together, two regions do not', () => {
  const region = createSharedRegion();
  const [one, other] = [createCounters(region), createCounters(region)];
  one.counters.add('k', 1, 1000);
  assert.equal(other.counters.add('k', 1, 1000).used, 2);
  assert.equal(createCounters().counters.read('k', 1000).used, 0);
});

test('regions have seeds of their own', () => {
  assert.notEqual(createSharedRegion().seed, createSharedRegion().seed);
});

test('a memory with room forgets nothing and warns of nothing; a full one warns once', () => {
  const warnings: string[] = [];
  const log = { warn: (message: string) => void warnings.push(message) };
  const { counters } = new SharedMemory(createSharedRegion({ counterBytes: 1024 * 1024 }), { log });
  // Half of 32,640 entries.
  for (let key = 0; key < 16_320; key++) counters.add(String(key), key, 3_600_000);
  for (let key = 0; key < 16_320; key++) assert.equal(counters.read(String(key), 1).used, key);
  assert.deepEqual(warnings, []);
  for (let key = 0; key < 40_000; key++) counters.add(`more ${key}`, 1, 3_600_000);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /full.*weir\.shared_counters/);
});

test('a bucket lets a burst through, delays it to the rate, and refuses what is above without counting it', () => {
  const { counters, clock } = createCounters();
  const bucket = { ratePerSecond: 10, burst: 2 };
  assert.deepEqual(counters.leak('k', bucket), { accepted: true, excess: 0, delayMs: 0 });
  assert.deepEqual(counters.leak('k', bucket), { accepted: true, excess: 1, delayMs: 100 });
  assert.deepEqual(counters.leak('k', bucket), { accepted: true, excess: 2, delayMs: 200 });
  for (let times = 0; times < 3; times++) {
    assert.deepEqual(counters.leak('k', bucket), { accepted: false, excess: 3, delayMs: 300 });
  }
  clock.now += 50;
  assert.equal(counters.leak('k', bucket).excess, 2.5);
  clock.now += 50;
  assert.deepEqual(counters.leak('k', bucket), { accepted: true, excess: 2, delayMs: 200 });
  clock.now += 300;
  assert.deepEqual(counters.leak('k', bucket), { accepted: true, excess: 0, delayMs: 0 });
});

test('a bucket without a burst takes a request exactly each 1/rate', () => {
  const { counters, clock } = createCounters();
  const bucket = { ratePerSecond: 4, burst: 0 };
  const accepted = Array.from({ length: 8 }, () => {
    const leak = counters.leak('k', bucket);
    clock.now += 125;
    return leak.accepted;
  });
  assert.deepEqual(accepted, [true, false, true, false, true, false, true, false]);
});

test('the inexact sums of times refuse no request of a burst', () => {
  for (const ratePerSecond of [0.3, 13, 60, 1000 / 3, 600, 99_999]) {
    const { counters, clock } = createCounters();
    clock.now = 123_456_789.123;
    const accepted = Array.from({ length: 60 }, () => counters.leak('k', { ratePerSecond, burst: 49 }).accepted);
    assert.equal(accepted.indexOf(false), 50, `at ${ratePerSecond} a second`);
  }
});

test('a bucket and a window of the same key are two things', () => {
  const { counters } = createCounters();
  counters.leak('k', { ratePerSecond: 1, burst: 0 });
  assert.equal(counters.read('k', 1000).used, 0);
  counters.add('k', 5, 1000);
  assert.equal(counters.leak('k', { ratePerSecond: 1, burst: 1 }).excess, 1);
});
