import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { toQueryText } from './query-text.ts';

const rows: readonly (readonly [what: string, text: string, bytes: number])[] = [
  ['a short text is kept', 'short \u00e4\u4f60\u{1f600}', 15],
  ['a text that just fits is kept', 'a'.repeat(16_384), 16_384],
  ['a longer one is cut', 'a'.repeat(20_000), 16_384],
  ['two bytes are not torn', `a${'\u00e4'.repeat(9000)}`, 16_383],
  ['three bytes are not torn', '\u4f60'.repeat(6000), 16_383],
  ['a pair of surrogates is not torn', `ab${'\u{1f600}'.repeat(5000)}`, 16_382],
];

describe('the text that is embedded', () => {
  for (const [what, text, bytes] of rows) {
    test(what, () => {
      const cut = toQueryText(text);
      assert.ok(text.startsWith(cut));
      assert.equal(Buffer.byteLength(cut), bytes);
      assert.ok(cut.isWellFormed());
    });
  }
});
