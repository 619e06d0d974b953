import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { silentLog } from '../src/base/log.ts';
import { openEmbeddedStore } from '../src/config/store/embedded.ts';

const stubCommandLine = new URL('fixtures/stub-cli.ts', import.meta.url).pathname;
const realCommandLine = new URL('../src/main.ts', import.meta.url).pathname;

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A gateway's folder with a config.yaml, removed after the test. */
class Place {
  readonly prefix: string;
  readonly configFile: string;
  readonly errorLog: string;

  constructor(t: TestContext, config?: string) {
    this.prefix = mkdtempSync(join(tmpdir(), 'weir-process-'));
    t.after(() => rmSync(this.prefix, { recursive: true, force: true }));
    this.configFile = join(this.prefix, 'conf', 'config.yaml');
    this.errorLog = join(this.prefix, 'logs', 'error.log');
    mkdirSync(join(this.prefix, 'conf'));
    if (config !== undefined) this.configure(config);
  }

  configure(config: string): void {
    writeFileSync(this.configFile, config);
  }

  async run(...args: readonly string[]): Promise<Outcome> {
    const child = spawnCommand([...args, '-p', this.prefix]);
    const exit = once(child.process, 'close');
    const [code] = await exit;
    return { code, stdout: child.stdout(), stderr: child.stderr() };
  }

  readErrorLog(): string {
    return readFileSync(this.errorLog, 'utf8');
  }
}

