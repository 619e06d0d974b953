import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { JsonSchema } from './infer.ts';
import { createValidator } from './validator.ts';

const aiProxyLike = {
  type: 'object',
  properties: {
    provider: { type: 'string', enum: ['openai', 'deepseek'] },
    auth: {
      type: 'object',
      properties: {
        header: {
          type: 'object',
          patternProperties: { '^[a-zA-Z0-9._-]+$': { type: 'string' } },
          additionalProperties: false,
        },
      },
      additionalProperties: false,
    },
    timeout: { type: 'integer', minimum: 1, maximum: 600_000, default: 30_000 },
  },
  required: ['provider', 'auth'],
} as const satisfies JsonSchema;

describe('the wording of a failure', () => {
  const rows: readonly [about: string, schema: JsonSchema, value: unknown, expected: string | null][] = [
    ['a valid value', aiProxyLike, { provider: 'openai', auth: {} }, null],
    ['a missing property', aiProxyLike, { provider: 'openai' }, 'property "auth" is required'],
    [
      'an unknown provider',
      aiProxyLike,
      { provider: 'x', auth: {} },
      'property "provider" validation failed: matches none of the enum values',
    ],
    [
      'below the minimum',
      aiProxyLike,
      { provider: 'openai', auth: {}, timeout: 0 },
      'property "timeout" validation failed: expected 0 to be at least 1',
    ],
    [
      'above the maximum',
      aiProxyLike,
      { provider: 'openai', auth: {}, timeout: 700_000 },
      'property "timeout" validation failed: expected 700000 to be at most 600000',
    ],
    [
      'the wrong type, in the words of Lua',
      aiProxyLike,
      { provider: 'openai', auth: {}, timeout: '1' },
      'property "timeout" validation failed: wrong type: expected integer, got string',
    ],
    ['an object', { type: 'string' }, {}, 'wrong type: expected string, got table'],
    ['an array', { type: 'object' }, [1], 'wrong type: expected object, got table'],
    ['null', { type: 'object' }, null, 'wrong type: expected object, got nil'],
    ['a boolean', { type: 'number' }, true, 'wrong type: expected number, got boolean'],
    ['a fraction for an integer', { type: 'integer' }, 1.5, 'wrong type: expected integer, got number'],
    [
      'one of several types',
      { type: ['string', 'integer'] },
      [],
      'wrong type: expected one of string, integer, got table',
    ],
    ['not above an exclusive minimum', { exclusiveMinimum: 0 }, 0, 'expected 0 to be greater than 0'],
    ['not below an exclusive maximum', { exclusiveMaximum: 5 }, 5, 'expected 5 to be smaller than 5'],
    ['not a multiple', { multipleOf: 5 }, 7, 'expected 7 to be a multiple of 5'],
    ['an empty string', { minLength: 1 }, '', 'string too short, expected at least 1, got 0'],
    ['a long string, in code points', { maxLength: 2 }, '😀😀😀', 'string too long, expected at most 2, got 3'],
    ['an empty array', { minItems: 1 }, [], 'expect array to have at least 1 items'],
    ['too many items', { maxItems: 1 }, [1, 2], 'expect array to have at most 1 items'],
    [
      'an item, counted from 1',
      { items: { type: 'string' } },
      [1, 2],
      'failed to validate item 1: wrong type: expected string, got number',
    ],
    ['equal items', { uniqueItems: true }, ['a', 'b', 'b'], 'expected unique items but items 2 and 3 are equal'],
    ['equal objects', { uniqueItems: true }, [{ a: 1 }, { a: 1 }], 'expected unique items but items 1 and 2 are equal'],
    [
      'an unknown property',
      { properties: { bar: {} }, additionalProperties: false },
      { foo: 1 },
      'additional properties forbidden, found foo',
    ],
    [
      'an additional property of the wrong kind',
      { additionalProperties: { type: 'string' } },
      { foo: 1 },
      'failed to validate additional property foo: wrong type: expected string, got number',
    ],
    [
      'a property that a pattern names',
      { patternProperties: { '^x-': { type: 'string' } } },
      { 'x-a': 1 },
      'failed to validate x-a (matching "^x-"): wrong type: expected string, got number',
    ],
    ['too few properties', { minProperties: 1 }, {}, 'expect object to have at least 1 properties'],
    ['a pattern', { pattern: '^\\S+$' }, 'a b', 'failed to match pattern "^\\\\S+$" with "a b"'],
    ['a format', { format: 'ipv4' }, '1.2.3', 'expect valid ipv4 address but got: 1.2.3'],
    ['a constant', { const: 1 }, 2, 'failed to check const value'],
    ['anyOf without lists', { anyOf: [{ type: 'string' }] }, 1, 'object matches none of the required'],
    [
      'anyOf of required lists',
      { anyOf: [{ required: ['a', 'b'] }, { required: ['c'] }] },
      {},
      'object matches none of the required: ["a","b"] or ["c"]',
    ],
    ['oneOf, none', { oneOf: [{ type: 'string' }] }, 1, 'value should match only one schema, but matches none'],
    [
      'oneOf, several',
      { oneOf: [{ type: 'string' }, { minimum: 1 }, { maximum: 9 }] },
      5,
      'value should match only one schema, but matches both schemas 2 and 3',
    ],
    [
      'allOf',
      { allOf: [{}, { oneOf: [{ required: ['uri'] }] }] },
      {},
      'allOf 2 failed: value should match only one schema, but matches none',
    ],
    ['not', { not: { required: ['a'] } }, { a: 1 }, "value wasn't supposed to match schema"],
    ['then', { if: { required: ['a'] }, then: { required: ['b'] } }, { a: 1 }, 'then clause did not match'],
    ['a dependency', { dependencies: { a: ['b'] } }, { a: 1 }, 'property "b" is required when "a" is set'],
    [
      'steps down several levels',
      { properties: { 'a/b~c d': { properties: { list: { items: { properties: { z: { minimum: 3 } } } } } } } },
      { 'a/b~c d': { list: [{}, { z: 1 }] } },
      'property "a/b~c d" validation failed: property "list" validation failed: failed to validate item 2: property "z" validation failed: expected 1 to be at least 3',
    ],
    [
      'a property whose name is a keyword',
      { properties: { anyOf: { properties: { not: { type: 'string' } } } } },
      { anyOf: { not: 1 } },
      'property "anyOf" validation failed: property "not" validation failed: wrong type: expected string, got number',
    ],
  ];
  for (const [about, schema, value, expected] of rows) {
    it(`tells ${about}`, () => assert.equal(createValidator(schema).check(value), expected));
  }
});

