import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { frameResponseBody, type BodyFraming } from './body-framing.ts';
import { Fields } from './fields.ts';

function frame(status: number, method: string, fields: string[], minorVersion: 0 | 1 = 1): BodyFraming {
  return frameResponseBody({ status, minorVersion, fields: new Fields(fields) }, method);
}

describe('the framing of a response', () => {
  const rows: readonly (readonly [string, number, string, string[], BodyFraming])[] = [
    ['Content-Length', 200, 'GET', ['content-length', '5'], { kind: 'length', length: 5 }],
    ['Content-Length: 0 is no body', 200, 'GET', ['content-length', '0'], { kind: 'none' }],
    ['chunked', 200, 'GET', ['transfer-encoding', 'Chunked'], { kind: 'chunked' }],
    ['neither lasts until close', 200, 'GET', [], { kind: 'until-close' }],
    ['an answer to HEAD has no body', 200, 'HEAD', ['content-length', '5'], { kind: 'none' }],
    ['an answer to HEAD has no chunks', 200, 'HEAD', ['transfer-encoding', 'chunked'], { kind: 'none' }],
    ['204 has no body', 204, 'POST', ['content-length', '5'], { kind: 'none' }],
    ['304 has no body', 304, 'GET', ['content-length', '5'], { kind: 'none' }],
    ['interim answers have no body', 103, 'GET', [], { kind: 'none' }],
  ];
  for (const [name, status, method, fields, framing] of rows) {
    test(name, () => assert.deepEqual(frame(status, method, fields), framing));
  }

  const refused: readonly (readonly [string, string[], RegExp])[] = [
    ['both fields', ['content-length', '5', 'transfer-encoding', 'chunked'], /both Content-Length/],
    ['two lengths', ['content-length', '5', 'content-length', '5'], /more than one Content-Length/],
    [
      'two codings',
      ['transfer-encoding', 'chunked', 'transfer-encoding', 'chunked'],
      /more than one Transfer-Encoding/,
    ],
    ['a bad length', ['content-length', '5x'], /invalid Content-Length/],
    ['an empty coding', ['transfer-encoding', ''], /empty Transfer-Encoding/],
    ['another coding', ['transfer-encoding', 'gzip, chunked'], /unsupported Transfer-Encoding/],
  ];
  for (const [name, fields, message] of refused) {
    test(`${name}: refused as the fault of the upstream`, () => {
      assert.throws(() => frame(200, 'GET', fields), { code: 'UPSTREAM_INVALID_RESPONSE', message });
    });
  }

  test('fields that contradict each other are refused even where no body follows', () => {
    const both = ['content-length', '5', 'transfer-encoding', 'chunked'];
    assert.throws(() => frame(200, 'HEAD', both), { code: 'UPSTREAM_INVALID_RESPONSE' });
    assert.throws(() => frame(204, 'GET', ['content-length', 'x']), { code: 'UPSTREAM_INVALID_RESPONSE' });
  });
});
