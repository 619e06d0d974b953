import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { WeirError } from '../../base/errors.ts';
import { silentLog } from '../../base/log.ts';
import { StateLog } from './state-log.ts';

describe('the log of a state', () => {
  test('tells of the first failure with its reason, and not of each that follows', () => {
    const told: unknown[] = [];
    const tell = (message: string, fields?: object): unknown => told.push([message, fields]);
    const stateLog = new StateLog(
      { ...silentLog, warn: tell, notice: tell },
      { broken: 'broken', restored: 'restored', fields: { owner: 'routes/1' } },
    );
    stateLog.note(null);
    stateLog.note(new WeirError('UPSTREAM_ANSWER', ['first']));
    stateLog.note(new WeirError('UPSTREAM_ANSWER', ['second']));
    stateLog.note(null);
    assert.deepEqual(told, [
      ['broken', { owner: 'routes/1', code: 'UPSTREAM_ANSWER', reason: 'the upstream gave no usable answer: first' }],
    ]);
  });
});
