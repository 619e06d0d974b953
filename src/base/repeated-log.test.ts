import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from './log.ts';
import { RepeatedLog } from './repeated-log.ts';

test('what repeats is logged at once, and then every 10 s with the number of times', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const told: unknown[] = [];
  const log = new RepeatedLog({
    ...silentLog,
    warn: (message, fields) => told.push(['warn', message, fields]),
    error: (message, fields) => told.push(['error', message, fields]),
  });
  const fail = (id: number): void =>
    log.write('a', { level: 'warn', message: `no connection ${id}`, fields: { request_id: id } });
  for (let id = 0; id < 500; id++) fail(id);
  log.write('b', { level: 'error', message: 'another thing', fields: {} });
  assert.deepEqual(told.splice(0), [
    ['warn', 'no connection 0', { request_id: 0 }],
    ['error', 'another thing', {}],
  ]);
  t.mock.timers.tick(9_999);
  assert.deepEqual(told, []);
  t.mock.timers.tick(1);
  assert.deepEqual(told.splice(0), [['warn', 'no connection 499', { request_id: 499, times: 499 }]]);
  fail(500);
  assert.deepEqual(told, []);
  t.mock.timers.tick(10_000);
  assert.deepEqual(told.splice(0), [['warn', 'no connection 500', { request_id: 500, times: 1 }]]);
  t.mock.timers.tick(10_000);
  fail(501);
  assert.deepEqual(told, [['warn', 'no connection 501', { request_id: 501 }]], 'after 10 quiet seconds it is new');
});
