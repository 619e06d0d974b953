import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConnectTo } from './connect-to.ts';

const accepted = [
  { to: '127.0.0.1:8443', destination: { host: '127.0.0.1', port: 8443 } },
  { to: '[::1]:8443', destination: { host: '::1', port: 8443 } },
  { to: 'mock.local:65535', destination: { host: 'mock.local', port: 65535 } },
];

for (const { to, destination } of accepted) {
  test(`connect_to understands ${to}`, () => {
    assert.deepEqual(parseConnectTo(new Map([['api.openai.com:443', to]])).get('api.openai.com:443'), destination);
  });
}

const refused = [
  '',
  '127.0.0.1',
  ':8443',
  '127.0.0.1:',
  '127.0.0.1:0',
  '127.0.0.1:65536',
  '::1:8443',
  '[::1:8443',
  '[name]:1',
  'http://a:1',
  'a b:1',
];

for (const text of refused) {
  test(`connect_to refuses "${text}" on either side and names it`, () => {
    const expected = { name: 'TypeError', message: new RegExp(`weir\\.connect_to.*"${RegExp.escape(text)}"`) };
    assert.throws(() => parseConnectTo(new Map([['api.openai.com:443', text]])), expected);
    assert.throws(() => parseConnectTo(new Map([[text, '127.0.0.1:8443']])), expected);
  });
}
