import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeRequest } from '../router/request-view.fixture.ts';
import { compileVariable } from '../router/variables.ts';
import { compileLimitQuota } from './limit-quota.ts';

const request = fakeRequest({ queryString: `quota=20&window=30&text=${'x'.repeat(100)}` });

function compile(limit: number | string, seconds: number | string): ReturnType<typeof compileLimitQuota> {
  return compileLimitQuota(['count', limit], ['rules[0].time_window', seconds], (name) => compileVariable(name));
}

test('numbers, also as texts, are the same for every request', () => {
  const { constant, resolve } = compile('10', 60);
  assert.deepEqual(constant, { limit: 10, windowMs: 60_000 });
  assert.equal(resolve(request), constant);
});

test('variables are read of each request', () => {
  const { constant, resolve } = compile('$arg_quota', '$arg_window');
  assert.deepEqual([constant, resolve(request)], [null, { limit: 20, windowMs: 30_000 }]);
});

test('a window has a length that every store can count in milliseconds', () => {
  const { constant } = compile(1, Number.MAX_SAFE_INTEGER);
  assert.equal(constant?.windowMs, Number.MAX_SAFE_INTEGER);
});

for (const [what, limit, seconds, expected] of [
  ['a limit', '$arg_none', 60, 'count is no whole number above 0 but ""'],
  ['a window', 10, '$arg_none', 'rules[0].time_window is no whole number above 0 but ""'],
  ['a long text of a client', '$arg_text', 60, `count is no whole number above 0 but "${'x'.repeat(64)}"`],
] as const) {
  test(`${what} that is no number is named`, () => {
    assert.equal(compile(limit, seconds).resolve(request), expected);
  });
}
