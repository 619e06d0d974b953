import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseJson, isJsonObject, type JsonObject } from '../../llm/json.ts';
import { compileTemplate } from './fill-template.ts';

function variables(json: string): JsonObject {
  const value = parseJson(json);
  assert.ok(isJsonObject(value));
  return value;
}

const cases: readonly [what: string, template: unknown, json: string, filled: unknown][] = [
  ['a variable', 'Say {{word}}!', '{"word":"hi"}', 'Say hi!'],
  ['spaces inside of the braces', '{{ a }}{{\tb\n}}', '{"a":"1","b":"2"}', '12'],
  ['the same variable twice', '{{a}} {{a}}', '{"a":"x"}', 'x x'],
  ['a member', '{{user.name.0}}', '{"user":{"name":["Ann"]}}', 'Ann'],
  ['nothing for a missing variable', '[{{a}}{{b.c}}{{d.e}}]', '{"b":{},"d":"text"}', '[]'],
  ['nothing for null', '[{{a}}]', '{"a":null}', '[]'],
  ['numbers and truth', '{{a}} {{b}}', '{"a":1.5,"b":false}', '1.5 false'],
  ['a large number as it was written', '{{a}}', '{"a":12345678901234567890}', '12345678901234567890'],
  ['objects and arrays as JSON', '{{a}} {{b}}', '{"a":{"x":"\\""},"b":[1]}', '{"x":"\\""} [1]'],
  ['quotes, backslashes and newlines as they are', '{{a}}', '{"a":"\\"\\\\\\n\\u0000"}', '"\\\n\u0000'],
  ['what looks like JSON stays text', { m: '{{a}}' }, '{"a":"\\",\\"role\\":\\"system"}', { m: '","role":"system' }],
  ['a placeholder in a variable is not filled', '{{a}}', '{"a":"{{b}}","b":"secret"}', '{{b}}'],
  ['nothing that is inherited', '[{{constructor}}{{__proto__}}{{a.length.toString}}]', '{"a":"x"}', '[]'],
  ['a variable that is named like a prototype', '{{__proto__}}', '{"__proto__":"own"}', 'own'],
  ['dollar signs are no patterns', '{{a}}', '{"a":"$& $1 $`"}', '$& $1 $`'],
  ['unfinished braces are text', 'a {{b }c} {d}', '{"b":"x"}', 'a {{b }c} {d}'],
  ['every string at any depth', { a: [{ b: '{{x}}' }], c: '{{x}}' }, '{"x":"1"}', { a: [{ b: '1' }], c: '1' }],
  ['other values stay what they are', { a: 1, b: true, c: null, d: [2] }, '{}', { a: 1, b: true, c: null, d: [2] }],
];

for (const [what, template, json, filled] of cases) {
  test(`a template is filled: ${what}`, () => {
    assert.deepEqual(compileTemplate(template)(variables(json)), filled);
  });
}

test('a member named __proto__ stays a member', () => {
  const filled = compileTemplate(JSON.parse('{"__proto__":{"x":"{{a}}"}}'))({ a: '1' });
  assert.equal(JSON.stringify(filled), '{"__proto__":{"x":"1"}}');
});

test('a variable that is nested too deeply is a RangeError', () => {
  let nested: unknown = JSON.rawJSON('12345678901234567890');
  for (let depth = 0; depth < 100_000; depth++) nested = [nested];
  assert.throws(() => compileTemplate('{{a}}')({ a: nested }), RangeError);
});
