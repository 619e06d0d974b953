import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

const root = new URL('../', import.meta.url);
const pages = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(new URL('docs/', root), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

for (const page of pages) {
  test(`${page} links to files and headings that exist`, () => {
    for (const [, path = '', heading = ''] of readText(page).matchAll(/\]\(([^)#:]*)(?:#([^)]*))?\)/g)) {
      const file = new URL(path === '' ? page : new URL(path, new URL(page, root)), root);
      assert.ok(existsSync(file), `${page}: ${path} does not exist`);
      if (heading === '') continue;
      const anchors = Array.from(readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm), ([, title = '']) =>
        toAnchor(title),
      );
      assert.ok(anchors.includes(heading), `${page}: ${path} has no heading #${heading}`);
    }
  });
}

test('the tests that docs/compatibility.md names exist', () => {
  const named = Array.from(readText('docs/compatibility.md').matchAll(/`((?:src|test)\/[^`]+)`: "([^"]+)"/g));
  assert.ok(named.length > 0);
  for (const [, file = '', name = ''] of named) {
    assert.ok(readText(file).replaceAll("\\'", "'").includes(name), `${file} has no test "${name}"`);
  }
});

/** As GitHub and GitLab make it of a heading. */
function toAnchor(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

function readText(path: string): string {
  return readFileSync(new URL(path, root), 'utf8');
}
