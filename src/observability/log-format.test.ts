import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { LogEscape } from './log-escape.ts';
import { compileLogFormat, LogFormatError } from './log-format.ts';

type Values = Readonly<Record<string, string | number | undefined>>;

const names = ['remote_addr', 'remote_user', 'status', 'llm_model', 'request_llm_model', 'value'];
const resolve = (name: string) => (names.includes(name) ? (record: Values) => record[name] : null);
const render = (format: string, record: Values, escape: LogEscape = 'default') =>
  compileLogFormat(format, escape, { resolve, knownNames: names, isPlain: (name) => name === 'status' })(record);

describe('the syntax of a log format', () => {
  const rows: readonly { title: string; format: string; line: string }[] = [
    { title: 'a text without variables stays', format: 'hello "world" {}', line: 'hello "world" {}' },
    { title: 'an empty format gives an empty line', format: '', line: '' },
    { title: 'a variable', format: '$status', line: '200' },
    { title: 'a variable in braces ends at the brace', format: '${status}ms', line: '200ms' },
    { title: 'text around and between variables', format: 'a $remote_addr [$status] z', line: 'a 10.0.0.9 [200] z' },
    { title: 'neighbours without text between', format: '$status$remote_addr${status}', line: '20010.0.0.9200' },
    { title: 'a name ends at the first other character', format: '$status-$status.', line: '200-200.' },
    { title: 'literal text is not escaped', format: 'é\\"$status', line: 'é\\"200' },
  ];
  for (const { title, format, line } of rows) {
    test(title, () => assert.equal(render(format, { status: 200, remote_addr: '10.0.0.9' }), line));
  }

  const refused: readonly { title: string; format: string; message: RegExp }[] = [
    { title: 'a dollar at the end', format: 'costs $', message: /after "\$" at position 7/ },
    { title: 'a dollar before a space', format: '$ status', message: /position 1, near "\$ status"/ },
    { title: 'a brace that is not closed', format: '${status', message: /near "\$\{status"/ },
    { title: 'an unknown variable', format: '$nonsense_here', message: /^unknown variable "\$nonsense_here"$/ },
    { title: 'a typing error gets a suggestion', format: '$statsu', message: /"\$statsu", did you mean "\$status"\?/ },
    { title: 'the nearest name is suggested', format: '$llm_modell', message: /did you mean "\$llm_model"\?/ },
  ];
  for (const { title, format, message } of refused) {
    test(`refuses ${title}`, () => {
      assert.throws(
        () => render(format, {}),
        (error) => error instanceof LogFormatError && message.test(error.message),
      );
    });
  }

  test('each variable is looked up once, not for every request', () => {
    let lookups = 0;
    const line = compileLogFormat<Values>('$a $b', 'default', {
      resolve: () => {
        lookups++;
        return () => 'x';
      },
    });
    line({});
    line({});
    assert.equal(lookups, 2);
  });
});

describe('escaping of values', () => {
  const rows: readonly { title: string; value: string | number | undefined; lines: Record<LogEscape, string> }[] = [
    { title: 'a missing value', value: undefined, lines: { default: '-', json: '', none: '' } },
    { title: 'an empty value', value: '', lines: { default: '', json: '', none: '' } },
    { title: 'zero', value: 0, lines: { default: '0', json: '0', none: '0' } },
    { title: 'plain text', value: 'gpt-4 ~!', lines: { default: 'gpt-4 ~!', json: 'gpt-4 ~!', none: 'gpt-4 ~!' } },
    { title: 'a quote', value: 'a"b', lines: { default: 'a\\x22b', json: 'a\\"b', none: 'a"b' } },
    { title: 'a backslash', value: 'a\\b', lines: { default: 'a\\x5Cb', json: 'a\\\\b', none: 'a\\b' } },
    { title: 'line ends', value: '\r\n\t', lines: { default: '\\x0D\\x0A\\x09', json: '\\r\\n\\t', none: '\r\n\t' } },
    {
      title: 'control characters',
      value: '\0\x1b\b\f',
      lines: { default: '\\x00\\x1B\\x08\\x0C', json: '\\u0000\\u001B\\b\\f', none: '\0\x1b\b\f' },
    },
    { title: 'DEL', value: '\x7f', lines: { default: '\\x7F', json: '\x7f', none: '\x7f' } },
    {
      title: 'a header value with the UTF-8 bytes of é',
      value: 'caf\xc3\xa9',
      lines: { default: 'caf\\xC3\\xA9', json: 'café', none: 'café' },
    },
    {
      title: 'a header value with a byte that is no UTF-8',
      value: 'caf\xe9"',
      lines: { default: 'caf\\xE9\\x22', json: 'café\\"', none: 'café"' },
    },
    {
      title: 'a model name from JSON',
      value: '模"',
      lines: { default: '\\xE6\\xA8\\xA1\\x22', json: '模\\"', none: '模"' },
    },
    {
      title: 'a character outside the BMP',
      value: '😀',
      lines: { default: '\\xF0\\x9F\\x98\\x80', json: '😀', none: '😀' },
    },
  ];
  for (const { title, value, lines } of rows) {
    for (const escape of ['default', 'json', 'none'] as const) {
      test(`${title} with escape ${escape}`, () =>
        assert.equal(render('<$value>', { value }, escape), `<${lines[escape]}>`));
    }
  }

  test('every byte survives a JSON log line', () => {
    const value = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code)).join('');
    assert.deepEqual(JSON.parse(render('{"v":"$value"}', { value }, 'json')), { v: value });
  });
});
