import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createGatewayLog, type GatewayLogLevel } from './gateway-log.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'weir-gateway-log-'));
});
after(() => rm(directory, { recursive: true, force: true }));

const open = (file: string, level: GatewayLogLevel) =>
  createGatewayLog({ file, level, alsoStderr: false, colour: false, thread: 'w2' });
const levels = ['error', 'warn', 'notice', 'info', 'debug'] as const;

async function levelsIn(path: string): Promise<string[]> {
  return Array.from((await readFile(path, 'utf8')).matchAll(/\[(\w+)\]/g), (match) => match[1] ?? '');
}

test('lines look like those of an error log of nginx', async () => {
  const path = join(directory, 'look.log');
  const log = open(path, 'warn');
  log.warn('certificate expires soon', { days: 3 });
  await log.close();
  assert.match(
    await readFile(path, 'utf8'),
    /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d \[warn\] \d+#w2: certificate expires soon days=3\n$/,
  );
});

describe('levels', () => {
  const rows: readonly { level: GatewayLogLevel; written: readonly string[] }[] = [
    { level: 'emerg', written: ['error'] },
    { level: 'alert', written: ['error'] },
    { level: 'crit', written: ['error'] },
    { level: 'error', written: ['error'] },
    { level: 'warn', written: ['error', 'warn'] },
    { level: 'notice', written: ['error', 'warn', 'notice'] },
    { level: 'info', written: ['error', 'warn', 'notice', 'info'] },
    { level: 'debug', written: levels },
  ];
  for (const { level, written } of rows) {
    test(`${level} writes ${written.join(', ')}`, async () => {
      const path = join(directory, `${level}.log`);
      const log = open(path, level);
      for (const each of levels) log[each]('m');
      await log.close();
      assert.deepEqual(await levelsIn(path), written);
    });
  }

  test('setLevel takes effect at once', async () => {
    const path = join(directory, 'set-level.log');
    const log = open(path, 'error');
    log.info('not written');
    log.setLevel('info');
    log.info('written');
    log.setLevel('error');
    log.info('not written again');
    await log.close();
    assert.match(await readFile(path, 'utf8'), /^[^\n]+ written\n$/);
  });
});

test('a line is in the file without anybody asking', async () => {
  const path = join(directory, 'flush.log');
  const log = open(path, 'info');
  log.info('one');
  await log.flush();
  assert.match(await readFile(path, 'utf8'), /: one\n$/);
  await log.close();
});

test('after a rotation lines go to the new file', async () => {
  const path = join(directory, 'rotate.log');
  const log = open(path, 'info');
  log.info('old');
  await log.flush();
  await rename(path, `${path}.1`);
  log.reopen();
  log.info('new');
  await log.close();
  assert.match(await readFile(`${path}.1`, 'utf8'), /: old\n$/);
  assert.match(await readFile(path, 'utf8'), /: new\n$/);
});

test('a file that cannot be opened is refused with its path', async () => {
  const blocker = join(directory, 'blocker');
  await writeFile(blocker, '');
  assert.throws(() => open(join(blocker, 'error.log'), 'info'), /cannot open the log file .*blocker\/error\.log/);
});

describe('standard error', () => {
  const module = new URL('gateway-log.ts', import.meta.url).href;
  function stderrOf(options: object, body: string): string {
    const script = `
      const { createGatewayLog } = await import('${module}');
      const log = createGatewayLog(${JSON.stringify({ level: 'info', alsoStderr: false, colour: false, thread: 'main', ...options })});
      ${body}
      await log.close();`;
    return spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }).stderr;
  }

  test('gets the same lines in colour, the file gets them without', async () => {
    const file = join(directory, 'both.log');
    const stderr = stderrOf({ file, alsoStderr: true, colour: true }, `log.warn('careful');`);
    assert.match(stderr, /^[\d/: ]+\x1b\[33m\[warn\]\x1b\[0m \d+#main: careful\n$/);
    assert.match(await readFile(file, 'utf8'), /^[\d/: ]+\[warn\] \d+#main: careful\n$/);
  });

  const rows: readonly { title: string; options: object; expected: RegExp }[] = [
    {
      title: 'gets them once as the file',
      options: { file: '/dev/stderr', alsoStderr: true },
      expected: /^[^\n]+m\n$/,
    },
    { title: 'gets them alone without a file', options: { alsoStderr: true }, expected: /^[^\n]+m\n$/ },
    { title: 'gets nothing when nobody asks', options: {}, expected: /^$/ },
  ];
  for (const { title, options, expected } of rows) {
    test(title, () => assert.match(stderrOf(options, `log.info('m');`), expected));
  }

  test('tells when the file cannot be written', () => {
    const stderr = stderrOf(
      { file: '/dev/full' },
      `log.info('lost'); await new Promise((resolve) => setTimeout(resolve, 150));`,
    );
    assert.match(stderr, /\[error\] .*cannot write to the log file.* path=\/dev\/full reason="no space left on device/);
    assert.equal(stderr.trimEnd().split('\n').length, 1);
  });
});
