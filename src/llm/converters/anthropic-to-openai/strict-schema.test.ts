import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { JsonObject } from '../../json.ts';
import { toStrictSchema } from './strict-schema.ts';

const closed = { additionalProperties: false };
const open = { type: 'object', properties: { x: { type: 'string' } } };
const strict = { ...open, ...closed, required: ['x'] };

const rows: { name: string; schema: JsonObject; strict: JsonObject }[] = [
  {
    name: 'all properties are required, sorted',
    schema: { type: 'object', properties: { b: { type: 'string' }, a: { type: 'number' } }, required: ['b'] },
    strict: {
      type: 'object',
      properties: { b: { type: 'string' }, a: { type: 'number' } },
      required: ['a', 'b'],
      ...closed,
    },
  },
  {
    name: 'additionalProperties is overwritten',
    schema: { ...open, additionalProperties: { type: 'string' } },
    strict,
  },
  {
    name: 'an object without properties is closed as well',
    schema: { type: 'object' },
    strict: { type: 'object', ...closed, required: [] },
  },
  {
    name: 'so is one that may be null',
    schema: { type: ['object', 'null'], properties: {} },
    strict: { type: ['object', 'null'], properties: {}, ...closed, required: [] },
  },
  {
    name: 'properties without a type make an object',
    schema: { properties: { x: { type: 'string' } } },
    strict: { properties: { x: { type: 'string' } }, ...closed, required: ['x'] },
  },
  {
    name: 'properties are followed',
    schema: { type: 'object', properties: { inner: open } },
    strict: { type: 'object', properties: { inner: strict }, ...closed, required: ['inner'] },
  },
  ...['anyOf', 'oneOf', 'allOf', 'items'].map((key) => ({
    name: `a list of ${key} is followed`,
    schema: { [key]: [open, true, { type: 'null' }] },
    strict: { [key]: [strict, true, { type: 'null' }] },
  })),
  { name: 'items are followed', schema: { type: 'array', items: open }, strict: { type: 'array', items: strict } },
  ...['$defs', 'definitions'].map((key) => ({
    name: `${key} are followed`,
    schema: { $ref: '#/x', [key]: { y: open } },
    strict: { $ref: '#/x', [key]: { y: strict } },
  })),
  {
    name: 'a property may be named like a keyword',
    schema: { type: 'object', properties: { properties: open, items: { type: 'string' } } },
    strict: {
      type: 'object',
      properties: { properties: strict, items: { type: 'string' } },
      ...closed,
      required: ['items', 'properties'],
    },
  },
  {
    name: 'values that only look like schemas stay',
    schema: { type: 'string', enum: [{ type: 'object' }], const: { type: 'object' }, default: { type: 'object' } },
    strict: { type: 'string', enum: [{ type: 'object' }], const: { type: 'object' }, default: { type: 'object' } },
  },
  {
    name: 'wrong types are left for the provider to refuse',
    schema: { type: 'object', properties: [1], items: 5, anyOf: null, $defs: 'x' },
    strict: { type: 'object', properties: [1], items: 5, anyOf: null, $defs: 'x', ...closed, required: [] },
  },
];

for (const { name, schema, strict } of rows) {
  it(name, () => {
    const before = structuredClone(schema);
    assert.deepEqual(toStrictSchema(schema), strict);
    assert.deepEqual(schema, before, 'the client’s schema is not written to');
  });
}

it('a property named __proto__ is one like any other', () => {
  const schema = JSON.parse('{"type":"object","properties":{"__proto__":{"type":"object"}}}') as JsonObject;
  assert.equal(
    JSON.stringify(toStrictSchema(schema)),
    '{"type":"object","properties":{"__proto__":{"type":"object","additionalProperties":false,"required":[]}},' +
      '"additionalProperties":false,"required":["__proto__"]}',
  );
});
