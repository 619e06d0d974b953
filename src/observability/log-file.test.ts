import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, createReadStream, existsSync, mkdirSync, openSync, readdirSync } from 'node:fs';
import { mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { silentLog, type Log, type LogFields } from '../base/log.ts';
import { openLogFile } from './log-file.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'weir-log-'));
});
after(() => rm(directory, { recursive: true, force: true }));

const quick = { bufferBytes: 16_384, flushIntervalMs: 10, log: silentLog };

interface Entry {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields | undefined;
}

/** A log that keeps what is written to it. */
function recordingLog(): { log: Log; entries: Entry[] } {
  const entries: Entry[] = [];
  const at = (level: string) => (message: string, fields?: LogFields) => void entries.push({ level, message, fields });
  const log = { error: at('error'), warn: at('warn'), notice: at('notice'), info: at('info'), debug: at('debug') };
  return { log, entries };
}

async function eventually(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt++) {
    if (await condition()) return;
    await sleep(5);
  }
  assert.fail(`not within two seconds: ${what}`);
}

const read = (path: string) => readFile(path, 'utf8');

describe('when lines reach the file', () => {
  test('a single line within the flush interval, nobody has to ask', async () => {
    const path = join(directory, 'interval.log');
    const file = openLogFile(path, quick);
    file.write('one');
    assert.equal(await read(path), '', 'the line is gathered first');
    await eventually(async () => (await read(path)) === 'one\n', 'the line is in the file');
    await file.close();
  });

  test('a full buffer before the interval is over, in whole lines', async () => {
    const path = join(directory, 'buffer.log');
    const file = openLogFile(path, { ...quick, bufferBytes: 100, flushIntervalMs: 60_000 });
    for (let n = 0; n < 11; n++) file.write(`line ${n}`.padEnd(19, '.'));
    await eventually(async () => (await read(path)).length > 0, 'the first buffer is in the file');
    assert.match(await read(path), /^(?:line \d+\.+\n)+$/);
    assert.ok(!(await read(path)).includes('line 10'), 'the last line still waits');
    await file.close();
    assert.equal((await read(path)).split('\n').length, 12);
  });

  test('each line at once without a buffer', async () => {
    const path = join(directory, 'unbuffered.log');
    const file = openLogFile(path, { ...quick, bufferBytes: 0, flushIntervalMs: 60_000 });
    file.write('at once');
    await eventually(async () => (await read(path)) === 'at once\n', 'the line is in the file');
    await file.close();
  });

  test('a line longer than the buffer', async () => {
    const path = join(directory, 'long.log');
    const file = openLogFile(path, { ...quick, bufferBytes: 64 });
    const long = 'é'.repeat(300_000);
    file.write('before');
    file.write(long);
    file.write('after');
    await file.close();
    assert.equal(await read(path), `before\n${long}\nafter\n`);
  });

  test('when flush() resolves, and again after it', async () => {
    const path = join(directory, 'flush.log');
    const file = openLogFile(path, { ...quick, flushIntervalMs: 60_000 });
    await file.flush();
    file.write('one');
    await file.flush();
    assert.equal(await read(path), 'one\n');
    file.write('two');
    await file.flush();
    assert.equal(await read(path), 'one\ntwo\n');
    await file.close();
  });

  test('all of them when close() resolves, and none after it', async () => {
    const path = join(directory, 'close.log');
    const file = openLogFile(path, { ...quick, flushIntervalMs: 60_000 });
    for (let n = 0; n < 20_000; n++) file.write(`line ${n}`);
    await file.close();
    file.write('too late');
    file.reopen();
    await file.flush();
    await file.close();
    const lines = (await read(path)).split('\n');
    assert.equal(lines.length, 20_001);
    assert.equal(lines[19_999], 'line 19999');
  });
});

describe('opening', () => {
  test('appends to what is there and creates missing directories', async () => {
    const path = join(directory, 'a', 'b', 'append.log');
    for (const line of ['first', 'second']) {
      const file = openLogFile(path, quick);
      file.write(line);
      await file.close();
    }
    assert.equal(await read(path), 'first\nsecond\n');
  });

  test('fails with the path and the reason', async () => {
    const blocker = join(directory, 'blocker');
    await writeFile(blocker, '');
    assert.throws(() => openLogFile(join(blocker, 'x.log'), quick), {
      message: `cannot open the log file ${join(blocker, 'x.log')}: not a directory (ENOTDIR)`,
    });
    assert.throws(() => openLogFile(directory, quick), /is a directory|illegal operation on a directory \(EISDIR\)/);
  });
});

