import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hasEndLine, parseDocumentText, substituteInText } from './standalone-text.ts';

/** A few hundred bytes that stand for a value ten times for each level, ten times each. */
function aliasesOfAliases(value: string, levels: number): string {
  const lines = Array.from({ length: levels }, (_, n) => `a${n + 1}: &a${n + 1} [${`*a${n}, `.repeat(10)}]`);
  return [`a0: &a0 ${value}`, ...lines].join('\n');
}

describe('the last line of a YAML file', () => {
  const rows: [text: string, isWhole: boolean][] = [
    ['routes: []\n#END', true],
    ['routes: []\n#END\n', true],
    ['routes: []\r\n#END \r\n\n\t', true],
    ['#END', true],
    ['routes: []\n', false],
    ['routes: [] #END', false],
    ['routes: []\n#END\nservices: []\n', false],
    ['routes: []\n#ENDE\n', false],
    ['', false],
  ];
  for (const [text, isWhole] of rows) {
    test(JSON.stringify(text), () => assert.equal(hasEndLine(text), isWhole));
  }
});

describe('environment variables in a file', () => {
  const environment = { A: '1', EMPTY: '', QUOTED: 'x: "y"' };
  const rows: [text: string, result: string][] = [
    ['port: ${{A}}', 'port: 1'],
    ['port: "${{ A }}"', 'port: "1"'],
    ['${{A}}: ${{B:=two words}}', '1: two words'],
    ['${{EMPTY:=x}}|${{B:=}}', '|'],
    ['# ${{B}}\n  # ${{B}}\na: ${{A}} # ${{A}}', '# ${{B}}\n  # ${{B}}\na: 1 # 1'],
    ['$env://A ${A} $A {{A}}', '$env://A ${A} $A {{A}}'],
  ];
  for (const [text, result] of rows) test(text, () => assert.equal(substituteInText(text, environment), result));

  test('a variable that is not set and has no default is named', () => {
    assert.throws(() => substituteInText('a: ${{B}}', environment), {
      message: /^the environment variable B is not set/,
    });
  });
});

describe('the text of a document', () => {
  test('YAML: types, merges and anchors', () => {
    const text = 'base: &b {a: 1}\nroutes:\n  - <<: *b\n    on: yes\n    n: 1.5\n    none: ~\n#END';
    const value = parseDocumentText(text, 'yaml');
    assert.deepEqual(value, { base: { a: 1 }, routes: [{ a: 1, on: 'yes', n: 1.5, none: null }] });
  });

  test('an anchor may be used many times', () => {
    const uses = 5000;
    const text = `x-plugins: &p {redirect: {uri: /x}}\nroutes:\n${'  - {plugins: *p}\n'.repeat(uses)}`;
    const { routes } = parseDocumentText(text, 'yaml') as { routes: unknown[] };
    assert.equal(routes.length, uses);
    assert.deepEqual(routes.at(-1), { plugins: { redirect: { uri: '/x' } } });
  });

  test('an empty file is an empty configuration', () => assert.deepEqual(parseDocumentText('#END\n', 'yaml'), {}));

  const refused: [format: 'yaml' | 'json', text: string, message: RegExp][] = [
    ['yaml', 'key: sk-canary\nlist: [', /^line 2: invalid YAML/],
    ['yaml', '- a', /^expected a mapping/],
    ['yaml', 'sk-canary', /^expected a mapping/],
    ['yaml', 'a: 1\na: 2', /^line 2: invalid YAML \(DUPLICATE_KEY\)/],
    ['yaml', 'a: *nowhere', /^(line 1: )?invalid YAML/],
    ['yaml', 'a: &a [*a]', /^invalid YAML: its aliases, written out, make it too large$/],
    ['yaml', aliasesOfAliases('lol', 12), /^invalid YAML: its aliases, written out, make it too large$/],
    // Few characters, but far more memory.
    ['yaml', aliasesOfAliases('{}', 7), /^invalid YAML: its aliases, written out, make it too large$/],
    ['yaml', '__proto__: {a: 1}', /"__proto__" is not allowed/],
    ['json', '{"key": "sk-canary", ', /^invalid JSON/],
    ['json', '[]', /^expected a mapping/],
    ['json', '{"a": 1e999}', /^a number is too large/],
    ['json', `${'{"a":'.repeat(300)}1${'}'.repeat(300)}`, /^nested deeper than/],
  ];
  for (const [format, text, message] of refused) {
    test(`${format} is refused without being quoted: ${text.slice(0, 30)}`, () => {
      assert.throws(
        () => parseDocumentText(text, format),
        (error: Error) => message.test(error.message) && !error.message.includes('canary'),
      );
    });
  }
});
