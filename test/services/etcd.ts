import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { freePort } from '../support/free-port.ts';

const startTimeoutMs = 20_000;

/** The etcd program: `WEIR_TEST_ETCD`, or `etcd` on the PATH, or Debian's, which root installs when it is missing; else null. */
export const etcdProgram = findProgram() ?? install();

function findProgram(): string | null {
  const { WEIR_TEST_ETCD: chosen, PATH: path = '' } = process.env;
  if (chosen !== undefined) return chosen;
  const candidates = [...path.split(delimiter), '/usr/bin'].map((folder) => join(folder, 'etcd'));
  return candidates.find((file) => existsSync(file)) ?? null;
}

function install(): string | null {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return null;
  // Another test file may be installing something at this moment.
  const wait = ['-o', 'DPkg::Lock::Timeout=120'];
  spawnSync('apt-get', [...wait, 'install', '-y', '--no-install-recommends', 'etcd-server'], { stdio: 'ignore' });
  return findProgram();
}

export interface EtcdOptions {
  /** Files in PEM format: clients speak TLS, and show a certificate that `clientCa` has signed if that is given. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string };
  /** Number of members. Default 1. */
  readonly members?: number;
}

/** A cluster in a folder of its own. Give it to `await using`. */
export interface EtcdCluster extends AsyncDisposable {
  readonly members: readonly EtcdMember[];
  /** URLs of all members for clients. */
  readonly endpoints: readonly string[];
  /** Calls the JSON gateway of the first member that runs. @throws Error if that does not succeed. */
  call(path: string, body: unknown, headers?: Readonly<Record<string, string>>): Promise<Record<string, unknown>>;
  put(key: string, value: unknown): Promise<void>;
  get(key: string): Promise<string | null>;
  delete(key: string): Promise<void>;
}

/** One process. */
export interface EtcdMember {
  readonly url: string;
  readonly isRunning: boolean;
  /** Starts it again, on what it has on its disk. Resolves when it answers. */
  start(): Promise<void>;
  kill(): Promise<void>;
  /** Kills it and removes what it has on its disk. */
  wipe(): Promise<void>;
  pause(): void;
  resume(): void;
}

export async function startEtcd(options: EtcdOptions = {}): Promise<EtcdCluster> {
  const { tls, members: count = 1 } = options;
  const home = mkdtempSync(join(tmpdir(), 'weir-etcd-'));
  const scheme = tls ? 'https' : 'http';
  const ports = await Promise.all(Array.from({ length: count * 2 }, freePort));
  const peers = Array.from({ length: count }, (_, index) => `m${index}=http://127.0.0.1:${ports[count + index]}`);
  const members = Array.from(
    { length: count },
    (_, index) =>
      new Member({
        name: `m${index}`,
        home,
        url: `${scheme}://127.0.0.1:${ports[index]}`,
        peers: peers.join(','),
        peerUrl: `http://127.0.0.1:${ports[count + index]}`,
        tls,
      }),
  );
  const cluster: EtcdCluster = {
    members,
    endpoints: members.map(({ url }) => url),
    async call(path, body, headers = {}) {
      const member = members.find(({ isRunning }) => isRunning);
      const response = await fetch(`${member?.url}/v3/${path}`, {
        method: 'POST',
        headers,
        body: JSON.stringify(body),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
      return JSON.parse(text) as Record<string, unknown>;
    },
    async put(key, value) {
      const text = typeof value === 'string' ? value : JSON.stringify(value);
      await cluster.call('kv/put', { key: base64(key), value: base64(text) });
    },
    async get(key) {
      const { kvs } = (await cluster.call('kv/range', { key: base64(key) })) as { kvs?: [{ value: string }] };
      return kvs ? Buffer.from(kvs[0].value, 'base64').toString() : null;
    },
    async delete(key) {
      await cluster.call('kv/deleterange', { key: base64(key) });
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(members.map((member) => member.kill()));
      rmSync(home, { recursive: true, force: true });
    },
  };
  try {
    await Promise.all(members.map((member) => member.start()));
    return cluster;
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}

interface MemberOptions {
  readonly name: string;
  readonly home: string;
  readonly url: string;
  readonly peers: string;
  readonly peerUrl: string;
  readonly tls: EtcdOptions['tls'];
}

class Member implements EtcdMember {
  readonly url: string;
  readonly #options: MemberOptions;
  #child: ChildProcess | undefined;

  constructor(options: MemberOptions) {
    this.#options = options;
    this.url = options.url;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  async start(): Promise<void> {
    const { name, home, url, peers, peerUrl, tls } = this.#options;
    // Short times, so that a leader is there at once and leases may be as short as a second.
    const args = ['--name', name, '--data-dir', join(home, name), '--heartbeat-interval=30', '--election-timeout=300'];
    args.push('--listen-client-urls', url, '--advertise-client-urls', url, '--logger=zap', '--log-level=error');
    args.push('--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl, '--initial-cluster', peers);
    if (tls) args.push('--cert-file', tls.cert, '--key-file', tls.key);
    if (tls?.clientCa !== undefined) args.push('--client-cert-auth', '--trusted-ca-file', tls.clientCa);
    // The health of a member that asks for certificates is only told in plain text elsewhere.
    const metrics = `http://127.0.0.1:${await freePort()}`;
    args.push('--listen-metrics-urls', metrics);
    const child = spawn(etcdProgram ?? 'etcd', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let complaints = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaints += text));
    this.#child = child;
    const end = performance.now() + startTimeoutMs;
    for (;;) {
      const isHealthy = await fetch(`${metrics}/health`).then(
        (response) => response.ok,
        () => false,
      );
      if (isHealthy) return;
      if (child.exitCode !== null) throw new Error(`etcd ended at its start: ${complaints}`);
      if (performance.now() > end) throw new Error(`etcd did not start within ${startTimeoutMs} ms: ${complaints}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }

  async wipe(): Promise<void> {
    await this.kill();
    rmSync(join(this.#options.home, this.#options.name), { recursive: true });
  }

  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
