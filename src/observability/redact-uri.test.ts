import assert from 'node:assert/strict';
import { test } from 'node:test';
import { redactQuery, redactUri } from './redact-uri.ts';

const rows: [string, string][] = [
  ['/v1/chat', '/v1/chat'],
  ['/p?x=1&y', '/p?x=1&y'],
  ['/p?accessToken=abc&x=1', '/p?accessToken=[redacted]&x=1'],
  ['/p?x=1&client%5Fsecret=a%20b', '/p?x=1&client%5Fsecret=[redacted]'],
  ['/p?key=abc', '/p?key=[redacted]'],
  ['/p?authorization=Basic%20eDp5', '/p?authorization=[redacted]'],
  ['/p?note=sk-abcdef123456', '/p?note=[redacted]'],
  ['/p?max_tokens=5&q=a%2Bb%zz', '/p?max_tokens=5&q=a%2Bb%zz'],
  ['/p?__proto__=1&=2&a=b=c', '/p?__proto__=1&=2&a=b=c'],
  ['http://user:pass@host/p', 'http://[redacted]@host/p'],
];
for (const [uri, shown] of rows) {
  test(`${uri} is logged as ${shown}`, () => assert.equal(redactUri(uri), shown));
}

test('a query alone is redacted likewise', () => {
  assert.equal(redactQuery('key=abc&x=1&auth=b'), 'key=[redacted]&x=1&auth=[redacted]');
});
