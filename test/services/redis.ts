import { type ChildProcess, execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../support/free-port.ts';

const startTimeoutMs = 10_000;

interface RedisOptions {
  /** Lines of redis.conf: `{ requirepass: 'secret' }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** `redis-sentinel` in place of `redis-server`. */
  readonly sentinel?: boolean;
  /** With TLS on a port of its own, by the settings `tls-*`. */
  readonly tls?: boolean;
}

/** A real Redis of its own, empty, on a free port of 127.0.0.1. Give it to `await using`. */
export class TestRedis implements AsyncDisposable {
  readonly port: number;
  /** 0 without TLS. */
  readonly tlsPort: number;
  readonly #folder: string;
  readonly #command: string;
  #child: ChildProcess | null = null;
  #output = '';

  /** @throws Error when Redis is not installed and cannot be. */
  static async start(options: RedisOptions = {}): Promise<TestRedis> {
    const program = options.sentinel === true ? 'redis-sentinel' : 'redis-server';
    requireProgram(program);
    const tlsPort = options.tls === true ? await freePort() : 0;
    const redis = new TestRedis(program, { port: await freePort(), tlsPort, settings: options.settings ?? {} });
    await redis.restart();
    return redis;
  }

  private constructor(
    command: string,
    { port, tlsPort, settings }: { port: number; tlsPort: number; settings: Readonly<Record<string, string>> },
  ) {
    this.port = port;
    this.tlsPort = tlsPort;
    this.#command = command;
    this.#folder = mkdtempSync(join(tmpdir(), 'weir-redis-'));
    const lines = {
      bind: '127.0.0.1',
      port: String(port),
      dir: this.#folder,
      daemonize: 'no',
      ...(tlsPort > 0 && { 'tls-port': String(tlsPort) }),
      ...(command === 'redis-server' && { save: '""', appendonly: 'no' }),
      ...settings,
    };
    const text = Object.entries(lines).map(([name, value]) => `${name} ${value}`);
    writeFileSync(this.#configFile, `${text.join('\n')}\n`);
  }

  get #configFile(): string {
    return join(this.#folder, 'redis.conf');
  }

  /** Stops answering, but keeps its connections: calls to it hang. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Dies at once, as with `kill -9`. Counters are lost. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }

  /** Starts it (again), on the same port. */
  async restart(): Promise<void> {
    await this.kill();
    const child = spawn(this.#command, [this.#configFile], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    }
    await eventually(async () => {
      if (child.exitCode !== null) throw new Error(`${this.#command} ended at its start: ${this.#output}`);
      return isListening(this.port);
    });
  }

  /** Sends a command. @returns What `redis-cli` prints. */
  command(...args: readonly string[]): string {
    return execFileSync('redis-cli', ['-p', String(this.port), ...args], { encoding: 'utf8' }).trim();
  }

  /** Likewise, without holding up what runs beside it. */
  async ask(...args: readonly string[]): Promise<string> {
    const { stdout } = await promisify(execFile)('redis-cli', ['-p', String(this.port), ...args]);
    return stdout.trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Three masters that share the slots. */
export async function startRedisCluster(): Promise<{ readonly nodes: readonly TestRedis[] } & AsyncDisposable> {
  const firstSlots = [0, 5461, 10923, 16384] as const;
  const busPorts = [await freePort(), await freePort(), await freePort()] as const;
  const nodes = await Promise.all(
    busPorts.map((busPort) =>
      TestRedis.start({
        settings: {
          'cluster-enabled': 'yes',
          'cluster-port': String(busPort),
          'cluster-node-timeout': '1000',
          'cluster-require-full-coverage': 'no',
        },
      }),
    ),
  );
  const dispose = async (): Promise<void> => {
    for (const node of nodes) await node[Symbol.asyncDispose]();
  };
  try {
    for (const [index, node] of nodes.entries()) {
      await node.ask('cluster', 'addslotsrange', String(firstSlots[index]), String((firstSlots[index + 1] ?? 0) - 1));
      await node.ask('cluster', 'set-config-epoch', String(index + 1));
      if (index > 0) await nodes[0]?.ask('cluster', 'meet', '127.0.0.1', String(node.port), String(busPorts[index]));
    }
    await eventually(async () => (await Promise.all(nodes.map(knowsWholeCluster))).every(Boolean));
    return { nodes, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function knowsWholeCluster(node: TestRedis): Promise<boolean> {
  const info = await node.ask('cluster', 'info');
  return info.includes('cluster_state:ok') && info.includes('cluster_slots_ok:16384');
}

interface SentinelSetUp extends AsyncDisposable {
  readonly master: TestRedis;
  readonly replica: TestRedis;
  readonly sentinel: TestRedis;
  /** The name of the master. */
  readonly name: string;
}

/** A master, its replica, and a sentinel that puts the replica in its place after half a second. */
export async function startRedisSentinel(): Promise<SentinelSetUp> {
  const name = 'counters';
  const master = await TestRedis.start({ settings: { 'repl-diskless-sync-delay': '0' } });
  const replica = await TestRedis.start({ settings: { replicaof: `127.0.0.1 ${master.port}` } });
  const sentinel = await TestRedis.start({
    sentinel: true,
    settings: {
      'sentinel monitor': `${name} 127.0.0.1 ${master.port} 1`,
      'sentinel down-after-milliseconds': `${name} 500`,
      'sentinel failover-timeout': `${name} 2000`,
    },
  });
  const setUp = {
    master,
    replica,
    sentinel,
    name,
    async [Symbol.asyncDispose]() {
      for (const each of [sentinel, replica, master]) await each[Symbol.asyncDispose]();
    },
  };
  try {
    await eventually(async () => (await sentinel.ask('sentinel', 'replicas', name)).includes(String(replica.port)));
    await eventually(async () => (await replica.ask('info', 'replication')).includes('master_link_status:up'));
    return setUp;
  } catch (error) {
    await setUp[Symbol.asyncDispose]();
    throw error;
  }
}

/** Debian's packages have both programs; whoever may install them, does. */
function requireProgram(program: string): void {
  if (found.has(program)) return;
  if (!isInstalled(program)) install(program);
  found.add(program);
}

const found = new Set<string>();

function install(program: string): void {
  if (process.getuid?.() === 0) {
    // Another test file may be installing something at this moment.
    const wait = ['-o', 'DPkg::Lock::Timeout=120'];
    spawnSync('apt-get', [...wait, 'install', '-y', '--no-install-recommends', 'redis-server', 'redis-sentinel'], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  }
  if (!isInstalled(program)) {
    throw new Error(
      `these tests need ${program}: apt-get install redis-server redis-sentinel (root may run the tests to have it installed)`,
    );
  }
}

function isInstalled(program: string): boolean {
  return spawnSync(program, ['--version']).status === 0;
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    const finish = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => finish(true)).once('error', () => finish(false));
  });
}

async function eventually(done: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + startTimeoutMs;
  while (!(await done())) {
    if (performance.now() > end) throw new Error(`waited ${startTimeoutMs} ms in vain for Redis`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
