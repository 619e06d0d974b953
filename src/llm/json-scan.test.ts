import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { checkJsonDepth, scanJsonObject } from './json-scan.ts';

const scan = (text: string): unknown =>
  scanJsonObject(Buffer.from(text))?.map(({ key, start, end, elementCount }) => [
    key,
    Buffer.from(text).toString('utf8', start, end),
    elementCount,
  ]) ?? null;

function parses(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

describe('scanning a JSON object', () => {
  it('finds members, their values and how many elements an array has', () => {
    assert.deepEqual(
      scan(' {"a" : [1,[2,3],{"x":"],"}] , "é":"}" ,"c":-1.5e3,"d":{ },"\\u0065":[ ],"f":[[]],"a":0} '),
      [
        ['a', '[1,[2,3],{"x":"],"}]', 3],
        ['é', '"}"', -1],
        ['c', '-1.5e3', -1],
        ['d', '{ }', -1],
        ['e', '[ ]', 0],
        ['f', '[[]]', 1],
        ['a', '0', -1],
      ],
    );
  });

  it('finds what ends a string wherever it stands, in bytes that begin anywhere', () => {
    for (let offset = 0; offset < 4; offset++) {
      for (let plain = 0; plain < 20; plain++) {
        for (const [special, isGood] of [
          ['', true],
          ['\\n', true],
          ['\\"', true],
          ['é\u007f!#[]', true],
          ['\n', false],
          ['\u0000', false],
          ['\\', false],
        ] as const) {
          const text = `{"a":"${'x'.repeat(plain)}${special}${'y'.repeat(7)}","b":1}`;
          const padded = Buffer.alloc(Buffer.byteLength(text) + offset);
          padded.write(text, offset);
          const members = scanJsonObject(padded.subarray(offset));
          assert.equal(members?.at(1)?.key === 'b', isGood, `${JSON.stringify(text)} at ${offset}`);
        }
      }
    }
  });

  it('refuses what is nested deeper than 1000 levels, whatever follows', () => {
    const nested = (depth: number): Buffer => Buffer.from(`{"a":${'['.repeat(depth)}1${']'.repeat(depth)}}`);
    assert.equal(scanJsonObject(nested(1000))?.[0]?.elementCount, 1);
    assert.throws(() => scanJsonObject(nested(1001)), RangeError);
    assert.throws(() => scanJsonObject(Buffer.from(`{"a":${'[{"b":'.repeat(600)}`)), RangeError);
    assert.throws(() => checkJsonDepth(Buffer.from('['.repeat(100_000))), RangeError);
    checkJsonDepth(Buffer.from('[1, "[[", [{}]]'));
  });

  const broken = [
    '',
    ' ',
    '[]',
    '1',
    'null',
    '"{}"',
    '{',
    '}',
    '{}}',
    '{} x',
    '{,}',
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    '{"a":1',
    "{'a':1}",
    '{"a":[1}',
    '{"a":{]}',
    '{"a":[1,]}',
    '{"a":[,1]}',
    '{"a":[1 2]}',
    '{"a":{"b"}}',
    '{"a":{"b":1,}}',
    '{"a":{b:1}}',
    '{a:1}',
    '{"a":01}',
    '{"a":1.}',
    '{"a":.5}',
    '{"a":-}',
    '{"a":+1}',
    '{"a":1e}',
    '{"a":1e+}',
    '{"a":0x1}',
    '{"a":NaN}',
    '{"a":1a}',
    '{"a":tru}',
    '{"a":True}',
    '{"a":nul',
    '{"a":falsey}',
    '{"a":"\n"}',
    '{"a":"\t"}',
    '{"a":"\\x"}',
    '{"a":"\\u12g4"}',
    '{"a":"\\u12"}',
    '{"a":"x}',
    '{"a":"\\"}',
    '{"a" 1}',
    '{"a":1 "b":2}',
    '{"a":1;"b":2}',
    '{"a":/**/1}',
    '\ufeff{}',
  ];
  for (const text of broken) {
    it(`refuses ${JSON.stringify(text)}, as JSON.parse does`, () => {
      assert.equal(parses(text), false);
      assert.equal(scan(text), null);
    });
  }

  it('judges every mutilated text as JSON.parse does', () => {
    const text = fc
      .tuple(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()), fc.constantFrom(0, 2, '\t'))
      .map(([value, space]) => JSON.stringify(value, null, space));
    const mutation = fc.tuple(fc.nat(), fc.nat(2), fc.constantFrom(...Array.from('{}[]",:\\ \n01.eE+-tfnu\u0001é')));
    const mutilated = fc.tuple(text, fc.array(mutation, { maxLength: 2 })).map(([whole, mutations]) => {
      let result = whole.toWellFormed();
      for (const [position, removed, inserted] of mutations) {
        const at = position % (result.length + 1);
        result = (result.slice(0, at) + inserted + result.slice(at + removed)).toWellFormed();
      }
      return result;
    });
    fc.assert(
      fc.property(mutilated, (text) => assert.equal(scan(text) !== null, parses(text), text)),
      { numRuns: 2000 },
    );
  });

  it('finds the keys and values that JSON.parse finds', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()),
        fc.constantFrom(0, 2),
        (value, space) => {
          const text = JSON.stringify(value, null, space);
          const json = JSON.parse(text) as Record<string, unknown>;
          const bytes = Buffer.from(text);
          const members = scanJsonObject(bytes) ?? [];
          const found = members.map(
            ({ key, start, end }) => [key, JSON.parse(bytes.toString('utf8', start, end))] as const,
          );
          assert.deepEqual(new Map(found), new Map(Object.entries(json)));
          for (const { key, elementCount } of members) {
            const value = Object.getOwnPropertyDescriptor(json, key)?.value as unknown;
            assert.equal(elementCount, Array.isArray(value) ? value.length : -1);
          }
        },
      ),
    );
  });
});
