import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  classifyStatus,
  HealthState,
  type HealthSignal,
  type HealthStatus,
  type HealthThresholds,
} from './health-state.ts';

const thresholds: HealthThresholds = { success: 2, http_failure: 3, tcp_failure: 2, timeout: 2 };

const signals: Readonly<Record<string, HealthSignal>> = {
  s: 'success',
  h: 'http_failure',
  c: 'tcp_failure',
  t: 'timeout',
};
const letters: Readonly<Record<HealthStatus, string>> = {
  healthy: 'H',
  mostly_healthy: 'h',
  mostly_unhealthy: 'u',
  unhealthy: 'U',
};

interface Row {
  readonly name: string;
  /** One letter a signal. */
  readonly signals: string;
  /** The status after each: H healthy, h mostly healthy, u mostly unhealthy, U unhealthy. */
  readonly statuses: string;
  readonly thresholds?: Partial<HealthThresholds>;
  /** success, http, tcp, timeout at the end. */
  readonly counters?: readonly [number, number, number, number];
}

const rows: readonly Row[] = [
  {
    name: 'a new address is healthy and successes count for nothing',
    signals: 'sss',
    statuses: 'HHH',
    counters: [0, 0, 0, 0],
  },
  { name: 'a first failure leaves an address usable', signals: 'h', statuses: 'h', counters: [0, 1, 0, 0] },
  { name: 'failures up to the threshold make it unhealthy', signals: 'hhh', statuses: 'hhU', counters: [0, 3, 0, 0] },
  {
    name: 'each kind of failure has a threshold of its own',
    signals: 'hhct',
    statuses: 'hhhh',
    counters: [0, 2, 1, 1],
  },
  { name: 'failures to connect count to theirs', signals: 'cc', statuses: 'hU' },
  { name: 'timeouts count to theirs', signals: 'tt', statuses: 'hU' },
  { name: 'a success sets the failures to 0', signals: 'hhshh', statuses: 'hhhhh', counters: [0, 2, 0, 0] },
  { name: 'successes up to the threshold make it healthy again', signals: 'hss', statuses: 'hhH' },
  {
    name: 'more failures of an unhealthy address count for nothing',
    signals: 'cccc',
    statuses: 'hUUU',
    counters: [0, 0, 2, 0],
  },
  {
    name: 'a first success does not make an unhealthy address usable',
    signals: 'ccs',
    statuses: 'hUu',
    counters: [1, 0, 0, 0],
  },
  { name: 'the next one does', signals: 'ccss', statuses: 'hUuH' },
  { name: 'a failure in between starts the successes over', signals: 'ccshss', statuses: 'hUuuuH' },
  { name: 'failures up to the threshold undo mostly unhealthy', signals: 'ccscc', statuses: 'hUuuU' },
  {
    name: 'a threshold of 1 decides at once, both ways',
    signals: 'csc',
    statuses: 'UHU',
    thresholds: { success: 1, tcp_failure: 1 },
  },
  {
    name: 'a threshold of 0 turns its signal off',
    signals: 'hhhhc',
    statuses: 'HHHHh',
    thresholds: { http_failure: 0 },
    counters: [0, 0, 1, 0],
  },
  {
    name: 'a threshold of 0 for successes leaves failures counted',
    signals: 'hsh',
    statuses: 'hhh',
    thresholds: { success: 0 },
    counters: [0, 2, 0, 0],
  },
];

for (const row of rows) {
  test(row.name, () => {
    const state = new HealthState();
    let statuses = '';
    for (const letter of row.signals) {
      const signal = signals[letter];
      assert.ok(signal !== undefined);
      const before = state.status;
      const changed = state.apply(signal, { ...thresholds, ...row.thresholds });
      assert.equal(changed, state.status !== before);
      statuses += letters[state.status];
    }
    assert.equal(statuses, row.statuses);
    if (row.counters === undefined) return;
    const { success, http_failure, tcp_failure, timeout_failure } = state.counters;
    assert.deepEqual([success, http_failure, tcp_failure, timeout_failure], row.counters);
  });
}

test('signals of probes and of requests count together, each against its own threshold', () => {
  const state = new HealthState();
  const passive = { ...thresholds, http_failure: 5 };
  state.apply('http_failure', passive);
  state.apply('http_failure', passive);
  assert.equal(state.status, 'mostly_healthy');
  state.apply('http_failure', thresholds);
  assert.equal(state.status, 'unhealthy');
});

test('a status in neither list says nothing', () => {
  const rules = {
    healthy: { http_statuses: [200, 302], successes: 1 },
    unhealthy: { http_statuses: [500, 302], http_failures: 1, tcp_failures: 1, timeouts: 1 },
  };
  assert.deepEqual(
    [200, 302, 500, 401].map((status) => classifyStatus(status, rules)),
    ['success', 'success', 'http_failure', null],
  );
});
