import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WeirError } from '../base/errors.ts';
import { toRequestHead } from './http2-head.ts';

const request = [':method', 'POST', ':scheme', 'https', ':authority', 'Api.Example:8443', ':path', '/a?b=c'];

test('a request becomes what it would be in HTTP/1.1, with Host first', () => {
  const head = toRequestHead([...request, 'content-type', 'application/json', 'x-latin', 'caf\xe9']);
  assert.deepEqual(
    { ...head, fields: head.fields.flat },
    {
      method: 'POST',
      target: '/a?b=c',
      requestLine: 'POST /a?b=c HTTP/2.0',
      version: '2.0',
      minorVersion: 1,
      fields: ['host', 'Api.Example:8443', 'content-type', 'application/json', 'x-latin', 'caf\xe9'],
      host: 'api.example',
      byteLength: head.byteLength,
    },
  );
});

const acceptedRows: readonly (readonly [what: string, raw: readonly string[], fields: readonly string[]])[] = [
  [
    'cookies that came one by one are one field',
    [...request, 'cookie', 'a=1', 'x', 'y', 'cookie', 'b=2'],
    ['x', 'y', 'cookie', 'a=1; b=2'],
  ],
  ['a Host equal to the authority', [...request, 'host', 'api.example:8443'], []],
  ['te: trailers', [...request, 'te', 'trailers'], ['te', 'trailers']],
  ['white space around a value is no part of it', [...request, 'x', ' \ty '], ['x', 'y']],
];

for (const [what, raw, fields] of acceptedRows) {
  test(`accepted: ${what}`, () => assert.deepEqual(toRequestHead(raw).fields.flat.slice(2), fields));
}

test('a value of spaces costs no more than another one', () => {
  const value = `a${' '.repeat(60_000)}b`;
  const startedAt = performance.now();
  assert.throws(() => toRequestHead([...request, 'x', value]), { code: 'HEAD_TOO_LARGE' });
  // A millisecond; searched through with a regular expression it was eight seconds.
  assert.ok(performance.now() - startedAt < 2000);
});

test('a Host stands in for an authority that is missing', () => {
  const head = toRequestHead([':method', 'OPTIONS', ':scheme', 'http', ':path', '*', 'host', 'h']);
  assert.deepEqual([head.host, head.target, head.fields.flat], ['h', '*', ['host', 'h']]);
});

function without(name: string, ...more: string[]): string[] {
  const at = request.indexOf(name);
  return [...request.slice(0, at), ...request.slice(at + 2), ...more];
}

const refusedRows: readonly (readonly [what: string, raw: readonly string[], status: number])[] = [
  ['no method', without(':method'), 400],
  ['a method that no server knows', without(':method', ':method', 'FETCH'), 400],
  ['a method with a line break', without(':method', ':method', 'GET / HTTP/1.1\r\nx: y'), 400],
  ['CONNECT', without(':method', ':method', 'CONNECT'), 400],
  ['an extended CONNECT', [...request, ':protocol', 'websocket'], 400],
  ['a pseudo field twice', [...request, ':path', '/other'], 400],
  ['an unknown pseudo field', [...request, ':status', '200'], 400],
  ['no scheme', without(':scheme'), 400],
  ['a scheme of another protocol', without(':scheme', ':scheme', 'ftp'), 400],
  ['no path', without(':path'), 400],
  ['an absolute path', without(':path', ':path', 'http://other/'), 400],
  ['a path with a space', without(':path', ':path', '/a HTTP/1.1'), 400],
  ['a path with a line break', without(':path', ':path', '/a\r\nx: y'), 400],
  ['a path with a fragment', without(':path', ':path', '/a#b'), 400],
  ['* with another method', without(':path', ':path', '*'), 400],
  ['no authority at all', without(':authority'), 400],
  ['an authority with a user', without(':authority', ':authority', 'me@host'), 400],
  ['an authority with a path', without(':authority', ':authority', 'host/x'), 400],
  ['a Host that differs from the authority', [...request, 'host', 'other'], 400],
  ['two Hosts that differ', without(':authority', 'host', 'a', 'host', 'b'), 400],
  ['a name in upper case', [...request, 'X-Upper', 'y'], 400],
  ['an empty name', [...request, '', 'y'], 400],
  ['a name with a colon', [...request, 'x:y', 'z'], 400],
  ['a value with CR LF', [...request, 'x', 'y\r\nz: 1'], 400],
  ['a value with LF', [...request, 'x', 'y\nz: 1'], 400],
  ['a value with NUL', [...request, 'x', 'y\0z'], 400],
  ['a cookie with LF', [...request, 'cookie', 'y\nz: 1'], 400],
  ...['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'http2-settings'].map(
    (name) => [`the connection's field ${name}`, [...request, name, 'x'], 400] as const,
  ),
  ['te: gzip', [...request, 'te', 'gzip'], 400],
  ['101 fields', [...request, ...Array.from({ length: 101 }, (_, i) => [`x${i}`, 'y']).flat()], 431],
  ['a head of more than 32 KiB', [...request, 'x', 'y'.repeat(33_000)], 431],
  ['a path of more than 16 KiB', without(':path', ':path', `/${'y'.repeat(17_000)}`), 414],
];

for (const [what, raw, status] of refusedRows) {
  test(`refused with ${status}: ${what}`, () => {
    assert.throws(
      () => toRequestHead(raw),
      (error) => error instanceof WeirError && error.status === status,
    );
  });
}
