import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BodyCapture, bodyText } from './body-capture.ts';

const body = Buffer.from('a\u00e4\u20ac\u{1f600}z');

test('a body is kept as far as asked, at whatever byte it was split and cut', () => {
  for (let split = 0; split <= body.length; split++) {
    for (let max = 0; max <= body.length + 1; max++) {
      const capture = new BodyCapture(max);
      const reused = Buffer.from(body);
      capture.add(reused.subarray(0, split));
      capture.add(reused.subarray(split));
      reused.fill(0);
      const text = capture.text(max);
      assert.equal(text, bodyText(body, max));
      assert.ok('a\u00e4\u20ac\u{1f600}z'.startsWith(text), `no half character for ${max} bytes: ${text}`);
      assert.ok(max - Buffer.byteLength(text) < 4 || max > body.length);
    }
  }
});

test('of two loggers each gets what it asked for', () => {
  const capture = new BodyCapture(4);
  capture.add(Buffer.from('abcdef'));
  assert.deepEqual([capture.text(2), capture.text(4)], ['ab', 'abcd']);
});
