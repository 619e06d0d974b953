import assert from 'node:assert/strict';
import { test } from 'node:test';
import { splitTokens } from './tokens.ts';
import { Page } from './page.ts';

function capture(colour: boolean, use: (page: Page) => void): string {
  let text = '';
  use(new Page({ write: (piece) => (text += piece), colour }));
  return text;
}

const prose = `${'The quick brown fox jumps over the lazy dog. '.repeat(20).trim()}\n\nSecond paragraph.`;

for (const [name, pieces] of [
  ['at once', [prose]],
  ['token by token', splitTokens(prose)],
] as const) {
  test(`a text that arrives ${name} is wrapped between words and loses none`, () => {
    const text = capture(false, (page) => {
      for (const piece of pieces) page.stream(piece);
      page.endStream();
    });
    const lines = text.split('\n');
    assert.ok(lines.every((line) => line.length <= 92 && !line.endsWith(' ')));
    assert.ok(lines.filter((line) => line !== '').every((line) => /^ {2}\S/.test(line)));
    assert.equal(text.replaceAll(/\s+/g, ' ').trim(), prose.replaceAll(/\s+/g, ' '));
    assert.match(text, /\n\n {2}Second paragraph\.\n$/);
  });
}

test('a paragraph is wrapped', () => {
  const lines = capture(false, (page) => page.paragraph('word '.repeat(50).trim())).split('\n');
  assert.ok(lines.length > 3);
  assert.ok(lines.every((line) => line.length <= 92));
});

test('colour is written only when it is wanted', () => {
  const show = (page: Page): void => page.command('curl x');
  assert.equal(capture(false, show), '  $ curl x\n\n');
  assert.match(capture(true, show), /\x1b\[36mcurl x\x1b\[39m/);
});
