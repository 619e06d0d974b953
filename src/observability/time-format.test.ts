import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { msec, timeErrorLog, timeIso8601, timeLocal } from './time-format.ts';

const zone = process.env['TZ'];
afterEach(() => {
  if (zone === undefined) delete process.env['TZ'];
  else process.env['TZ'] = zone;
});

const at = (iso: string) => Date.parse(iso);

// Each row has its own second, because the texts are kept for one.
const rows: readonly { tz: string; iso: string; local: string; iso8601: string; errorLog: string }[] = [
  {
    tz: 'UTC',
    iso: '2026-11-21T21:30:00.999Z',
    local: '21/Nov/2026:21:30:00 +0000',
    iso8601: '2026-11-21T21:30:00+00:00',
    errorLog: '2026/11/21 21:30:00',
  },
  {
    tz: 'Asia/Kolkata',
    iso: '2026-01-05T20:00:01.000Z',
    local: '06/Jan/2026:01:30:01 +0530',
    iso8601: '2026-01-06T01:30:01+05:30',
    errorLog: '2026/01/06 01:30:01',
  },
  {
    tz: 'America/St_Johns',
    iso: '2026-12-31T23:59:59.000Z',
    local: '31/Dec/2026:20:29:59 -0330',
    iso8601: '2026-12-31T20:29:59-03:30',
    errorLog: '2026/12/31 20:29:59',
  },
];
for (const { tz, iso, local, iso8601, errorLog } of rows) {
  test(`times are written in the local zone: ${tz}`, () => {
    process.env['TZ'] = tz;
    assert.equal(timeLocal(at(iso)), local);
    assert.equal(timeIso8601(at(iso)), iso8601);
    assert.equal(timeErrorLog(at(iso)), errorLog);
  });
}

test('the text changes with the second, not within it', () => {
  process.env['TZ'] = 'UTC';
  assert.equal(timeErrorLog(at('2027-01-01T00:00:00.000Z')), '2027/01/01 00:00:00');
  assert.equal(timeErrorLog(at('2027-01-01T00:00:00.999Z')), '2027/01/01 00:00:00');
  assert.equal(timeErrorLog(at('2027-01-01T00:00:01.000Z')), '2027/01/01 00:00:01');
  assert.equal(timeErrorLog(at('2027-01-01T00:00:00.500Z')), '2027/01/01 00:00:00');
});

test('msec has three decimals', () => {
  assert.equal(msec(1_763_760_000_123), '1763760000.123');
  assert.equal(msec(1_763_760_000_000), '1763760000.000');
});
