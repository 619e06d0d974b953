import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { claimPidFile, findRunningGateway } from './pid-file.ts';

function temporaryFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weir-pid-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'logs', 'weir.pid');
}

/** A process that has claimed the file and lives until it is killed. */
async function spawnHolder(t: TestContext, file: string): Promise<ChildProcess> {
  const source = `
    import { claimPidFile } from ${JSON.stringify(new URL('pid-file.ts', import.meta.url).href)};
    claimPidFile(${JSON.stringify(file)});
    console.log('claimed');
    setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
  return holder;
}

test('without a pid file no gateway is found', (t) => {
  assert.equal(findRunningGateway(temporaryFile(t)), undefined);
});

test('the file holds the number alone on its line, and goes with its owner', (t) => {
  const file = temporaryFile(t);
  const pidFile = claimPidFile(file);
  assert.equal(readFileSync(file, 'utf8'), `${process.pid}\n`);
  pidFile.release();
  assert.equal(existsSync(file), false);
});

test('a living holder is found, and is seen to end', async (t) => {
  const file = temporaryFile(t);
  const holder = await spawnHolder(t, file);
  const running = findRunningGateway(file);
  assert.equal(running?.pid, holder.pid);
  assert.equal(running?.isAlive(), true);
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  assert.equal(running?.isAlive(), false);
});

test('the file of a killed gateway is stale and is replaced by the next', async (t) => {
  const file = temporaryFile(t);
  const holder = await spawnHolder(t, file);
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  assert.equal(existsSync(file), true);
  assert.equal(findRunningGateway(file), undefined);
  claimPidFile(file).release();
});

for (const [what, text] of [
  ['the number of a process that is something else', `${process.ppid}\n`],
  ["the finder's own number", `${process.pid}\n`],
  ['a number that no process has', '4194999\n'],
  ['nothing', ''],
  ['something that is no number', 'hello\n'],
] as const) {
  test(`a file that holds ${what} names no gateway`, (t) => {
    const file = temporaryFile(t);
    claimPidFile(file).release();
    writeFileSync(file, text);
    assert.equal(findRunningGateway(file), undefined);
  });
}

test('a file that another gateway has put in the place is left alone', async (t) => {
  const file = temporaryFile(t);
  const pidFile = claimPidFile(file);
  const holder = await spawnHolder(t, file);
  pidFile.release();
  assert.equal(findRunningGateway(file)?.pid, holder.pid);
});