function spawnCommand(
  args: readonly string[],
  options: { readonly commandLine?: string; readonly nodeOptions?: readonly string[] } = {},
): { process: ChildProcess; stdout(): string; stderr(): string } {
  const child = spawn(
    process.execPath,
    [...(options.nodeOptions ?? []), options.commandLine ?? stubCommandLine, ...args],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  return { process: child, stdout: () => stdout, stderr: () => stderr };
}

interface RunningGateway {
  readonly process: ChildProcess;
  /** All that it has printed so far. */
  output(): string;
  readonly port: number;
  readonly adminPort: number;
  readonly controlPort: number;
  /** The exit status, or the signal that killed it. */
  readonly ended: Promise<number | string>;
}

async function start(
  t: TestContext,
  place: Place,
  options: Parameters<typeof spawnCommand>[1] = {},
): Promise<RunningGateway> {
  const child = spawnCommand(['start', '-p', place.prefix], options);
  t.after(() => child.process.kill('SIGKILL'));
  const ended = once(child.process, 'close').then(([code, signal]) => code ?? signal);
  const output = await eventually(
    () => {
      assert.equal(child.process.exitCode, null, `it ended: ${child.stderr()}`);
      return /^ +logs .*\n/m.test(child.stdout()) && child.stdout();
    },
    () => child.stderr(),
  );
  return {
    process: child.process,
    output: () => child.stdout(),
    port: Number(/data plane.*?:(\d+)/.exec(output)?.[1]),
    adminPort: Number(/Admin API.*?:(\d+)/.exec(output)?.[1]),
    controlPort: Number(/control .*?:(\d+)/.exec(output)?.[1]),
    ended,
  };
}

async function eventually<T>(
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  explain = (): string => '',
): Promise<T> {
  const end = Date.now() + 20_000;
  for (;;) {
    const found = await probe();
    if (found) return found;
    assert.ok(Date.now() < end, `waited 20 s in vain ${explain()}`);
    await setTimeout(10);
  }
}

/** What the stub worker answers to one line; '' when nobody is there. */
async function ask(port: number, line: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.setEncoding('utf8').on('data', (text) => (answer += text));
  socket.on('error', () => {});
  socket.write(`${line}\n`);
  await new Promise((resolve) => {
    socket.on('close', resolve);
  });
  return answer;
}

interface WorkerState {
  readonly threadId: number;
  readonly ids: readonly string[];
  readonly logReopens: number;
  readonly maxBodySize: number;
}

async function readState(port: number): Promise<WorkerState> {
  return JSON.parse(await ask(port, 'state')) as WorkerState;
}

/** A connection with work in progress, which ends when the test sends `release`. */
async function holdConnection(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.setEncoding('utf8').on('error', () => {});
  socket.write('hold\n');
  await once(socket, 'data');
  return socket;
}

function callAdmin(port: number, path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}/apisix/admin/${path}`, { headers: { 'X-API-KEY': 'secret-one' }, ...init });
}

const quick = config();

/** A configuration on free ports. Each line of `http` is indented below nginx_config.http. */
function config(
  options: {
    workers?: number;
    port?: number;
    adminPort?: number;
    controlPort?: number;
    http?: string;
    rest?: string;
  } = {},
) {
  return `apisix:
  node_listen:
    - { ip: 127.0.0.1, port: ${options.port ?? 0} }
  control: { port: ${options.controlPort ?? 0} }
nginx_config:
  worker_processes: ${options.workers ?? 1}
  http:
    client_max_body_size: 1
    ${options.http ?? ''}
deployment:
  admin:
    admin_key: [{ name: admin, key: secret-one, role: admin }]
    admin_listen: { ip: 127.0.0.1, port: ${options.adminPort ?? 0} }
plugin_attr: { prometheus: { enable_export_server: false } }
${options.rest ?? ''}`;
}

// Each test waits for processes most of its time.
describe('the weir command', { concurrency: 4 }, () => {
  test('start says in four lines what listens where, without colour in a pipe', async (t) => {
    const place = new Place(t, config({ workers: 2 }));
    const gateway = await start(t, place);
    assert.match(
      gateway.output(),
      /^weir 0\.0\.0-stub {2}data plane http:\/\/127\.0\.0\.1:\d+ {2}\(2 workers\)\n {17}Admin API {2}http:\/\/127\.0\.0\.1:\d+ {2}\(allowed: 127\.0\.0\.0\/24\)\n {17}control {4}http:\/\/127\.0\.0\.1:\d+\n {17}logs {7}\S+\/logs\/access\.log, \S+\/logs\/error\.log\n$/,
    );
    assert.equal((await callAdmin(gateway.adminPort, 'routes')).status, 200);
  });

  test('without a configuration the default one is written, with a key that is shown once', async (t) => {
    const place = new Place(t);
    // The default ports may be taken on the machine that runs this; the file is written before that shows.
    const { stdout } = await runForAMoment(place);
    assert.match(stdout, /^wrote \S+\/conf\/config\.yaml: the default configuration/);
    assert.equal(statSync(place.configFile).mode & 0o777, 0o600);

    place.configure(config().replace('secret-one', '""'));
    const first = await start(t, place);
    const key = await eventually(() => /key: ['"]?([0-9a-f]{32})/.exec(readFileSync(place.configFile, 'utf8'))?.[1]);
    first.process.kill('SIGTERM');
    await first.ended;
    assert.match(first.output(), new RegExp(`^admin key +${key} `, 'm'));

    const second = await start(t, place);
    assert.doesNotMatch(second.output(), new RegExp(key));
    assert.doesNotMatch(place.readErrorLog(), new RegExp(key));
  });

  async function runForAMoment(place: Place): Promise<{ stdout: string }> {
    const child = spawnCommand(['start', '-p', place.prefix]);
    await eventually(() => child.stdout() !== '');
    child.process.kill('SIGKILL');
    await once(child.process, 'close');
    return { stdout: child.stdout() };
  }

  test('a file named with -c must exist', async (t) => {
    const place = new Place(t);
    const { code, stderr } = await place.run('start', '-c', join(place.prefix, 'absent.yaml'));
    assert.equal(code, 1);
    assert.match(stderr, /^weir: \S+\/absent\.yaml: there is no such file.*\n$/);
    assert.equal(existsSync(place.configFile), false);
  });

  test('a change through the Admin API is live on all workers when the call returns', async (t) => {
    const gateway = await start(t, new Place(t, config({ workers: 2 })));
    for (const id of ['a', 'b', 'c']) {
      const body = JSON.stringify({ uri: `/${id}`, plugins: {} });
      const response = await callAdmin(gateway.adminPort, `routes/${id}`, { method: 'PUT', body });
      assert.equal(response.status, 201, await response.text());
      for (let n = 0; n < 8; n++) assert.equal((await readState(gateway.port)).ids.includes(id), true);
    }
  });

  test('what was configured is there again after a kill and a restart', async (t) => {
    const place = new Place(t, quick);
    const first = await start(t, place);
    const body = JSON.stringify({ uri: '/kept', plugins: {} });
    await callAdmin(first.adminPort, 'routes/kept', { method: 'PUT', body });
    first.process.kill('SIGKILL');
    await first.ended;

    // Nothing runs, though the killed one has left its pid file.
    assert.equal(existsSync(join(place.prefix, 'logs', 'weir.pid')), true);
    const { code, stderr } = await place.run('stop');
    assert.equal(code, 1);
    assert.match(stderr, /^weir: no gateway is running here .*\n$/);

    const second = await start(t, place);
    assert.deepEqual((await readState(second.port)).ids, ['kept']);
  });

  test('a damaged store stops the start with one line, and is left as it is', async (t) => {
    const place = new Place(t, quick);
    mkdirSync(join(place.prefix, 'data'));
    const file = join(place.prefix, 'data', 'weir.db');
    const garbage = 'this is no database. '.repeat(300);
    writeFileSync(file, garbage);
    const { code, stderr } = await place.run('start');
    assert.equal(code, 1);
    assert.match(stderr, /^weir: .*weir\.db.*\n$/);
    assert.equal(readFileSync(file, 'utf8'), garbage);
    assert.equal(existsSync(join(place.prefix, 'logs', 'weir.pid')), false);
  });

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) {
    test(`${signal} lets running work end, then the gateway ends with 0 and takes its pid file away`, async (t) => {
      const place = new Place(t, quick);
      const gateway = await start(t, place);
      const pidFile = join(place.prefix, 'logs', 'weir.pid');
      assert.equal(readFileSync(pidFile, 'utf8'), `${gateway.process.pid}\n`);
      const socket = await holdConnection(gateway.port);
      gateway.process.kill(signal);
      await eventually(async () => (await ask(gateway.port, 'state')) === '');
      assert.equal(gateway.process.exitCode, null);
      socket.write('release\n');
      assert.deepEqual(await once(socket, 'data'), ['done']);
      assert.equal(await gateway.ended, 0);
      assert.equal(existsSync(pidFile), false);
    });
  }

  test('a second SIGTERM during the drain ends at once, but not the echo that npm makes of the first', async (t) => {
    const gateway = await start(t, new Place(t, quick));
    await holdConnection(gateway.port);
    gateway.process.kill('SIGTERM');
    await setTimeout(20);
    gateway.process.kill('SIGTERM');
    await setTimeout(500);
    assert.equal(gateway.process.exitCode, null);
    gateway.process.kill('SIGTERM');
    const begin = Date.now();
    assert.equal(await gateway.ended, 0);
    assert.ok(Date.now() - begin < 10_000);
  });

  test('work that is not done by weir.shutdown_timeout is cut', async (t) => {
    const gateway = await start(t, new Place(t, config({ rest: 'weir: { shutdown_timeout: 200ms }' })));
    await holdConnection(gateway.port);
    const begin = Date.now();
    gateway.process.kill('SIGTERM');
    assert.equal(await gateway.ended, 0);
    const took = Date.now() - begin;
    assert.ok(took >= 200 && took < 10_000, `${took} ms`);
  });

  test('weir quit waits for running work and returns when the process is gone', async (t) => {
    const place = new Place(t, quick);
    const gateway = await start(t, place);
    const socket = await holdConnection(gateway.port);
    const first = place.run('quit');
    await eventually(async () => (await ask(gateway.port, 'state')) === '');
    // A second one cuts nothing off. It needs a moment to start; a slower one finds the gateway gone, which is fine, too.
    const second = place.run('quit');
    await setTimeout(400);
    assert.equal(gateway.process.exitCode, null);
    socket.write('release\n');
    const { code, stdout } = await first;
    assert.equal(code, 0);
    assert.match(stdout, /^waiting for the running requests of pid \d+ .*\nstopped, pid \d+ has ended\n$/);
    // The process is gone; this one may hear of it a moment after `weir quit`.
    assert.equal(await gateway.ended, 0);
    await second;
  });

  test('weir stop does not wait for running work', async (t) => {
    const place = new Place(t, quick);
    const gateway = await start(t, place);
    await holdConnection(gateway.port);
    const { code, stdout } = await place.run('stop');
    assert.deepEqual([code, stdout], [0, `stopped, pid ${gateway.process.pid} has ended\n`]);
    assert.equal(await gateway.ended, 0);
  });

  test('a second start on a taken port says so in one line', async (t) => {
    const place = new Place(t, quick);
    const { port, adminPort, controlPort } = await start(t, place);
    for (const [which, taken, other] of [
      ['data plane', port, config({ port })],
      ['Admin API', adminPort, config({ adminPort })],
      ['control API', controlPort, config({ controlPort })],
    ] as const) {
      const { code, stderr } = await new Place(t, other).run('start');
      assert.equal(code, 1, which);
      assert.equal(
        stderr,
        `weir: port ${taken} on 127.0.0.1 is already in use: stop the program that holds it, or choose another port\n`,
      );
    }
    // The first one is unharmed.
    assert.equal((await readState(port)).ids.length, 0);
  });

  test('an address that is not of this machine is named', async (t) => {
    const { code, stderr } = await new Place(t, config().replace('127.0.0.1', '192.0.2.1')).run('start');
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^weir: port 0 on 192\.0\.2\.1 cannot be listened on: 192\.0\.2\.1 is not an address of this machine\n$/,
    );
  });

  test('a fault in the main thread is logged with its stack and ends the gateway with 1', async (t) => {
    const fault = `import { isMainThread } from 'node:worker_threads';
      if (isMainThread) process.once('SIGUSR2', () => Promise.reject(new Error('a fault of our own')));`;
    const place = new Place(t, quick);
    const gateway = await start(t, place, {
      nodeOptions: ['--import', `data:text/javascript,${encodeURIComponent(fault)}`],
    });
    gateway.process.kill('SIGUSR2');
    assert.equal(await gateway.ended, 1);
    assert.match(place.readErrorLog(), /\[error\].*the main thread failed, the gateway ends.*a fault of our own/);
    assert.equal(existsSync(join(place.prefix, 'logs', 'weir.pid')), false);
  });

  test('real workers answer every request while the configuration is read anew, and end in order', async (t) => {
    const place = new Place(t, config({ workers: 2 }));
    const gateway = await start(t, place, { commandLine: realCommandLine });
    const load = new AbortController();
    let answered = 0;
    const client = async (): Promise<void> => {
      while (!load.signal.aborted) {
        const response = await fetch(`http://127.0.0.1:${gateway.port}/nowhere`, { headers: { connection: 'close' } });
        assert.equal(response.status, 404);
        await response.arrayBuffer();
        answered++;
      }
    };
    const clients = Promise.all(Array.from({ length: 4 }, client));
    for (let n = 2; n < 5; n++) {
      place.configure(config({ workers: 2 }).replace('client_max_body_size: 1', `client_max_body_size: ${n}`));
      gateway.process.kill('SIGHUP');
      const enough = answered + 5;
      const hasServed = (): boolean => answered >= enough;
      await setTimeout(100);
      // However busy the machine is, each configuration serves. A client that fails ends the waiting.
      while (!hasServed()) await Promise.race([clients, setTimeout(10)]);
    }
    load.abort();
    await clients;
    gateway.process.kill('SIGTERM');
    assert.equal(await gateway.ended, 0);
    assert.equal(place.readErrorLog(), '');
    const lines = readFileSync(join(place.prefix, 'logs', 'access.log'), 'utf8')
      .trim()
      .split('\n');
    assert.equal(lines.length, answered);
  });

  test('a second start on the same prefix says which process has it', async (t) => {
    const place = new Place(t, quick);
    const gateway = await start(t, place);
    const { code, stderr } = await place.run('start');
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`^weir: a gateway with pid ${gateway.process.pid} runs on this prefix, .*\n$`));

    place.configure(config({ port: gateway.port }));
    const taken = await place.run('start');
    assert.match(taken.stderr, new RegExp(`^weir: port ${gateway.port} .* in use.* pid ${gateway.process.pid} .*\n$`));
    assert.equal(readFileSync(join(place.prefix, 'logs', 'weir.pid'), 'utf8'), `${gateway.process.pid}\n`);
  });

  test('of two starts in the same instant, the one that comes too late leaves the pid file to the other', async (t) => {
    const place = new Place(t, quick);
    const pidFile = join(place.prefix, 'logs', 'weir.pid');
    mkdirSync(join(place.prefix, 'logs'));
    writeFileSync(pidFile, 'whatever the other one writes\n');
    // This process stands for the other one: it has the store, and does not look like a running gateway yet.
    const store = await openEmbeddedStore({ file: join(place.prefix, 'data', 'weir.db'), log: silentLog });
    t.after(() => store.close());
    const { code, stderr } = await place.run('start');
    assert.equal(code, 1);
    assert.match(stderr, /^weir: .*weir\.db is in use by another process: .*\n$/);
    assert.equal(readFileSync(pidFile, 'utf8'), 'whatever the other one writes\n');
  });

  test('keys without effect are named in the log at its default level', async (t) => {
    const place = new Place(t, config({ http: 'charset: utf-8' }));
    await start(t, place);
    await eventually(() => place.readErrorLog().includes('nginx_config.http.charset'));
  });

  test('a reload takes a new configuration over without closing a listener or losing a connection', async (t) => {
    const place = new Place(t, config({ workers: 2 }));
    const { port, process: gateway } = await start(t, place);
    const threads = new Set<number>();
    let size = 1;
    let asked = 0;
    const load = new AbortController();
    const client = async (): Promise<void> => {
      while (!load.signal.aborted) {
        const answer = await ask(port, 'state');
        assert.notEqual(answer, '', 'a connection was lost');
        threads.add((JSON.parse(answer) as WorkerState).threadId);
        asked++;
      }
    };
    const clients = Promise.all(Array.from({ length: 8 }, client));
    for (let n = 0; n < 5; n++) {
      size++;
      place.configure(config({ workers: 2 }).replace('client_max_body_size: 1', `client_max_body_size: ${size}`));
      gateway.kill('SIGHUP');
      await eventually(async () => (await readState(port)).maxBodySize === size);
    }
    load.abort();
    await clients;
    assert.ok(asked > 20, `${asked} connections`);
    assert.equal(threads.size, 2);
  });

  for (const { what, workers, size } of [
    { what: 'another number of workers', workers: 2, size: 2 },
    { what: 'settings that a worker cannot take', workers: 3, size: 13 },
  ]) {
    test(`a reload with ${what} starts new workers on the same port and lets the old ones finish`, async (t) => {
      const place = new Place(t, config({ workers: 3 }));
      const gateway = await start(t, place);
      const socket = await holdConnection(gateway.port);
      place.configure(config({ workers }).replace('client_max_body_size: 1', `client_max_body_size: ${size}`));
      gateway.process.kill('SIGHUP');
      let inARow = 0;
      await eventually(async () => {
        const answer = await ask(gateway.port, 'state');
        inARow = answer.includes(`"maxBodySize":${size}`) ? inARow + 1 : 0;
        return inARow === 20;
      });
      socket.write('release\n');
      assert.deepEqual(await once(socket, 'data'), ['done']);
      assert.equal(gateway.process.exitCode, null);
      assert.equal(place.readErrorLog(), '');
    });
  }

  test('a reload of another port opens that one and closes the old one', async (t) => {
    const place = new Place(t, quick);
    const gateway = await start(t, place);
    const elsewhere = config({ adminPort: gateway.adminPort }).replace(
      '- { ip: 127.0.0.1, port: 0 }',
      `- { ip: 127.0.0.1, port: ${gateway.port} }\n    - { ip: 127.0.0.2, port: ${gateway.port} }`,
    );
    place.configure(elsewhere);
    gateway.process.kill('SIGHUP');
    await eventually(() => {
      const socket = connect(gateway.port, '127.0.0.2');
      return once(socket, 'connect').then(
        () => {
          socket.destroy();
          return true;
        },
        () => false,
      );
    });
    await eventually(async () => (await ask(gateway.port, 'state')) !== '');
  });

  test('a reload applies the settings of the Admin API', async (t) => {
    const place = new Place(t, quick);
    const gateway = await start(t, place);
    place.configure(quick.replace('secret-one', 'secret-two'));
    assert.equal((await place.run('reload')).code, 0);
    await eventually(async () => (await callAdmin(gateway.adminPort, 'routes')).status === 401);
    const headers = { 'X-API-KEY': 'secret-two' };
    assert.equal((await callAdmin(gateway.adminPort, 'routes', { headers })).status, 200);

    place.configure(quick.replace('apisix:', 'apisix:\n  enable_admin: false'));
    gateway.process.kill('SIGHUP');
    await eventually(() =>
      callAdmin(gateway.adminPort, 'routes').then(
        () => false,
        () => true,
      ),
    );
    assert.equal((await readState(gateway.port)).ids.length, 0);
  });

  test('a reload with a bad configuration changes nothing; weir reload says what is wrong, the log too', async (t) => {
    const place = new Place(t, quick);
    const gateway = await start(t, place);
    const before = await readState(gateway.port);
    place.configure(quick.replace('worker_processes: 1', 'worker_processes: many'));

    const { code, stderr } = await place.run('reload');
    assert.equal(code, 1);
    assert.match(stderr, /^weir: \S+config\.yaml:6:\d+: nginx_config\.worker_processes: .*\n$/);

    gateway.process.kill('SIGHUP');
    await eventually(() =>
      /\[error\].*old one serves on.*config\.yaml:6:\d+: nginx_config\.worker_processes/.test(place.readErrorLog()),
    );
    assert.deepEqual(await readState(gateway.port), before);
  });

  test('a reload onto a taken port is refused in the log, and the old listeners stay', async (t) => {
    const { port: taken } = await start(t, new Place(t, quick));
    const place = new Place(t, quick);
    const gateway = await start(t, place);
    place.configure(config({ port: taken }));
    gateway.process.kill('SIGHUP');
    await eventually(() =>
      new RegExp(`old one serves on.*port ${taken} on 127.0.0.1 is already in use`).test(place.readErrorLog()),
    );
    assert.equal((await readState(gateway.port)).maxBodySize, 1);
  });

  for (const command of ['stop', 'quit', 'reload']) {
    test(`weir ${command} without a running gateway fails with one line`, async (t) => {
      const { code, stdout, stderr } = await new Place(t, quick).run(command);
      assert.equal(code, 1);
      assert.equal(stdout, '');
      assert.match(stderr, /^weir: no gateway is running here \(looked at \S+\/logs\/weir\.pid; .*\)\n$/);
    });
  }

  test('SIGUSR1 opens the log files anew, in the main thread and in the workers', async (t) => {
    const place = new Place(t, quick);
    const gateway = await start(t, place);
    renameSync(place.errorLog, `${place.errorLog}.1`);
    gateway.process.kill('SIGUSR1');
    await eventually(() => existsSync(place.errorLog));
    await eventually(async () => (await readState(gateway.port)).logReopens === 1);
  });

  test('a worker that dies is logged with its stack and replaced', async (t) => {
    const place = new Place(t, quick);
    const gateway = await start(t, place);
    const { threadId } = await readState(gateway.port);
    await ask(gateway.port, 'throw');
    await eventually(async () => {
      const answer = await ask(gateway.port, 'state');
      return answer !== '' && (JSON.parse(answer) as WorkerState).threadId !== threadId;
    });
    assert.match(
      place.readErrorLog(),
      /\[error\].*worker 0 ended; a new one takes its place at once.*thrown on request/,
    );
  });

  for (const row of [
    { what: 'a good file', file: quick, code: 0, says: /^\S+config\.yaml: the configuration is good\n$/ },
    { what: 'an empty file', file: '', code: 0, says: /the configuration is good\n$/ },
    {
      what: 'an unknown key',
      file: quick.replace('worker_processes', 'worker_proceses'),
      code: 0,
      says: /^warning: \S+config\.yaml:6:\d+: nginx_config\.worker_proceses: .*worker_processes.*\n\S+: the configuration is good\n$/,
    },
    {
      what: 'a value of the wrong type',
      file: quick.replace('port: 0', 'port: none'),
      code: 1,
      says: /^weir: \S+config\.yaml:3:\d+: apisix\.node_listen.*\n$/,
    },
    {
      what: 'an unknown variable of the access log',
      file: config({ http: 'access_log_format: "$status $nonsense"' }),
      code: 1,
      says: /^weir: \S+config\.yaml:9:\d+: nginx_config\.http\.access_log_format: unknown variable \$nonsense\n$/,
    },
    {
      what: 'an absent file of certificates',
      file: quick.replace('apisix:', 'apisix:\n  ssl: { ssl_trusted_certificate: absent.pem }'),
      code: 1,
      says: /^weir: \S+config\.yaml:2:\d+: apisix\.ssl\.ssl_trusted_certificate: expected .*\/absent\.pem: ENOENT.*\n$/,
    },
    {
      what: 'a file of certificates that holds none',
      file: quick.replace('apisix:', 'apisix:\n  ssl: { ssl_trusted_certificate: conf/config.yaml }'),
      code: 1,
      says: /ssl_trusted_certificate: expected .*conf\/config\.yaml: .*\n$/,
    },
    { what: 'broken YAML', file: 'apisix: [', code: 1, says: /^weir: \S+config\.yaml:1:\d+: .*\n$/ },
    { what: 'no file', file: undefined, code: 1, says: /^weir: \S+config\.yaml: there is no such file.*\n$/ },
  ]) {
    test(`weir test on ${row.what} ends with ${row.code} and says why`, async (t) => {
      const { code, stdout, stderr } = await new Place(t, row.file).run('test');
      assert.match(stdout + stderr, row.says);
      assert.equal(code, row.code);
    });
  }

  for (const [args, code] of [
    [['version'], 0],
    [['--help'], 0],
    [['start', '--help'], 0],
    [[], 2],
    [['stpo'], 2],
    [['start', '--bogus'], 2],
    [['start', 'extra'], 2],
  ] as const) {
    test(`\`weir ${args.join(' ')}\` ends with ${code}`, async () => {
      const child = spawnCommand(args);
      const exit = await once(child.process, 'close');
      assert.equal(exit[0], code);
      assert.notEqual(child.stdout() + child.stderr(), '');
    });
  }

  for (const [command, code, stdout] of [
    ['version', 0, /^weir \d+\.\d+\.\d+\n$/],
    ['start', 1, /^$/],
  ] as const) {
    test(`on a Node that is too old \`weir ${command}\` names the one that is needed and ends with ${code}`, async () => {
      const preload = 'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.20.2" } })';
      const child = spawnCommand([command], {
        commandLine: realCommandLine,
        nodeOptions: ['--import', `data:text/javascript,${encodeURIComponent(preload)}`],
      });
      const exit = await once(child.process, 'close');
      assert.match(child.stderr(), /^weir: needs Node \d+ or later, this is .*\n$/);
      assert.match(child.stdout(), stdout);
      assert.equal(exit[0], code);
    });
  }
});