describe('of several failures', () => {
  const schema = {
    properties: { a: { type: 'string' }, b: { items: { type: 'string' }, minItems: 9 }, c: { type: 'string' } },
    required: ['z', 'c', 'a'],
    additionalProperties: false,
    anyOf: [{ required: ['nothing'] }],
  };
  const rows: readonly [value: unknown, expected: string][] = [
    [{ b: [1], other: 1 }, 'property "a" is required'],
    [{ b: [1], a: '' }, 'property "b" validation failed: expect array to have at least 9 items'],
    [{ a: '' }, 'property "c" is required'],
    [{ a: '', c: '', other: 1 }, 'property "z" is required'],
    [{ a: '', c: '', z: 1 }, 'additional properties forbidden, found z'],
  ];
  for (const [value, expected] of rows) {
    it(`${JSON.stringify(value)} reports the one that comes first in the schema`, () =>
      assert.equal(createValidator(schema).check(value), expected));
  }
});

describe('a credential', () => {
  const secret = 'sk very secret';
  const field = { type: 'string', pattern: '^\\S+$' };
  for (const path of [['auth', 'header', 'X'], ['secret_access_key'], ['api_key'], ['password'], ['max', 'token']]) {
    it(`is not repeated when ${path.join('.')} does not match`, () => {
      const schema = path.reduceRight<JsonSchema>((inner, name) => ({ properties: { [name]: inner } }), field);
      const value = path.reduceRight<unknown>((inner, name) => ({ [name]: inner }), secret);
      const text = createValidator(schema).check(value);
      assert.match(text ?? '', /failed to match pattern "\^\\\\S\+\$" with "\*\*\*"$/);
    });
  }
});

