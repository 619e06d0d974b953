import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { demoConfiguration } from '../src/demo/configuration.ts';
import { startDemoProvider } from '../src/demo/provider.ts';
import { runDemo } from '../src/demo/tour.ts';

const main = new URL('../src/main.ts', import.meta.url).pathname;

function makeFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weir-demo-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

interface Command {
  readonly process: ChildProcess;
  readonly ended: Promise<number | string>;
  stdout(): string;
  stderr(): string;
}

function run(t: TestContext, args: readonly string[], environment: Record<string, string> = {}): Command {
  const child = spawn(process.execPath, [main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  t.after(() => child.kill('SIGKILL'));
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  const ended = once(child, 'close').then(([code, signal]) => code ?? signal);
  return { process: child, ended, stdout: () => stdout, stderr: () => stderr };
}

/** Waits until the command has printed something that matches. */
async function printed(command: Command, pattern: RegExp): Promise<RegExpExecArray> {
  const end = Date.now() + 20_000;
  for (;;) {
    const match = pattern.exec(command.stdout());
    if (match) return match;
    assert.equal(command.process.exitCode, null, `it ended: ${command.stderr()}`);
    assert.ok(Date.now() < end, `waited in vain for ${pattern}: ${command.stdout()}`);
    await sleep(10);
  }
}

test('the tour makes the route, asks plainly and streamed, and explains the lines of the access log', async (t) => {
  const prefix = makeFolder(t);
  const configFile = join(prefix, 'conf', 'config.yaml');
  mkdirSync(join(prefix, 'conf'));
  writeFileSync(configFile, demoConfiguration);
  const gateway = run(t, ['start', '-p', prefix], { WEIR_DEMO_PORT: '0', WEIR_DEMO_ADMIN_PORT: '0' });
  const [, port] = await printed(gateway, /data plane .*:(\d+)/);
  const [, adminPort] = await printed(gateway, /Admin API .*:(\d+)/);
  await printed(gateway, /admin key/);
  const provider = await startDemoProvider({ host: '127.0.0.1', port: 0, apiKey: 'k', pace: 0 });
  t.after(() => provider.close());

  const adminKey = / key: '(\w+)'/.exec(readFileSync(configFile, 'utf8'))?.[1] ?? '';
  const pieces: string[] = [];
  await runDemo({
    gatewayUrl: `http://127.0.0.1:${port}`,
    adminUrl: `http://127.0.0.1:${adminPort}`,
    providerUrl: `http://127.0.0.1:${provider.port}`,
    adminKey,
    providerKey: 'k',
    folder: '.weir',
    configFile: '.weir/conf/config.yaml',
    accessLogFile: join(prefix, 'logs', 'access.log'),
    accessLogFormat: /access_log_format: '(.*)'/.exec(demoConfiguration)?.[1] ?? '',
    version: '1.2.3',
    write: (text) => pieces.push(text),
    colour: false,
    signal: new AbortController().signal,
  });

  const text = pieces.join('');
  assert.match(text, /Weir 1\.2\.3/);
  assert.match(text, /201 Created/);
  assert.match(text, /"content": "1 \+ 1 = 2"/);
  assert.match(text, /There was a river that did whatever it liked/);
  assert.match(text, /And it keeps count\."/);
  assert.match(text, /^ {2}\$status +200 +200 /m);
  assert.match(text, /^ {2}\$request_type +ai_chat +ai_stream /m);
  assert.match(text, /^ {2}\$request_llm_model +gpt-4 +gpt-4 /m);
  assert.match(text, /^ {2}\$llm_model +weir-demo +weir-demo /m);
  assert.match(text, /^ {2}\$llm_completion_tokens +5 +225 /m);
  assert.match(text, /Ctrl-C/);
  assert.ok(!text.includes(adminKey), 'the admin key is not shown');
  assert.ok(!text.includes('\x1b'), 'no colour was asked for');
  assert.deepEqual(
    text.split('\n').filter((line) => line.length > 100),
    [],
  );
  // The words of the stream are written as they come, not in one piece.
  assert.ok(pieces.length > 200);

  gateway.process.kill('SIGTERM');
  assert.equal(await gateway.ended, 0);
});

test('weir demo starts gateway and provider, and ends with status 0 in the middle of a streamed answer', async (t) => {
  const folder = makeFolder(t);
  const demo = run(t, ['demo', '-p', folder, '--port', '0', '--admin-port', '0']);
  await printed(demo, /There was a river/);
  demo.process.kill('SIGINT');
  const killedAt = Date.now();
  assert.equal(await demo.ended, 0);
  assert.ok(Date.now() - killedAt < 10_000);
  assert.match(demo.stdout(), /The demo has ended/);
  assert.equal(demo.stderr(), '');
  assert.doesNotMatch(demo.stdout(), /keeps count/);
  assert.match(readFileSync(join(folder, '.weir', 'conf', 'config.yaml'), 'utf8'), / key: '\w{32}'/);
});

test('a taken port is told in one line that says how to choose others', async (t) => {
  const other = createServer();
  await once(other.listen(0, '127.0.0.1'), 'listening');
  t.after(() => other.close());
  const address = other.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const args = ['demo', '-p', makeFolder(t), '--port', String(port), '--admin-port', '0'];

  const demo = run(t, args);
  assert.equal(await demo.ended, 1);
  assert.match(demo.stderr(), new RegExp(`^weir: port ${port} on 127\\.0\\.0\\.1 is .*: weir demo --port .*\\n$`));

  const quickstart = run(t, args, { npm_lifecycle_event: 'quickstart' });
  assert.equal(await quickstart.ended, 1);
  assert.match(quickstart.stderr(), /: npm run quickstart -- --port /);
});

const wrongUses: readonly (readonly [string, readonly string[], number, RegExp])[] = [
  ['a port that is none', ['demo', '--port', '70000'], 2, /--port.*0 to 65535/],
  ['a configuration of one’s own', ['-c', 'x.yaml', 'demo'], 2, /leave out -c/],
];
for (const [name, args, status, message] of wrongUses) {
  test(`weir demo refuses ${name}`, async (t) => {
    const demo = run(t, args);
    assert.equal(await demo.ended, status);
    assert.match(demo.stderr(), message);
  });
}