describe('rotation', () => {
  test('lines before reopen() are in the renamed file, later ones in the new file', async () => {
    const path = join(directory, 'rotate.log');
    const file = openLogFile(path, quick);
    file.write('old 1');
    await file.flush();
    await rename(path, `${path}.1`);
    file.write('old 2');
    file.reopen();
    file.write('new 1');
    await file.close();
    await eventually(async () => (await read(`${path}.1`)) === 'old 1\nold 2\n', 'the old file is complete');
    assert.equal(await read(path), 'new 1\n');
  });

  test('no line is lost when the file is rotated under load', async () => {
    const path = join(directory, 'load.log');
    const file = openLogFile(path, { ...quick, bufferBytes: 1024 });
    for (let n = 0; n < 10_000; n++) {
      file.write(`line ${n}`);
      if (n % 1000 === 999) {
        await rename(path, `${path}.${n}`);
        file.reopen();
        await sleep(1);
      }
    }
    await file.close();
    const names = readdirSync(directory).filter((name) => name.startsWith('load.log'));
    const all = async () => (await Promise.all(names.map((name) => read(join(directory, name))))).join('');
    assert.equal(names.length, 11);
    await eventually(async () => (await all()).split('\n').length === 10_001, 'all lines are there');
    assert.equal(new Set((await all()).split('\n')).size, 10_001);
  });

  test('the old descriptors are closed', async () => {
    const path = join(directory, 'descriptors.log');
    const open = () => readdirSync('/proc/self/fd').length;
    const file = openLogFile(path, quick);
    await file.flush();
    const before = open();
    for (let n = 0; n < 20; n++) file.reopen();
    await eventually(() => open() <= before, 'no descriptor is left open');
    await file.close();
  });

  test('a path that cannot be opened any more leaves the old file in use', async () => {
    const folder = join(directory, 'gone');
    const path = join(folder, 'x.log');
    const { log, entries } = recordingLog();
    const file = openLogFile(path, { ...quick, log });
    await rename(folder, `${folder}.old`);
    await writeFile(folder, 'not a directory');
    file.reopen();
    file.write('kept');
    await file.close();
    assert.equal(await read(join(`${folder}.old`, 'x.log')), 'kept\n');
    assert.equal(entries.length, 1);
    assert.match(String(entries[0]?.fields?.['reason']), /cannot open the log file .*x\.log: /);
  });
});

describe('a destination that takes nothing', () => {
  test('costs bounded memory and one line in the gateway log', async () => {
    const { log, entries } = recordingLog();
    const file = openLogFile('/dev/full', { bufferBytes: 1000, flushIntervalMs: 5, maxPendingBytes: 10_000, log });
    for (let n = 0; n < 1000; n++) {
      file.write('x'.repeat(99));
      if (n % 100 === 0) await sleep(5);
    }
    await sleep(30);
    assert.equal(entries.length, 1);
    assert.equal(entries[0]?.level, 'error');
    assert.equal(entries[0].fields?.['path'], '/dev/full');
    assert.equal(entries[0].fields['reason'], 'no space left on device (ENOSPC)');
    await file.flush();
    await file.close();
  });

  test('close() gives up what does not fit, and nothing runs on after it', async () => {
    const file = openLogFile('/dev/full', {
      bufferBytes: 1000,
      flushIntervalMs: 1,
      maxPendingBytes: 2000,
      log: silentLog,
    });
    for (let n = 0; n < 29; n++) file.write('x'.repeat(99));
    await file.close();
    await sleep(20);
  });

  test('counts what it loses, and goes on in the new file after reopen()', async () => {
    const path = join(directory, 'linked.log');
    await symlink('/dev/full', path);
    const { log, entries } = recordingLog();
    const file = openLogFile(path, { bufferBytes: 0, flushIntervalMs: 5, maxPendingBytes: 1000, log });
    for (let n = 0; n < 25; n++) file.write('x'.repeat(99));
    await eventually(() => entries.length === 1, 'the failure is reported');
    await rm(path);
    file.reopen();
    await sleep(30);
    file.write('works');
    await eventually(() => entries.length === 2, 'the recovery is reported');
    await file.close();
    assert.equal(await read(path), 'works\n');
    assert.equal(entries[1]?.level, 'warn');
    assert.equal(entries[1].fields?.['lost_lines'], 25);
  });

  test('is written again by itself when there is space, without a torn line', async (t) => {
    const mountPoint = join(directory, 'disk');
    mkdirSync(mountPoint);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', mountPoint], { stdio: 'ignore' });
    } catch {
      t.skip('mounting a tmpfs is not permitted here');
      return;
    }
    try {
      const path = join(mountPoint, 'access.log');
      const filler = join(mountPoint, 'filler');
      const { log, entries } = recordingLog();
      const file = openLogFile(path, { bufferBytes: 1000, flushIntervalMs: 5, maxPendingBytes: 50_000, log });
      await writeFile(filler, Buffer.alloc(40_960));
      const line = (n: number) => `line ${n} `.padEnd(98, '.') + '|';
      for (let n = 0; n < 1000; n++) file.write(line(n));
      await eventually(() => entries.length === 1, 'the full disk is reported');
      await rm(filler);
      await eventually(() => entries.length === 2, 'the recovery is reported');
      file.write('last');
      await file.close();

      const lines = (await read(path)).trimEnd().split('\n');
      const lost = Number(entries[1]?.fields?.['lost_lines']);
      assert.equal(lines.at(-1), 'last');
      assert.ok(
        lines.slice(0, -1).every((text) => /^line \d+ \.+\|$/.test(text)),
        'whole lines only',
      );
      assert.ok(lost > 0, 'some lines did not fit into memory');
      assert.equal(lines.length - 1 + lost, 1000, 'every line is written or counted');
    } finally {
      execFileSync('umount', [mountPoint]);
    }
  });
});

