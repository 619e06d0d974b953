import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dateCheckMs, noticeOfDates } from './certificate-dates.ts';

const day = 24 * 60 * 60 * 1000;

const rows: readonly (readonly [what: string, dates: { lifeDays: number; ageDays: number }, message: RegExp | null])[] =
  [
    ['that begins tomorrow', { lifeDays: 90, ageDays: -1 }, /^a certificate is not yet valid/],
    ['in the middle of its life', { lifeDays: 90, ageDays: 45 }, null],
    ['of a year, 15 days before its end', { lifeDays: 365, ageDays: 350 }, null],
    ['of a year, 13 days before its end', { lifeDays: 365, ageDays: 352 }, /^a certificate expires soon/],
    ['of 6 days, 3 days before its end', { lifeDays: 6, ageDays: 3 }, null],
    ['of 6 days, a day before its end', { lifeDays: 6, ageDays: 5 }, /^a certificate expires soon/],
    ['at its end', { lifeDays: 90, ageDays: 90 }, /^a certificate has expired/],
  ];

for (const [what, { lifeDays, ageDays }, message] of rows) {
  test(`a certificate ${what} is ${message === null ? 'no matter' : 'told of'}`, () => {
    const notice = noticeOfDates({ from: 0, to: lifeDays * day }, ageDays * day);
    if (message === null) assert.equal(notice, null);
    else assert.match(notice?.message ?? '', message);
  });
}

test('who looks that often sees a certificate of 6 days before it ends', () => {
  assert.ok(dateCheckMs < (6 * day) / 5);
});
