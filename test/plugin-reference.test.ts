import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { renderPluginReference } from '../scripts/generate-plugin-reference.ts';

test('docs/ai-proxy.md is what the definitions say (node scripts/generate-plugin-reference.ts writes it)', () => {
  const written = readFileSync(new URL('../docs/ai-proxy.md', import.meta.url), 'utf8');
  assert.equal(written, renderPluginReference());
});
