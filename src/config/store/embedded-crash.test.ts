import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { silentLog } from '../../base/log.ts';
import { openEmbeddedStore } from './embedded.ts';
import { StoreError } from './store.ts';

// This file is also the program of the child processes that are killed or run out of disk.
const [, , role, file = ''] = process.argv;
if (role === 'write-until-killed') await writeUntilKilled();
else if (role === 'fill-the-disk') await fillTheDisk();
else defineTests();

/** Prints one line for every write that was acknowledged: `<id> <n>`, or `<id> deleted`. */
async function writeUntilKilled(): Promise<void> {
  const store = await openEmbeddedStore({ file, log: silentLog });
  const { revision } = await store.load();
  process.stdout.write('open\n');
  for (let n = revision + 1; ; n++) {
    const id = `r${n % 7}`;
    if (n % 11 === 0 && store.get('routes', id)) {
      process.stdout.write(`${id} deleting\n`);
      await store.delete('routes', id);
      process.stdout.write(`${id} deleted\n`);
    } else {
      await store.put('routes', id, { n, padding: 'x'.repeat(n % 3000) });
      process.stdout.write(`${id} ${n}\n`);
    }
  }
}

/** Runs in a file system of 1 MiB. Any assertion that fails ends the process with a status other than 0. */
async function fillTheDisk(): Promise<void> {
  const store = await openEmbeddedStore({ file, log: silentLog });
  const ballast = { padding: 'x'.repeat(20_000) };
  let written = 0;
  let failure: unknown;
  while (failure === undefined && written < 200) {
    try {
      await store.put('routes', `r${written}`, { n: written, ...ballast });
      written++;
    } catch (error) {
      failure = error;
    }
  }
  assert.ok(failure instanceof StoreError, 'the disk never filled up');
  assert.equal(failure.code, 'unavailable');
  assert.match(failure.message, /cannot write to .*weir\.db, nothing was changed: .*no space left on the disk/);
  assert.equal(store.list('routes').length, written);
  assert.equal((await store.load()).revision, written);
  await assert.rejects(store.put('routes', 'r0', { n: 'changed', ...ballast }), { code: 'unavailable' });
  assert.equal(store.get('routes', 'r0')?.value['n'], 0);

  // What the file holds is what was acknowledged, also when the gateway is restarted while the disk is full.
  const before = await store.load();
  await store.close();
  const reopened = await openEmbeddedStore({ file, log: silentLog });
  assert.deepEqual(await reopened.load(), before);

  rmSync(join(file, '..', 'ballast'));
  await reopened.put('routes', 'r0', { n: 'changed' });
  assert.equal((await reopened.load()).revision, written + 1);
  await reopened.close();
  const last = await openEmbeddedStore({ file, log: silentLog });
  assert.deepEqual(last.get('routes', 'r0')?.value, { n: 'changed' });
  await last.close();
}

function defineTests(): void {
  test('no acknowledged write is lost when the process is killed at any moment', async (t) => {
    const database = join(temporaryDirectory(t), 'weir.db');
    let acknowledged = new Map<string, string>();
    let total = 0;
    for (let round = 0; round < 8; round++) {
      const child = spawn(process.execPath, [import.meta.filename, 'write-until-killed', database], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const lines = await linesUntilKilled(child, 10 + Math.random() * 20);
      assert.equal(lines[0], 'open', 'the file could not be opened again');
      const inFlight = replay(lines.slice(1), acknowledged);
      total += lines.length - 1;
      acknowledged = await checkAgainst(database, acknowledged, inFlight);
    }
    assert.ok(total > 50, `only ${total} writes were made`);
  });

  test('a kill during the very first start leaves a file that can be opened', async (t) => {
    for (let round = 0; round < 4; round++) {
      const database = join(temporaryDirectory(t), 'weir.db');
      const child = spawn(process.execPath, [import.meta.filename, 'write-until-killed', database], {
        stdio: 'ignore',
      });
      while (readdirSync(join(database, '..')).length === 0) await delay(1);
      await delay(Math.random() * 4);
      child.kill('SIGKILL');
      await once(child, 'close');
      const store = await openEmbeddedStore({ file: database, log: silentLog });
      await store.put('routes', 'r1', {});
      await store.close();
    }
  });

  test('a full disk fails the write and nothing else', async (t) => {
    const directory = temporaryDirectory(t);
    // The mount lives in a namespace of its own and goes away with the child.
    const script = `mount -t tmpfs -o size=1m tmpfs "$1" && head -c 300000 /dev/zero > "$1/ballast" && exec "$2" "$3" fill-the-disk "$1/weir.db"`;
    const asUser = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
    const namespace = await run('unshare', [...asUser, '--mount', 'mount', '-t', 'tmpfs', 'tmpfs', directory]);
    if (namespace.status !== 0) {
      t.skip(`this machine does not let us mount a small file system: ${namespace.output.trim()}`);
      return;
    }
    const program = ['sh', '-c', script, 'sh', directory, process.execPath, import.meta.filename];
    const { status, output } = await run('unshare', [...asUser, '--mount', ...program]);
    assert.equal(status, 0, output);
  });
}

function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'weir-crash-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Kills the child some moment after it has printed so many lines; what it had printed by then arrives whole. */
async function linesUntilKilled(child: ChildProcess, count: number): Promise<string[]> {
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
    if (output.split('\n').length > count) setTimeout(() => child.kill('SIGKILL'), Math.random() * 4);
  });
  await once(child, 'close');
  return output.split('\n').slice(0, -1);
}

/** Applies the acknowledged writes to `state`; returns the id whose deletion was begun and not acknowledged. */
function replay(lines: readonly string[], state: Map<string, string>): string | null {
  let inFlight: string | null = null;
  for (const line of lines) {
    const [id = '', outcome = ''] = line.split(' ');
    inFlight = outcome === 'deleting' ? id : null;
    if (outcome === 'deleted') state.delete(id);
    else if (outcome !== 'deleting') state.set(id, outcome);
  }
  return inFlight;
}

/** The one write that was under way when the process died may be there or not; every other must be as acknowledged. */
async function checkAgainst(
  database: string,
  acknowledged: ReadonlyMap<string, string>,
  deleting: string | null,
): Promise<Map<string, string>> {
  const store = await openEmbeddedStore({ file: database, log: silentLog });
  const found = new Map(store.list('routes').map(({ id, value }) => [id, String(value['n'])]));
  const { revision, resources } = await store.load();
  await store.close();
  const highest = Math.max(0, ...[...acknowledged.values()].map(Number));
  for (const id of new Set([...acknowledged.keys(), ...found.keys()])) {
    const expected = acknowledged.get(id);
    const actual = found.get(id);
    if (actual === expected || (id === deleting && actual === undefined)) continue;
    const newest = resources.find((resource) => resource.id === id)?.modifiedIndex;
    assert.ok(Number(actual) > highest && newest === revision, `${id}: acknowledged ${expected}, found ${actual}`);
  }
  const plain = new DatabaseSync(database, { readOnly: true });
  assert.equal(plain.prepare('PRAGMA integrity_check').get()?.['integrity_check'], 'ok');
  plain.close();
  return found;
}

async function run(command: string, args: readonly string[]): Promise<{ status: number | null; output: string }> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk) => (output += chunk));
  child.on('error', (error) => (output += error.message));
  const [status] = await once(child, 'close').catch(() => [null]);
  return { status, output };
}
