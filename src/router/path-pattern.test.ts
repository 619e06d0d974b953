import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePathPattern } from './path-pattern.ts';

/** What the router does with a pattern: literal first, then the matcher. */
function matchPath(uri: string, path: string, parameters: boolean): object | null {
  const { literal, exact, match } = compilePathPattern(uri, { parameters });
  if (exact ? path !== literal : !path.startsWith(literal)) return null;
  return match === null ? {} : match(path);
}

const cases: readonly [uri: string, path: string, expected: object | null][] = [
  ['/foo', '/foo', {}],
  ['/foo', '/foo/', null],
  ['/foo*', '/foo', {}],
  ['/foo*', '/foobar/x', {}],
  ['/foo/*', '/foo/', {}],
  ['/foo/*', '/foo', null],
  ['/foo*bar', '/foox', {}],
  ['/*', '/', {}],
  ['/blog/:name', '/blog/dog', { name: 'dog' }],
  ['/blog/:name', '/blog/', null],
  ['/blog/:name', '/blog/dog/', null],
  ['/blog/:name', '/blog/dog/cat', null],
  ['/blog/:name/', '/blog/dog/', { name: 'dog' }],
  ['/blog/:name/edit', '/blog/dog/edit', { name: 'dog' }],
  ['/blog/:name/edit', '/blog/dog/edits', null],
  ['/:a/:b', '/x/y', { a: 'x', b: 'y' }],
  ['/x/*rest', '/x/a/b', { rest: 'a/b' }],
  ['/x/*rest', '/x/', { rest: '' }],
  ['/x/*rest', '/x', null],
  ['/user/:user/*action', '/user/john/send/now', { user: 'john', action: 'send/now' }],
  ['/user/:user/*action', '/user/john', null],
  ['/user/:user/x*', '/user/john/xy/z', { user: 'john' }],
  ['/user/:user/x*', '/user/john/y', null],
  ['/*any/chat', '/a/b/chat', { any: 'a/b' }],
  ['/*any/chat', '/chat', null],
  ['/*any/y', '/1/y/2/y', { any: '1/y/2' }],
  ['/*a/:b', '/1/2/3', { a: '1/2', b: '3' }],
  ['/a/*/b/*/c', '/a/1/b/2/b/3/c', {}],
  ['/a/*/b/*/c', '/a/1/b/2/d', null],
  ['/models/gemini:generate', '/models/gemini:generate', {}],
  ['/models/gemini:generate', '/models/geminix', null],
];

for (const [uri, path, expected] of cases) {
  test(`with parameters ${uri} ${expected ? 'matches' : 'does not match'} ${path}`, () => {
    assert.deepEqual(matchPath(uri, path, true), expected);
  });
}

const plainCases: readonly [uri: string, path: string, expected: object | null][] = [
  ['/blog/:name', '/blog/:name', {}],
  ['/blog/:name', '/blog/dog', null],
  ['/x/*rest', '/x/a/b', {}],
  ['/x/*rest', '/x/', {}],
  ['/x/*/y', '/x/a/b/y', {}],
  ['/x/*/y', '/x/a/b/z', null],
];

for (const [uri, path, expected] of plainCases) {
  test(`without parameters ${uri} ${expected ? 'matches' : 'does not match'} ${path}`, () => {
    assert.deepEqual(matchPath(uri, path, false), expected);
  });
}

test('many wildcards against a long path stay cheap', () => {
  const start = performance.now();
  assert.equal(matchPath(`/${'*/a/'.repeat(20)}b`, '/a'.repeat(16384), true), null);
  assert.ok(performance.now() - start < 500);
});
