import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openLogDestination } from './log-destination.ts';

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-destination-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

test('the folders of a file are made', () => {
  const file = join(folder, 'a', 'b', 'c.log');
  closeSync(openLogDestination(file, 0o600));
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

for (const [what, path, reason] of [
  ['a folder that the system does not allow', () => '/proc/weir/x.log', /ENOENT/],
  ['a folder', () => folder, /EISDIR/],
  ['something in a file', () => join(folder, 'file', 'x.log'), /ENOTDIR/],
  ['a name with NUL', () => join(folder, 'a\0b'), /null bytes/],
] as const) {
  test(`${what} is refused at once, with the reason`, () => {
    writeFileSync(join(folder, 'file'), '');
    assert.throws(() => openLogDestination(path(), 0o600), reason);
  });
}

test('a named pipe that nobody reads is refused, not waited for', () => {
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  assert.throws(() => openLogDestination(pipe, 0o600), /ENXIO/);
});
