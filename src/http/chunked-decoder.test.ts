import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { WeirError } from '../base/errors.ts';
import { ChunkedDecoder } from './chunked-decoder.ts';

/** Feeds the pieces one after another; `end` counts the bytes that were taken as the body. */
function decode(pieces: readonly Buffer[]): { body: string; done: boolean; end: number } {
  const decoder = new ChunkedDecoder();
  const body: Buffer[] = [];
  let end = 0;
  for (const piece of pieces) end += decoder.feed(piece, 0, (bytes) => body.push(bytes));
  return { body: Buffer.concat(body).toString('latin1'), done: decoder.done, end };
}

function decodeText(text: string): ReturnType<typeof decode> {
  return decode([Buffer.from(text, 'latin1')]);
}

describe('ChunkedDecoder', () => {
  test('gives back what was encoded, however it was cut into chunks and reads', () => {
    const reads = fc.array(fc.nat(50), { maxLength: 10 });
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 6 }), reads, (chunks, cuts) => {
        const wire = Buffer.concat([
          ...chunks.flatMap((chunk) => [Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')]),
          Buffer.from('0\r\n\r\n'),
        ]);
        const pieces: Buffer[] = [];
        let at = 0;
        for (const cut of cuts) pieces.push(wire.subarray(at, (at = Math.min(wire.length, at + cut))));
        pieces.push(wire.subarray(at));
        const body = Buffer.concat(chunks).toString('latin1');
        assert.deepEqual(decode(pieces), { body, done: true, end: wire.length });
      }),
      { numRuns: 300 },
    );
  });

  test('stops behind the body and leaves the next message alone', () => {
    assert.deepEqual(decodeText('1\r\na\r\n0\r\n\r\nGET /'), { body: 'a', done: true, end: 11 });
  });

  test('starts where it is told to', () => {
    const decoder = new ChunkedDecoder();
    const body: Buffer[] = [];
    assert.equal(
      decoder.feed(Buffer.from('xxx1\r\na\r\n'), 3, (bytes) => body.push(bytes)),
      9,
    );
    assert.equal(Buffer.concat(body).toString(), 'a');
  });

  test('is not done before the blank line behind the trailers', () => {
    for (const text of ['', '0', '0\r\n', '0\r\n\r', '0\r\nX: y\r\n', '0\r\nX: y\r\n\r', '3\r\nabc']) {
      assert.equal(decodeText(text).done, false, JSON.stringify(text));
    }
  });

  test('takes 13 digits, and no more', () => {
    assert.equal(decodeText('0000000000003\r\nabc\r\n0\r\n\r\n').body, 'abc');
    assert.throws(() => decodeText('00000000000003\r\nabc'), WeirError);
    assert.equal(decodeText(`${'f'.repeat(13)}\r\nabc`).body, 'abc');
  });

  test('bounds extensions and trailers of one body together', () => {
    const extension = (size: number): string => `1;${'x'.repeat(size)}\r\na\r\n`;
    assert.equal(decodeText(`${extension(8000)}${extension(8000)}0\r\n\r\n`).body, 'aa');
    assert.throws(() => decodeText(`${extension(8000)}${extension(8000)}0\r\nX: ${'y'.repeat(1000)}\r\n\r\n`), {
      code: 'BAD_REQUEST',
    });
  });

  test('says what is wrong', () => {
    const rows: readonly (readonly [string, RegExp])[] = [
      ['x\r\n', /invalid chunk size/],
      ['1\n', /invalid chunk size/],
      ['1\rx', /not followed by CRLF/],
      ['1\r\nab', /not followed by CRLF/],
      ['1;\r\n', /invalid chunk extension/],
      ['1;a\n', /invalid chunk extension/],
      ['0\r\nX: y\n', /bare CR or LF/],
      ['0\r\nX\r\n\r\n', /invalid field name/],
      ['0\r\nContent-Length: 1\r\n\r\n', /content-length in the trailer/],
    ];
    for (const [text, message] of rows) assert.throws(() => decodeText(text), message, JSON.stringify(text));
  });
});
