import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { renderReference } from '../scripts/generate-plugin-reference.ts';

const docs = new URL('../docs/', import.meta.url);
const pages = renderReference();

for (const [path, text] of pages) {
  test(`docs/${path} is what the definitions say (node scripts/generate-plugin-reference.ts writes it)`, () => {
    assert.equal(readFileSync(new URL(path, docs), 'utf8'), text);
  });
}

test('there are pages about existing plugins and providers only', () => {
  const written = ['plugins', 'providers'].flatMap((folder) =>
    readdirSync(new URL(folder, docs)).map((name) => `${folder}/${name}`),
  );
  assert.deepEqual(written.sort(), [...pages.keys()].sort());
});
