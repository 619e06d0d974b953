import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeRequest } from '../router/request-view.fixture.ts';
import { compileVariable } from '../router/variables.ts';
import { compileLimitNumber, isNeverNumber } from './limit-number.ts';

const request = fakeRequest({
  queryString: 'quota=20&zero=0&text=ten&huge=9007199254740993&hex=0x10&power=1e3&sign=%2B5',
});

const cases: readonly (readonly [value: number | string, constant: number | null, resolved: number | string])[] = [
  [30, 30, 30],
  ['30', 30, 30],
  ['$arg_quota', null, 20],
  ['${arg_none ?? 100}', null, 100],
  ['${arg_quota}000', null, 20_000],
  ['$arg_none', null, ''],
  ['$arg_zero', null, '0'],
  ['-$arg_quota', null, '-20'],
  ['$arg_text', null, 'ten'],
  ['$arg_quota.5', null, ''],
  ['${arg_quota}.5', null, '20.5'],
  ['$arg_huge', null, '9007199254740993'],
  ['$arg_hex', null, '0x10'],
  ['$arg_power', null, '1e3'],
  ['$arg_sign', null, '+5'],
  [' $arg_quota', null, ' 20'],
  ['ten', null, 'ten'],
];

for (const [value, constant, resolved] of cases) {
  test(`${JSON.stringify(value)} is ${JSON.stringify(resolved)}${constant === null ? '' : ' for every request'}`, () => {
    const number = compileLimitNumber(value, (name) => compileVariable(name));
    assert.deepEqual([number.constant, number.resolve(request)], [constant, resolved]);
  });
}

test('a text without variables that is no number can be told when it is configured', () => {
  const values = ['ten', '0', '', '1.5', '0x10', '10', '$arg_quota', 10];
  assert.deepEqual(values.filter(isNeverNumber), ['ten', '0', '', '1.5', '0x10']);
});
