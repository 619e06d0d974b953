import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Log, silentLog } from '../../base/log.ts';
import { openEmbeddedStore } from './embedded.ts';
import { type ResourceChange, StoreError, type WritableStore } from './store.ts';

function temporaryFile(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'weir-store-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, 'data', 'weir.db');
}

async function open(t: TestContext, file: string, log: Log = silentLog): Promise<WritableStore> {
  const store = await openEmbeddedStore({ file, log });
  t.after(() => store.close());
  return store;
}

test('a new store is empty, at revision 0, and only its owner can read the file', async (t) => {
  const file = temporaryFile(t);
  const store = await open(t, file);
  await store.put('routes', 'r1', { uri: '/a' });
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(statSync(`${file}-wal`).mode & 0o777, 0o600);
  const other = await open(t, temporaryFile(t));
  assert.deepEqual(await other.load(), { revision: 0, resources: [] });
});

test('a file that others can read is closed to them when it is opened', async (t) => {
  const file = temporaryFile(t);
  await (await open(t, file)).close();
  chmodSync(file, 0o644);
  await open(t, file);
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test('put creates, replaces and counts revisions', async (t) => {
  const store = await open(t, temporaryFile(t));
  const first = await store.put('routes', 'r1', { uri: '/a' });
  const second = await store.put('routes', 'r1', { uri: '/b' });
  await store.put('services', 'r1', { name: 'same id, other kind' });
  assert.deepEqual(first, {
    created: true,
    resource: { kind: 'routes', id: 'r1', value: { uri: '/a' }, createdIndex: 1, modifiedIndex: 1 },
  });
  assert.deepEqual(second, {
    created: false,
    resource: { kind: 'routes', id: 'r1', value: { uri: '/b' }, createdIndex: 1, modifiedIndex: 2 },
  });
  assert.deepEqual(store.get('routes', 'r1'), second.resource);
  assert.deepEqual(store.list('routes'), [second.resource]);
  assert.equal(store.get('routes', 'r2'), undefined);
  assert.deepEqual(store.list('upstreams'), []);
  assert.equal((await store.load()).revision, 3);
});

test('what is stored does not change when the caller changes its object', async (t) => {
  const store = await open(t, temporaryFile(t));
  const value = { uris: ['/a'] };
  await store.put('routes', 'r1', value);
  value.uris.push('/b');
  assert.deepEqual(store.get('routes', 'r1')?.value, { uris: ['/a'] });
});

test('create names the resource after its revision, with 20 digits, and skips a taken number', async (t) => {
  const store = await open(t, temporaryFile(t));
  await store.put('routes', '00000000000000000002', { uri: '/taken' });
  const created = await store.create('routes', (id) => ({ id, uri: '/new' }));
  const id = '00000000000000000003';
  assert.deepEqual(created, { kind: 'routes', id, value: { id, uri: '/new' }, createdIndex: 3, modifiedIndex: 3 });
});

test('delete removes once', async (t) => {
  const store = await open(t, temporaryFile(t));
  await store.put('routes', 'r1', {});
  assert.equal(await store.delete('routes', 'r1'), true);
  assert.equal(store.get('routes', 'r1'), undefined);
  assert.equal(await store.delete('routes', 'r1'), false);
  assert.deepEqual(await store.load(), { revision: 2, resources: [] });
});

test('everything, revisions included, is there again after a restart, in order of creation', async (t) => {
  const file = temporaryFile(t);
  const before = await open(t, file);
  await before.put('services', 's1', { name: 'ü\u0000"' });
  await before.put('routes', 'r2', { uri: '/2' });
  await before.put('routes', 'r1', { uri: '/1' });
  await before.put('routes', 'r2', { uri: '/2b' });
  await before.delete('routes', 'r1');
  const state = await before.load();
  await before.close();
  const after = await open(t, file);
  assert.deepEqual(await after.load(), state);
  assert.deepEqual(
    state.resources.map(({ id, createdIndex, modifiedIndex }) => [id, createdIndex, modifiedIndex]),
    [
      ['s1', 1, 1],
      ['r2', 2, 4],
    ],
  );
  assert.equal((await after.put('routes', 'r3', {})).resource.createdIndex, 6);
  assert.equal(existsSync(`${file}-shm`), false);
});

const expectations = [
  { name: 'the current revision passes', expected: 1, passes: true },
  { name: 'an older or newer revision is a conflict', expected: 2, passes: false },
  { name: '0 on something that exists is a conflict', expected: 0, passes: false },
];
for (const { name, expected, passes } of expectations) {
  test(`expectedModifiedIndex: ${name}`, async (t) => {
    const store = await open(t, temporaryFile(t));
    await store.put('routes', 'r1', { v: 1 });
    const write = store.put('routes', 'r1', { v: 2 }, { expectedModifiedIndex: expected });
    if (passes) await write;
    else await assert.rejects(write, (error) => error instanceof StoreError && error.code === 'conflict');
    assert.deepEqual(store.get('routes', 'r1')?.value, { v: passes ? 2 : 1 });
  });
}

test('expectedModifiedIndex: a resource that is gone is a conflict, 0 creates it', async (t) => {
  const store = await open(t, temporaryFile(t));
  await assert.rejects(store.put('routes', 'r1', {}, { expectedModifiedIndex: 1 }), {
    code: 'conflict',
    message: 'routes/r1 does not exist, expected revision 1: read it again',
  });
  assert.equal((await store.put('routes', 'r1', {}, { expectedModifiedIndex: 0 })).created, true);
});

test('a write waits for every listener, and a listener that fails is logged and undoes nothing', async (t) => {
  const errors: string[] = [];
  const log: Log = {
    ...silentLog,
    error: (message, fields) => errors.push(`${message}: ${String(fields?.['error'])}`),
  };
  const store = await open(t, temporaryFile(t), log);
  const seen: [readonly ResourceChange[], number][] = [];
  let applied = false;
  store.watch(async (changes, revision) => {
    await delay(20);
    applied = true;
    seen.push([changes, revision]);
  });
  store.watch(() => Promise.reject(new Error('worker is gone')));
  store.watch(() => {
    throw new Error('thrown at once');
  });
  const { resource } = await store.put('routes', 'r1', { uri: '/a' });
  assert.equal(applied, true);
  await store.delete('routes', 'r1');
  assert.deepEqual(seen, [
    [[{ kind: 'routes', id: 'r1', resource }], 1],
    [[{ kind: 'routes', id: 'r1', resource: null }], 2],
  ]);
  assert.equal(errors.length, 4);
  assert.match(errors.join('\n'), /worker is gone[^]*thrown at once/);
});

test('a listener that unsubscribed hears nothing more', async (t) => {
  const store = await open(t, temporaryFile(t));
  let calls = 0;
  const stop = store.watch(() => {
    calls++;
  });
  await store.put('routes', 'r1', {});
  stop();
  await store.put('routes', 'r1', {});
  assert.equal(calls, 1);
});

test('a resource with a ttl disappears in time and its listeners are told', async (t) => {
  const store = await open(t, temporaryFile(t));
  const gone = Promise.withResolvers<readonly ResourceChange[]>();
  await store.put('routes', 'stays', {}, { ttlSeconds: 3600 });
  await store.put('routes', 'goes', {}, { ttlSeconds: 0.03 });
  await store.put('routes', 'kept', {}, { ttlSeconds: 0.03 });
  await store.put('routes', 'kept', {});
  store.watch((changes) => gone.resolve(changes));
  assert.ok(store.get('routes', 'goes'));
  const keepAlive = setTimeout(() => gone.reject(new Error('nothing expired')), 2000);
  assert.deepEqual(await gone.promise, [{ kind: 'routes', id: 'goes', resource: null }]);
  clearTimeout(keepAlive);
  assert.deepEqual(
    store.list('routes').map((resource) => resource.id),
    ['stays', 'kept'],
  );
});

test('a ttl runs on while the gateway is down, and goes on after a restart', async (t) => {
  const file = temporaryFile(t);
  const before = await open(t, file);
  await before.put('routes', 'short', {}, { ttlSeconds: 0.01 });
  await before.put('routes', 'longer', {}, { ttlSeconds: 1 });
  await before.close();
  await delay(20);
  const after = await open(t, file);
  assert.deepEqual(
    (await after.load()).resources.map((resource) => resource.id),
    ['longer'],
  );
  const gone = Promise.withResolvers<readonly ResourceChange[]>();
  after.watch((changes) => gone.resolve(changes));
  // The timer of the store does not keep the process alive.
  const keepAlive = setTimeout(() => gone.reject(new Error('nothing expired')), 10_000);
  assert.deepEqual(await gone.promise, [{ kind: 'routes', id: 'longer', resource: null }]);
  clearTimeout(keepAlive);
  assert.equal(after.get('routes', 'longer'), undefined);
});

test('a ttl that is not above 0 is refused', async (t) => {
  const store = await open(t, temporaryFile(t));
  for (const ttlSeconds of [0, -1, NaN])
    await assert.rejects(store.put('routes', 'r1', {}, { ttlSeconds }), RangeError);
});

test('a second gateway on the same file is refused with a message that says what to do', async (t) => {
  const file = temporaryFile(t);
  const store = await open(t, file);
  await assert.rejects(openEmbeddedStore({ file, log: silentLog }), {
    code: 'unavailable',
    message: `${file} is in use by another process: stop the gateway that runs with it, or start this one with another prefix (-p)`,
  });
  await store.put('routes', 'r1', {});
  await store.close();
  await open(t, file);
});

test('writes after close are refused', async (t) => {
  const store = await open(t, temporaryFile(t));
  await store.close();
  await store.close();
  await assert.rejects(store.put('routes', 'r1', {}), { code: 'unavailable', message: /the store is closed$/ });
});

async function filledFile(t: TestContext): Promise<string> {
  const file = temporaryFile(t);
  const store = await openEmbeddedStore({ file, log: silentLog });
  for (let i = 0; i < 50; i++) await store.put('routes', `r${i}`, { uri: `/${i}`, padding: 'x'.repeat(400) });
  await store.close();
  return file;
}

function edit(file: string, sql: string): void {
  const database = new DatabaseSync(file);
  database.exec(sql);
  database.close();
}

const damages: { name: string; damage: (file: string) => void; reason: RegExp }[] = [
  { name: 'text', damage: (file) => writeFileSync(file, 'routes: []\n'), reason: /malformed|not a database/ },
  {
    name: 'garbage',
    damage: (file) => writeFileSync(file, Buffer.alloc(20_000, 0xa5)),
    reason: /file is not a database/,
  },
  { name: 'an emptied file', damage: (file) => truncateSync(file, 0), reason: /does not carry the mark of Weir/ },
  { name: 'a cut header', damage: (file) => truncateSync(file, 60), reason: /malformed|mark of Weir/ },
  { name: 'one page', damage: (file) => truncateSync(file, 4096), reason: /malformed|mark of Weir/ },
  { name: 'a missing tail', damage: (file) => truncateSync(file, statSync(file).size - 10), reason: /truncated/ },
  {
    name: 'a page of garbage',
    damage: (file) => {
      const bytes = readFileSync(file);
      bytes.fill(0xa5, 4096 * 2, 4096 * 3);
      writeFileSync(file, bytes);
    },
    reason: /\(.+\)/,
  },
  {
    name: "somebody else's database",
    damage: (file) => {
      rmSync(file);
      edit(file, 'CREATE TABLE notes (text)');
    },
    reason: /does not carry the mark of Weir/,
  },
  { name: 'a missing table', damage: (file) => edit(file, 'DROP TABLE resources'), reason: /no such table/ },
  { name: 'a missing revision', damage: (file) => edit(file, 'DELETE FROM revision'), reason: /revision is missing/ },
  {
    name: 'a value that is not JSON',
    damage: (file) => edit(file, "UPDATE resources SET value = '{' WHERE id = 'r7'"),
    reason: /the value of routes\/r7 is not a JSON object/,
  },
];
for (const { name, damage, reason } of damages) {
  test(`a damaged file is reported and left as it is: ${name}`, async (t) => {
    const file = await filledFile(t);
    damage(file);
    const bytes = readFileSync(file);
    await assert.rejects(openEmbeddedStore({ file, log: silentLog }), (error) => {
      assert.ok(error instanceof StoreError);
      assert.equal(error.code, 'corrupt');
      assert.match(error.message, reason);
      assert.ok(error.message.startsWith(`${file} is damaged or not a configuration database of Weir`), error.message);
      assert.match(error.message, /restore it from a backup, or move it and its -wal file away/);
      return true;
    });
    assert.deepEqual(readFileSync(file), bytes);
  });
}

test('a write-ahead log without its database is not taken over by a new one', async (t) => {
  const file = await filledFile(t);
  rmSync(file);
  writeFileSync(`${file}-wal`, 'leftover');
  await assert.rejects(openEmbeddedStore({ file, log: silentLog }), {
    code: 'corrupt',
    message: /it is missing while/,
  });
  assert.equal(existsSync(file), false);
});

test('a file of a newer version is refused', async (t) => {
  const file = await filledFile(t);
  edit(file, 'PRAGMA user_version = 2');
  await assert.rejects(openEmbeddedStore({ file, log: silentLog }), {
    code: 'unavailable',
    message: `${file} was written by a newer version of Weir (schema 2, this version knows 1): start that version, or start this one with another prefix (-p)`,
  });
});

test('a place that cannot be written to is named', async (t) => {
  const file = await filledFile(t);
  await assert.rejects(openEmbeddedStore({ file: join(file, 'weir.db'), log: silentLog }), (error) => {
    assert.ok(error instanceof StoreError);
    assert.equal(error.code, 'unavailable');
    assert.ok(error.message.startsWith(`cannot open ${file}/weir.db: `), error.message);
    return true;
  });
});
