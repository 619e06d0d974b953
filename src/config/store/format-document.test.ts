import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parse } from 'yaml';
import { formatDocument } from './format-document.ts';
import { type DocumentItem, readDocument } from './standalone-document.ts';
import { hasEndLine, parseDocumentText, substituteInText } from './standalone-text.ts';

const pem = '-----BEGIN CERTIFICATE-----\nMIIB+/=\n-----END CERTIFICATE-----\n';

/** Reads a text as a gateway does. */
function read(text: string, format: 'yaml' | 'json'): readonly DocumentItem[] {
  const document = parseDocumentText(substituteInText(text, { HOME: 'replaced', x: 'replaced' }), format);
  const { items, problems } = readDocument(document, () => null, true);
  assert.deepEqual(problems, []);
  return items;
}

function route(value: object): DocumentItem {
  return { kind: 'routes', id: 'r', value: { id: 'r', ...value } };
}

describe('a configuration written as one document', () => {
  for (const format of ['yaml', 'json'] as const) {
    test(`is what is read again, as ${format}, whatever its strings look like`, () => {
      const strings = fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.constantFrom('yes', 'No', '0o17', '017', '1e3', '~', '.inf', '1:30', '2024-01-01', '#END', '- a', 'a: b'),
        fc.constantFrom(
          pem,
          '${{HOME}}',
          'a ${{ x := y }}',
          '\\${{x}}',
          '# ${{HOME}}\n',
          ' a\n  b\n\n',
          '\n#END\n',
          '*a',
        ),
      );
      const value = fc.jsonValue({ stringUnit: 'grapheme', maxDepth: 3 });
      const items = fc
        .record({ text: strings, key: strings, value })
        .filter(({ key, value }) => key !== '__proto__' && !JSON.stringify(value).includes('__proto__'))
        // As JSON has it: there is no -0.
        .map(({ text, key, value }) => [
          route(JSON.parse(JSON.stringify({ desc: text, plugins: { [key]: value } })) as object),
        ]);
      fc.assert(
        fc.property(items, (items) => {
          const text = formatDocument(items, format);
          assert.deepEqual(read(text, format), items);
          assert.equal(hasEndLine(text), format === 'yaml');
        }),
        { numRuns: 150 },
      );
    });

    test(`keeps ids, consumers and their credentials, as ${format}`, () => {
      const items: DocumentItem[] = [
        { kind: 'routes', id: '2', value: { id: '2', uri: '/b' } },
        { kind: 'routes', id: '1', value: { id: '1', uri: '/a' } },
        { kind: 'consumers', id: 'jack', value: { username: 'jack' } },
        { kind: 'credentials', id: 'jack/one', value: { id: 'one', plugins: { 'key-auth': { key: 'k' } } } },
        { kind: 'plugin_metadata', id: 'http-logger', value: { id: 'http-logger', log_format: {} } },
        { kind: 'secrets', id: 'vault/1', value: { id: 'vault/1', uri: 'http://127.0.0.1:8200' } },
      ];
      assert.deepEqual(read(formatDocument(items, format), format), items);
    });
  }

  test('has a certificate as a block, words in quotes, and no times', () => {
    const items = [
      { kind: 'ssls', id: '1', value: { id: 1, cert: pem, sni: 'on', create_time: 1, update_time: 2 } },
      { kind: 'upstreams', id: 'u', value: { nodes: { '127.0.0.1:80': 1 } } },
    ];
    assert.equal(
      formatDocument(items, 'yaml'),
      `upstreams:
  - id: u
    nodes:
      "127.0.0.1:80": 1
ssls:
  - id: "1"
    cert: |
      -----BEGIN CERTIFICATE-----
      MIIB+/=
      -----END CERTIFICATE-----
    sni: "on"
#END
`,
    );
  });

  test('means the same to parsers of YAML 1.1, which APISIX uses', () => {
    const desc = [
      'yes',
      'off',
      'n',
      '0o17',
      '017',
      '1_000',
      '1:30',
      '190:20:30',
      '0b11',
      '2001-01-01',
      '=',
      '<<',
      '.5',
    ];
    const text = formatDocument([route({ desc })], 'yaml');
    assert.deepEqual(parse(text, { version: '1.1' }), { routes: [{ id: 'r', desc }] });
  });
});
