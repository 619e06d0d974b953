import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostPort, originKey } from './origin.ts';

test('an origin key ignores the case of the name and always has the port', () => {
  assert.equal(originKey({ scheme: 'https', host: 'API.OpenAI.com', port: 443 }), 'https://api.openai.com:443');
});

test('an IPv6 address is written in brackets', () => {
  assert.equal(hostPort('::1', 80), '[::1]:80');
  assert.equal(hostPort('127.0.0.1', 80), '127.0.0.1:80');
});
