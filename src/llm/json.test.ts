import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isJsonObject, parseJson, parseJsonObject, stringifySorted } from './json.ts';

/** Parses and writes again. */
function rewrite(text: string): string {
  const value = parseJson(text);
  assert.ok(isJsonObject(value));
  return stringifySorted(value);
}

describe('re-encoded JSON', () => {
  const rows = [
    {
      name: 'sorts keys on every level',
      text: '{"b":{"z":1,"y":[{"d":1,"c":2}]},"a":0}',
      out: '{"a":0,"b":{"y":[{"c":2,"d":1}],"z":1}}',
    },
    {
      name: 'keeps explicit nulls and empty containers',
      text: '{"stop":null,"tools":[],"x":{}}',
      out: '{"stop":null,"tools":[],"x":{}}',
    },
    { name: 'keeps integers beyond 2^53', text: '{"seed":12345678901234567890}', out: '{"seed":12345678901234567890}' },
    { name: 'keeps numbers beyond the range of a double', text: '{"a":[1e400,-1E+999]}', out: '{"a":[1e400,-1E+999]}' },
    {
      name: 'leaves strings of digits alone',
      text: '{"id":"12345678901234567890"}',
      out: '{"id":"12345678901234567890"}',
    },
    { name: 'takes the last of two equal keys', text: '{"a":1,"a":2}', out: '{"a":2}' },
    {
      name: 'keeps a member named __proto__ a member',
      text: '{"b":{"__proto__":{"x":1}},"__proto__":2}',
      out: '{"__proto__":2,"b":{"__proto__":{"x":1}}}',
    },
    {
      name: 'keeps text in every script, and lone surrogates escaped',
      text: '{"a":"é語😀\\ud800"}',
      out: '{"a":"é語😀\\ud800"}',
    },
  ];
  for (const { name, text, out } of rows) it(name, () => assert.equal(rewrite(text), out));

  it('means the same as before, whatever it held', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const text = JSON.stringify(value);
        assert.deepEqual(JSON.parse(rewrite(text)), JSON.parse(text));
      }),
    );
  });
});

it('only an object is an object', () => {
  assert.deepEqual(parseJsonObject('{"a":1}'), { a: 1 });
  for (const text of ['[]', 'null', '5', '', '{', 'x']) assert.equal(parseJsonObject(text), null);
});
