import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseHostPort } from './host-port.ts';

const rows: [string, ReturnType<typeof parseHostPort>][] = [
  ['api.openai.com:443', { host: 'api.openai.com', port: 443 }],
  ['127.0.0.1:1', { host: '127.0.0.1', port: 1 }],
  ['[::1]:8443', { host: '::1', port: 8443 }],
  ['localhost:65535', { host: 'localhost', port: 65535 }],
  ['localhost', null],
  ['localhost:', null],
  [':443', null],
  ['localhost:0', null],
  ['localhost:65536', null],
  ['localhost:x', null],
  ['::1:443', null],
  ['[nonsense]:443', null],
  ['https://localhost:443', null],
  ['two words:443', null],
];
for (const [text, expected] of rows) {
  test(`${text} is ${expected ? 'a host and a port' : 'refused'}`, () =>
    assert.deepEqual(parseHostPort(text), expected));
}
