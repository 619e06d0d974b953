import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loggedUri } from './logged-uri.ts';

const rows: [string, string[], string][] = [
  ['/v1/chat/completions', ['k'], '/v1/chat/completions'],
  ['/p?x=1&k=secret', ['k'], '/p?x=1&k=[redacted]'],
  ['/p?k=secret&x=1', ['k'], '/p?k=[redacted]&x=1'],
  ['/p?k=secret', [], '/p?k=secret'],
  ['/p?my%20key=secret&a+b=secret', ['my key', 'a b'], '/p?my%20key=[redacted]&a+b=[redacted]'],
  ['/p?%zz=1&k=', ['k'], '/p?%zz=1&k=[redacted]'],
  ['/p?api-version=1&api_key=in-the-endpoint', [], '/p?api-version=1&api_key=[redacted]'],
];
for (const [uri, names, shown] of rows) {
  test(`${uri} with ${names.join(', ') || 'nothing'} secret is logged as ${shown}`, () => {
    assert.equal(loggedUri(uri, new Set(names)), shown);
  });
}
