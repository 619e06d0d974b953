import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { renderErrorReference } from '../scripts/generate-error-reference.ts';

test('docs/errors.md is what the table of errors says (node scripts/generate-error-reference.ts writes it)', () => {
  const written = readFileSync(new URL('../docs/errors.md', import.meta.url), 'utf8');
  assert.equal(written, renderErrorReference());
});
