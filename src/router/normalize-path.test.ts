import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { normalizePath } from './normalize-path.ts';

const paths: readonly [target: string, path: string, query?: string, authority?: string][] = [
  ['/', '/'],
  ['/v1/chat/completions', '/v1/chat/completions'],
  ['/a?b=c&d', '/a', 'b=c&d'],
  ['/a?b?c', '/a', 'b?c'],
  ['/a?', '/a', ''],
  ['/a?x=%2F/../b//c', '/a', 'x=%2F/../b//c'],
  ['/a#fragment?x', '/a', ''],
  ['/a?x#fragment', '/a', 'x'],
  ['/a%20b+c', '/a b+c'],
  ['/caf%C3%A9', '/café'],
  ['/a%2fb', '/a/b'],
  ['/a%2F%2e%2e%2fb', '/b'],
  ['/a%3Fb%23c', '/a?b#c'],
  ['/a%252fb', '/a%2fb'],
  ['//a///b//', '/a/b/'],
  ['/./a/./b/.', '/a/b/'],
  ['/a/b/..', '/a/'],
  ['/a/b/../c', '/a/c'],
  ['/a//../b', '/b'],
  ['/a/..', '/'],
  ['/..a/b../...', '/..a/b../...'],
  ['/.well-known/x', '/.well-known/x'],
  ['/a%0ab', '/a\nb'],
  ['http://host/path?q', '/path', 'q', 'host'],
  ['HTTPS://Host:8443/a//b', '/a/b', '', 'Host:8443'],
  ['http://host', '/', '', 'host'],
  ['http://host?q=1', '/', 'q=1', 'host'],
  ['http://[::1]:80/x', '/x', '', '[::1]:80'],
];

for (const [target, path, query = '', authority = null] of paths) {
  test(`the target ${target} has the path ${JSON.stringify(path)}`, () => {
    assert.deepEqual(normalizePath(target), { path, query, authority });
  });
}

for (const target of [
  '',
  '*',
  'example.com:443',
  'a/b',
  '?x',
  'ftp://host/x',
  'http:///x',
  'http://user@host/x',
  'http://user:secret@host/x',
  '/%',
  '/a%2',
  '/a%zz',
  '/a%-1',
  '/a%00b',
  '/%ff',
  '/%c0%af',
  '/..',
  '/../etc/passwd',
  '/a/../../b',
  '/%2e%2e/b',
]) {
  test(`the target ${JSON.stringify(target)} is refused`, () => {
    assert.equal(normalizePath(target), null);
  });
}

test('a normalised path has no empty, . or .. segment', () => {
  const piece = fc.constantFrom('/', '.', '..', 'a', '%2f', '%2E', '?', '#', '%', 'b');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const path = normalizePath(`/${pieces.join('')}`)?.path ?? '/';
      assert.match(path, /^\//);
      assert.doesNotMatch(path, /\/\/|\/\.\.?(\/|$)/);
    }),
    { numRuns: 2000 },
  );
});

for (const [kind, target] of [
  ['slashes', '/'.repeat(32768)],
  ['dot segments', '/a/..'.repeat(6553)],
  ['escapes', '/%2e%41'.repeat(4681)],
  ['query', `/a?${'&'.repeat(32765)}`],
] as const) {
  test(`32 KiB of ${kind} cost little`, () => {
    const start = performance.now();
    for (let round = 0; round < 20; round++) assert.notEqual(normalizePath(target), null);
    assert.ok(performance.now() - start < 1000);
  });
}
