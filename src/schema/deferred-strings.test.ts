import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { JsonSchema } from './infer.ts';
import { createValidator } from './validator.ts';

const isDeferred = (text: string): boolean => text.startsWith('$');

describe('a string whose value is not known yet', () => {
  const rows: readonly [about: string, schema: JsonSchema, value: unknown, expected: string | null][] = [
    ['need not match a pattern', { type: 'string', pattern: '^http' }, '$x', null],
    ['need not be long enough', { type: 'string', minLength: 10 }, '$x', null],
    ['need not be short enough', { type: 'string', maxLength: 1 }, '$x', null],
    ['need not be of an enum', { type: 'string', enum: ['a', 'b'] }, '$x', null],
    ['need not have a format', { type: 'string', format: 'ipv4' }, '$x', null],
    ['is accepted where one of several types is a string', { type: ['string', 'integer'] }, '$x', null],
    ['is refused for a number', { type: 'integer' }, '$x', 'wrong type: expected integer, got string'],
    ['is refused for an object', { type: 'object' }, '$x', 'wrong type: expected object, got string'],
    [
      'is accepted by anyOf with a string',
      { anyOf: [{ type: 'string', minLength: 9 }, { type: 'integer' }] },
      '$x',
      null,
    ],
    [
      'is refused by anyOf without a string',
      { anyOf: [{ type: 'integer' }, { type: 'object' }] },
      '$x',
      'object matches none of the required',
    ],
    [
      'does not excuse its siblings',
      { properties: { a: { type: 'string', pattern: 'x' }, b: { type: 'string', minLength: 3 } } },
      { a: '$x', b: 'no' },
      'property "b" validation failed: string too short, expected at least 3, got 2',
    ],
    [
      'does not excuse missing properties',
      { properties: { a: { type: 'string', enum: ['q'] } }, required: ['a', 'b'] },
      { a: '$x' },
      'property "b" is required',
    ],
  ];
  for (const [about, schema, value, expected] of rows) {
    it(about, () => assert.equal(createValidator(schema, { isDeferred }).check(value), expected));
  }

  it('is an ordinary string to a validator that knows of none', () => {
    assert.notEqual(createValidator({ type: 'string', minLength: 3 }).check('$x'), null);
  });
});