test('lines of several threads in one file do not mix', async () => {
  const path = join(directory, 'threads.log');
  const perThread = 10_000;
  const code = `
    const { workerData } = require('node:worker_threads');
    import(workerData.module).then(async ({ openLogFile }) => {
      const file = openLogFile(workerData.path, { bufferBytes: 16384, flushIntervalMs: 5, log: console });
      for (let n = 0; n < workerData.perThread; n++) {
        file.write(workerData.name + ' ' + n + ' ' + workerData.name.repeat(1 + (n * 7) % 300) + '|');
        if (n % 500 === 0) await new Promise(setImmediate);
      }
      await file.close();
    });`;
  const module = new URL('log-file.ts', import.meta.url).href;
  await Promise.all(
    ['a', 'b', 'c', 'd'].map((name) => {
      const worker = new Worker(code, { eval: true, workerData: { module, path, name, perThread } });
      return once(worker, 'exit');
    }),
  );
  const lines = (await read(path)).trimEnd().split('\n');
  assert.equal(lines.length, 4 * perThread);
  assert.ok(lines.every((line) => /^([abcd]) \d+ \1+\|$/.test(line)));
  assert.equal(new Set(lines.map((line) => line.split(' ', 2).join(' '))).size, 4 * perThread);
});

describe('standard streams', () => {
  const module = new URL('log-file.ts', import.meta.url).href;
  const base = new URL('../base/log.ts', import.meta.url).href;

  /** Runs a script in a process whose standard output is the descriptor. Resolves with its exit code. */
  async function run(stdout: number, body: string): Promise<number> {
    const script = `const { openLogFile } = await import('${module}'); const { silentLog } = await import('${base}'); ${body}`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', stdout, 'inherit'],
    });
    const [code] = await once(child, 'exit');
    return Number(code);
  }

  /** A pipe as a shell makes it; spawn's own are sockets. Open for reading, too, so that writing works without a reader. */
  function makePipe(name: string): { path: string; fd: number } {
    const path = join(directory, name);
    execFileSync('mkfifo', [path]);
    return { path, fd: openSync(path, constants.O_RDWR) };
  }

  test('a pipe gets all lines, in whole pieces, however late it is read', async () => {
    const { path, fd } = makePipe('slow-pipe');
    const exited = run(
      fd,
      `const file = openLogFile('/dev/stdout', { bufferBytes: 16384, log: silentLog });
       for (let n = 0; n < 3000; n++) file.write('line ' + n + ' ' + 'x'.repeat(90));
       file.reopen();
       await file.flush();
       file.write('end');
       await file.close();`,
    );
    await sleep(250);
    const content = text(createReadStream(path));
    assert.equal(await exited, 0);
    closeSync(fd);
    const lines = (await content).trimEnd().split('\n');
    assert.equal(lines.length, 3001);
    assert.ok(lines.slice(0, -1).every((line, n) => line === `line ${n} ${'x'.repeat(90)}`));
    assert.equal(lines.at(-1), 'end');
  });

  test('a pipe that nobody reads holds neither file access nor close()', async () => {
    const { fd } = makePipe('stuck-pipe');
    const code = await run(
      fd,
      `let reported;
       const log = { ...silentLog, error: (message, fields) => { reported ??= fields.reason; } };
       const files = Array.from({ length: 5 }, () =>
         openLogFile('/dev/stdout', { bufferBytes: 16384, flushIntervalMs: 5, maxPendingBytes: 100_000, log }));
       for (const file of files) for (let n = 0; n < 5000; n++) file.write('x'.repeat(99));
       await import('node:fs').then(({ promises }) => promises.readdir('/'));
       await Promise.all(files.map((file) => file.close()));
       process.exit(reported === 'lines come faster than they are taken' ? 7 : 1);`,
    );
    closeSync(fd);
    assert.equal(code, 7);
  });

  test('behind a redirection to a file lines stand in order with what else is printed', async () => {
    const path = join(directory, 'redirected.out');
    const fd = openSync(path, 'w');
    await run(
      fd,
      `console.log('banner');
       const file = openLogFile('/dev/stdout', { bufferBytes: 0, log: silentLog });
       file.write('line');
       await file.flush();
       console.log('later');
       await file.close();`,
    );
    closeSync(fd);
    assert.equal(await read(path), 'banner\nline\nlater\n');
  });
});

test('a file that was never written to exists and is empty', async () => {
  const path = join(directory, 'empty.log');
  await openLogFile(path, quick).close();
  assert.ok(existsSync(path));
});
