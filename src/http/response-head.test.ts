import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseResponseHead } from './response-head.ts';

function parse(text: string): ReturnType<typeof parseResponseHead> {
  // Bytes around the head must not matter.
  const bytes = Buffer.from(`xy${text}HTTP`, 'latin1');
  return parseResponseHead(bytes, 2, bytes.length - 4);
}

describe('the head of a response', () => {
  const statusLines: readonly (readonly [string, number, 0 | 1])[] = [
    ['HTTP/1.1 200 OK', 200, 1],
    ['HTTP/1.0 404 Not Found', 404, 0],
    ['HTTP/1.1 204 ', 204, 1],
    ['HTTP/1.1 204', 204, 1],
    ['HTTP/1.1 599 d\xe9j\xe0 vu\t!', 599, 1],
    ['HTTP/1.1 100 Continue', 100, 1],
  ];
  for (const [line, status, minorVersion] of statusLines) {
    test(`${JSON.stringify(line)} is read`, () => {
      const head = parse(`${line}\r\nX-A: \tb \r\nx-a:c\r\n\r\n`);
      assert.deepEqual([head.status, head.minorVersion], [status, minorVersion]);
      assert.deepEqual(head.fields.flat, ['x-a', 'b', 'x-a', 'c']);
    });
  }

  const bad = [
    'HTTP/1.1 20 OK',
    'HTTP/1.1 2000 OK',
    'HTTP/1.1 200OK',
    'HTTP/1.1  200 OK',
    'HTTP/1.1 099 ',
    'HTTP/1.1 600 ',
    'HTTP/1.2 200 OK',
    'HTTP/2 200',
    'http/1.1 200 OK',
    ' HTTP/1.1 200 OK',
    'HTTP/1.1\t200 OK',
    'HTTP/1.1 200 a\0b',
    'HTTP/1.1 200 a\rb',
    'HTTP/1.1 200 a\nX: y',
    'GET / HTTP/1.1',
    '',
  ];
  for (const line of bad) {
    test(`${JSON.stringify(line)} is refused as the fault of the upstream`, () => {
      assert.throws(() => parse(`${line}\r\nX: y\r\n\r\n`), { code: 'UPSTREAM_INVALID_RESPONSE', status: 502 });
    });
  }

  for (const line of ['X : y', ' X: y', 'X', ': y', 'X: y\n', 'X: \0', 'X: y\r\n z', 'X\xe9: y']) {
    test(`field ${JSON.stringify(line)} is refused as the fault of the upstream`, () => {
      assert.throws(() => parse(`HTTP/1.1 200 OK\r\n${line}\r\n\r\n`), { code: 'UPSTREAM_INVALID_RESPONSE' });
    });
  }

  test('a head without fields is good, one with more than 100 is not', () => {
    assert.equal(parse('HTTP/1.1 200 OK\r\n\r\n').fields.size, 0);
    assert.equal(parse(`HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(100)}\r\n`).fields.size, 100);
    assert.throws(() => parse(`HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(101)}\r\n`), {
      code: 'UPSTREAM_INVALID_RESPONSE',
    });
  });
});
