import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSize, parseTime, toBytes, toMilliseconds } from './size-and-time.ts';

const sizes: [string | number, number | null][] = [
  [0, 0],
  [1024, 1024],
  ['1024', 1024],
  ['10k', 10_240],
  ['10K', 10_240],
  ['10m', 10_485_760],
  ['2G', 2_147_483_648],
  ['ten', null],
  ['', null],
  ['10mb', null],
  ['1.5m', null],
  ['-1', null],
  [-1, null],
  [1.5, null],
  ['10 m', null],
  ['9999999999g', null],
];
for (const [written, bytes] of sizes) {
  test(`the size ${JSON.stringify(written)} is ${bytes === null ? 'refused' : `${bytes} bytes`}`, () => {
    assert.equal(parseSize(written), bytes);
  });
}

const times: [string | number, number | null][] = [
  [0, 0],
  [60, 60_000],
  ['60', 60_000],
  ['60s', 60_000],
  ['500ms', 500],
  ['5m', 300_000],
  ['1h 30m', 5_400_000],
  ['1h30m', 5_400_000],
  ['1d', 86_400_000],
  ['1w', 604_800_000],
  ['1M', 2_592_000_000],
  ['1y', 31_536_000_000],
  ['', null],
  ['soon', null],
  ['60sec', null],
  ['1.5s', null],
  ['-1s', null],
  ['1h 30', null],
  [0.5, null],
];
for (const [written, milliseconds] of times) {
  test(`the time ${JSON.stringify(written)} is ${milliseconds === null ? 'refused' : `${milliseconds} ms`}`, () => {
    assert.equal(parseTime(written), milliseconds);
  });
}

test('toBytes and toMilliseconds refuse what the loader would have refused', () => {
  assert.equal(toBytes('1k'), 1024);
  assert.equal(toMilliseconds('1s'), 1000);
  assert.throws(() => toBytes('ten'), new TypeError('not a size: "ten"'));
  assert.throws(() => toMilliseconds('soon'), new TypeError('not a time: "soon"'));
});
