import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostNameOf } from './request-head.ts';

const hosts: readonly (readonly [authority: string, host: string])[] = [
  ['Api.Example', 'api.example'],
  ['api.example:8443', 'api.example'],
  // The same name, written to its end.
  ['api.example.', 'api.example'],
  ['api.example.:8443', 'api.example'],
  ['api.example..', 'api.example.'],
  ['[::1]:80', '[::1]'],
  ['[::1]', '[::1]'],
  ['.', ''],
  ['', ''],
];

for (const [authority, host] of hosts) {
  test(`the host of ${JSON.stringify(authority)} is ${JSON.stringify(host)}`, () => {
    assert.equal(hostNameOf(authority), host);
  });
}
