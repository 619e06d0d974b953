import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MetricPage } from './metric-page.ts';

test('what one view claims and changes, another reads', () => {
  const memory = new SharedArrayBuffer(4096);
  const writer = new MetricPage(memory);
  const one = writer.claim(3, 2, 'route="ä"');
  writer.claim(0, 1, '');
  assert.ok(one !== null);
  one[1] = 2.5;
  const reader = new MetricPage(memory);
  assert.deepEqual(
    reader.read().map(({ metric, text, cells }) => ({ metric, text, cells: [...cells] })),
    [
      { metric: 3, text: 'route="ä"', cells: [0, 2.5] },
      { metric: 0, text: '', cells: [0] },
    ],
  );
  one[0] = 7;
  assert.equal(reader.read()[0]?.cells[0], 7);
});

test('a page without records is empty, a full one claims nothing and keeps what it has', () => {
  const memory = new SharedArrayBuffer(64 + 3 * 32);
  const page = new MetricPage(memory);
  assert.deepEqual(page.read(), []);
  assert.ok(page.claim(1, 1, '12345678') !== null);
  assert.ok(page.claim(2, 1, '12345') !== null);
  assert.equal(page.claim(3, 1, '123456789'), null);
  assert.ok(page.claim(4, 2, '') !== null);
  assert.equal(page.claim(5, 1, ''), null);
  assert.deepEqual(
    page.read().map(({ metric }) => metric),
    [1, 2, 4],
  );
});
