import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder } from './make-folder.ts';

test('a folder is made with its parents, or left as it is', () => {
  const root = mkdtempSync(join(tmpdir(), 'weir-folder-'));
  try {
    makeFolder(join(root, 'a', 'b'), 0o700);
    makeFolder(join(root, 'a', 'b'), 0o755);
    assert.equal(statSync(join(root, 'a')).mode & 0o777, 0o700);
    assert.equal(statSync(join(root, 'a', 'b')).mode & 0o777, 0o700);
    writeFileSync(join(root, 'file'), '');
    assert.throws(() => makeFolder(join(root, 'file', 'a')), { code: 'ENOTDIR' });
  } finally {
    rmSync(root, { recursive: true });
  }
});

test('a folder that the system does not allow is an error, not an endless loop', () => {
  assert.throws(() => makeFolder('/proc/weir/logs'), { code: 'ENOENT' });
});