describe('defaults', () => {
  const conditional = {
    type: 'object',
    properties: {
      policy: { type: 'string', default: 'redis' },
      nested: { type: 'object', properties: { deep: { type: 'integer', default: 1 } } },
      list: { type: 'array', items: { type: 'object', properties: { weight: { type: 'integer', default: 7 } } } },
    },
    if: { properties: { policy: { const: 'redis' } } },
    then: { properties: { redis_port: { type: 'integer', default: 6379 } }, required: ['redis_host'] },
    else: { properties: { local: { type: 'boolean', default: true } } },
    oneOf: [
      { required: ['a'], properties: { from_a: { type: 'string', default: 'A' } } },
      { required: ['b'], properties: { from_b: { type: 'string', default: 'B' } } },
    ],
  };
  const validator = createValidator(conditional);

  it('are filled at every level and in the branch that applies', () => {
    assert.deepEqual(validator.withDefaults({ redis_host: 'h', nested: {}, list: [{}, { weight: 1 }], b: 1 }), {
      redis_host: 'h',
      nested: { deep: 1 },
      list: [{ weight: 7 }, { weight: 1 }],
      b: 1,
      policy: 'redis',
      redis_port: 6379,
      from_b: 'B',
    });
    assert.deepEqual(validator.withDefaults({ policy: 'local', a: 1 }), {
      policy: 'local',
      a: 1,
      local: true,
      from_a: 'A',
    });
  });

  it('count before a condition is asked', () => {
    assert.equal(validator.check({ a: 1 }), 'then clause did not match');
    assert.equal(validator.check({ a: 1, policy: 'local' }), null);
  });

  it('leave the value itself and the schema alone', () => {
    const shared = createValidator({ properties: { list: { default: [] } } });
    const value = Object.freeze({ other: Object.freeze({}) });
    const filled = shared.withDefaults(value);
    assert.deepEqual(value, { other: {} });
    assert.deepEqual(filled, { other: {}, list: [] });
    assert.notEqual(shared.withDefaults({}), shared.withDefaults({}));
    Object.assign(filled ?? {}, { list: [1] });
    assert.deepEqual(shared.withDefaults({}), { list: [] });
  });

  it('are not filled where there is no object', () => {
    assert.equal(createValidator(aiProxyLike).withDefaults(5), 5);
    assert.deepEqual(createValidator(aiProxyLike).withDefaults([]), []);
  });
});

describe('a hostile value', () => {
  const validator = createValidator({ type: 'object', additionalProperties: true });
  const rows: readonly [about: string, json: string, expected: string][] = [
    ['nested deeply', `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, 'nested deeper than 200 levels'],
    ['with a __proto__ key', '{"a":{"__proto__":{"admin":true}}}', 'the key "__proto__" is not allowed'],
    ['with a number beyond a double', '{"a":[1e999]}', 'a number is too large'],
  ];
  for (const [about, json, expected] of rows) {
    it(`${about} is refused`, () => assert.equal(validator.check(JSON.parse(json)), expected));
  }

  it('may be nested 200 levels', () => {
    assert.equal(validator.check(JSON.parse(`{"a":${'['.repeat(199)}${']'.repeat(199)}}`)), null);
    assert.notEqual(validator.check(JSON.parse(`{"a":${'['.repeat(200)}${']'.repeat(200)}}`)), null);
  });

  it('does not get required properties from its prototype', () => {
    assert.equal(createValidator({ required: ['toString'] }).check({}), 'property "toString" is required');
  });
});
