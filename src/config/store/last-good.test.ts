import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Log, silentLog } from '../../base/log.ts';
import { LastGoodFile } from './last-good.ts';

const resource = { kind: 'routes', id: 'r1', value: { uri: '/1' }, createdIndex: 1, modifiedIndex: 2 };
const state = { revision: 3, resources: [resource] };

function fileOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weir-last-good-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'data', 'last-good.json');
}

test('what a killed process has left of its writing is cleared away', async (t) => {
  const file = fileOf(t);
  const saved = new LastGoodFile({ file, source: 's', log: silentLog });
  await saved.saveNow({ state: { revision: 1, resources: [] } });
  writeFileSync(`${file}.new`, '{"source":');
  await saved.saveNow({ state });
  assert.deepEqual(saved.read()?.state, state);
  assert.deepEqual(readdirSync(dirname(file)), ['last-good.json']);
});

test('what is saved is read again, only by its owner, and only for the same source', async (t) => {
  const file = fileOf(t);
  const saved = new LastGoodFile({ file, source: 'etcd /apisix', log: silentLog });
  assert.equal(saved.read(), null);
  saved.save(() => ({ state: { revision: 1, resources: [] } }));
  saved.save(() => ({ state, note: { digest: 'd' } }));
  await saved.close();
  assert.deepEqual(saved.read(), { state, note: { digest: 'd' }, savedAt: statSync(file).mtime });
  assert.equal(new LastGoodFile({ file, source: 'apisix.yaml', log: silentLog }).read(), null);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(dirname(file)), ['last-good.json']);
});

for (const text of [
  '',
  '{"source":"s"',
  '{"source":"s","revision":1,"resources":[{"kind":"routes"}]}',
  '{"source":"s"}',
]) {
  test(`a file that cannot be used is logged and counts as none: ${text || 'empty'}`, async (t) => {
    const file = fileOf(t);
    const errors: string[] = [];
    const log: Log = { ...silentLog, error: (message) => errors.push(message) };
    const lastGood = new LastGoodFile({ file, source: 's', log });
    await lastGood.saveNow({ state });
    writeFileSync(file, text);
    assert.equal(lastGood.read(), null);
    assert.deepEqual(errors, [`${file} cannot be used, so there is no last good configuration`]);
  });
}

test('what could not be written is written when there is room again', async (t) => {
  const file = fileOf(t);
  const errors: string[] = [];
  const log: Log = { ...silentLog, error: (message) => errors.push(message) };
  const lastGood = new LastGoodFile({ file, source: 's', log });
  writeFileSync(dirname(file), 'in the way');
  t.mock.timers.enable({ apis: ['setTimeout'] });
  lastGood.save(() => ({ state }));
  t.mock.timers.tick(500);
  while (errors.length === 0) await nextTurn();
  rmSync(dirname(file));
  t.mock.timers.tick(60_000);
  while (!existsSync(file)) await nextTurn();
  assert.deepEqual(lastGood.read()?.state, state);
  assert.equal(errors.length, 1);
});

test('after a failure the next change does not wait for the retry', async (t) => {
  const file = fileOf(t);
  const errors: string[] = [];
  const log: Log = { ...silentLog, error: (message) => errors.push(message) };
  const lastGood = new LastGoodFile({ file, source: 's', log });
  writeFileSync(dirname(file), 'in the way');
  t.mock.timers.enable({ apis: ['setTimeout'] });
  lastGood.save(() => ({ state: { revision: 1, resources: [] } }));
  t.mock.timers.tick(500);
  while (errors.length === 0) await nextTurn();
  rmSync(dirname(file));
  lastGood.save(() => ({ state }));
  t.mock.timers.tick(500);
  const end = performance.now() + 5000;
  while (!existsSync(file) && performance.now() < end) await nextTurn();
  assert.deepEqual(lastGood.read()?.state, state);
});

test('a folder that cannot be written fails saveNow and keeps the old file; save only logs it', async (t) => {
  const file = fileOf(t);
  const errors: string[] = [];
  const log: Log = { ...silentLog, error: (message) => errors.push(message) };
  const lastGood = new LastGoodFile({ file, source: 's', log });
  await lastGood.saveNow({ state });
  const old = readFileSync(file, 'utf8');
  // Also root cannot make a file below a file.
  const blocked = new LastGoodFile({ file: join(file, 'below.json'), source: 's', log });
  await assert.rejects(blocked.saveNow({ state }));
  blocked.save(() => ({ state }));
  await blocked.close();
  assert.equal(errors.length, 1);
  assert.equal(readFileSync(file, 'utf8'), old);
});
