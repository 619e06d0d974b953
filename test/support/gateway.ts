import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { testCaFile } from './tls-fixtures.ts';

const commandLine = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
// What goes well waits no longer for them; a machine that is busy with other things must not break a test.
const startTimeoutMs = 30_000;
const waitMs = 10_000;
/** How long a gateway has for its end when nobody asks how it ends. */
const endTimeoutMs = 200;

export interface GatewayOptions {
  /** Routes by id, put through the Admin API. */
  readonly routes?: Readonly<Record<string, object>>;
  /** Merged into config.yaml, object by object. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** `weir.connect_to`. */
  readonly connectTo?: Readonly<Record<string, string>>;
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default 1. */
  readonly workers?: number;
  /** The folder of an earlier gateway, which keeps its config.yaml and its routes. Default: a fresh one, removed at the end. */
  readonly prefix?: string;
}

interface AdminAnswer {
  readonly status: number;
  /** The parsed JSON. */
  readonly body: unknown;
}

/**
 * Runs the real `weir start` in a folder of its own, on free ports, with the test authority trusted.
 *
 * @param defaults - Configuration below that of the options, for set-ups that build on this one.
 * @example await using gateway = await startGateway({ routes: { chat: { uri: '/chat', plugins: {} } } });
 */
export async function startGateway(
  options: GatewayOptions = {},
  defaults: Readonly<Record<string, unknown>> = {},
): Promise<TestGateway> {
  const prefix = options.prefix ?? mkdtempSync(join(tmpdir(), 'weir-test-'));
  writeConfiguration(prefix, { ...options, config: merge(defaults, options.config ?? {}) as Record<string, unknown> });
  const child = spawn(process.execPath, [commandLine, 'start', '-p', prefix], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  });
  const gateway = new TestGateway(child, prefix, options.prefix === undefined);
  try {
    await gateway.started();
    for (const [id, route] of Object.entries(options.routes ?? {})) await gateway.putRoute(id, route);
    return gateway;
  } catch (error) {
    await gateway[Symbol.asyncDispose]();
    throw error;
  }
}

/** A running gateway. Give it to `await using`. */
export class TestGateway implements AsyncDisposable {
  readonly prefix: string;
  /** Of the data plane, without a slash at the end; likewise the others. */
  url = '';
  /** '' unless `apisix.ssl` is enabled. */
  tlsUrl = '';
  adminUrl = '';
  controlUrl = '';
  metricsUrl = '';
  #child: ChildProcess;
  #exit: Promise<number | string>;
  #stdout = '';
  #stderr = '';
  #ownsPrefix: boolean;

  constructor(child: ChildProcess, prefix: string, ownsPrefix: boolean) {
    this.prefix = prefix;
    this.#child = child;
    this.#ownsPrefix = ownsPrefix;
    this.#exit = once(child, 'exit').then(([code, signal]) => code ?? signal);
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
  }

  /** Waits for the start banner, which tells the ports. */
  async started(): Promise<void> {
    const hasStarted = (): boolean => {
      const patterns = [
        /data plane (http:[^\s,]+)/,
        /Admin API +(http:\S+)/,
        /control +(http:\S+)/,
        /metrics +(http:\S+)/,
      ];
      const [dataPlane, admin, control, metrics] = patterns.map((at) => at.exec(this.#stdout));
      if (this.#child.exitCode !== null) throw new Error(`the gateway ended at its start: ${this.output()}`);
      // The banner's last line: nothing of it is still on its way.
      if (!/^ +logs .*\n/m.test(this.#stdout)) return false;
      this.url = dataPlane?.[1] ?? '';
      this.tlsUrl = /data plane .*(https:[^\s,]+)/.exec(this.#stdout)?.[1] ?? '';
      this.adminUrl = admin?.[1] ?? '';
      this.controlUrl = control?.[1] ?? '';
      this.metricsUrl = metrics?.[1] ?? '';
      return true;
    };
    await eventually(hasStarted, startTimeoutMs, () => `the start of the gateway: ${this.output()}${this.errorLog()}`);
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  get configFile(): string {
    return join(this.prefix, 'conf', 'config.yaml');
  }

  /** As it stands in config.yaml now. */
  get adminKey(): string {
    const config = parse(readFileSync(this.configFile, 'utf8')) as {
      deployment: { admin: { admin_key: [{ key: string }] } };
    };
    return config.deployment.admin.admin_key[0].key;
  }

  /** @param path - Below /apisix/admin. */
  async admin(method: string, path: string, body?: unknown): Promise<AdminAnswer> {
    const response = await fetch(`${this.adminUrl}/apisix/admin${path}`, {
      method,
      headers: { 'X-API-KEY': this.adminKey },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: await response.json() };
  }

  /** Makes or replaces a route, which must succeed. */
  async putRoute(id: string, route: object): Promise<void> {
    const answer = await this.admin('PUT', `/routes/${id}`, route);
    assert.ok(answer.status === 200 || answer.status === 201, JSON.stringify(answer));
  }

  /** Lines of the access log, as soon as one of them holds `text`. */
  accessLog(text = ''): Promise<string[]> {
    return this.#lines('access.log', text);
  }

  /** Records of the log of LLM calls, as soon as one of them holds `text`. */
  async llmLog(text = ''): Promise<Record<string, unknown>[]> {
    return (await this.#lines('llm.log', text)).map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** What Prometheus would read. */
  async metrics(): Promise<string> {
    const response = await fetch(`${this.metricsUrl}/apisix/prometheus/metrics`);
    assert.equal(response.status, 200);
    return response.text();
  }

  errorLog(): string {
    return this.readLog('error.log');
  }

  /** Lines are written by another thread: what happened before an answer may stand there after it. */
  untilErrorLog(pattern: RegExp): Promise<void> {
    return eventually(
      () => pattern.test(this.errorLog()),
      waitMs,
      () => `${pattern} in error.log: ${this.errorLog()}`,
    );
  }

  /** A file of logs/ as it is now, '' when it does not exist. */
  readLog(name: string): string {
    const file = join(this.prefix, 'logs', name);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** What it has printed so far, to stdout and stderr. */
  output(): string {
    return this.#stdout + this.#stderr;
  }

  /** Sends a signal to the process. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends it. @returns The exit status, or the name of the signal that killed it. */
  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string> {
    this.signal(signal);
    return this.#exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      // A process that ends by itself leaves what Node has compiled to the next one (NODE_COMPILE_CACHE).
      const tooLong = setTimeout(() => this.signal('SIGKILL'), endTimeoutMs);
      await this.stop();
      clearTimeout(tooLong);
    }
    if (this.#ownsPrefix) rmSync(this.prefix, { recursive: true, force: true });
  }

  async #lines(name: string, text: string): Promise<string[]> {
    const wanted = (): string[] => {
      const lines = this.readLog(name).split('\n').slice(0, -1);
      return lines.filter((line) => line.includes(text));
    };
    await eventually(() => wanted().length > 0, waitMs, `a line with ${JSON.stringify(text)} in ${name}`);
    return wanted();
  }
}

/** Waits until `done` says so; looks every few milliseconds. */
export async function eventually(
  done: () => boolean,
  timeoutMs = waitMs,
  what: string | (() => string) = 'it',
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!done()) {
    if (performance.now() > end) {
      assert.fail(`waited ${timeoutMs} ms in vain for ${typeof what === 'string' ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 4));
  }
}

function writeConfiguration(prefix: string, { config = {}, connectTo, workers = 1 }: GatewayOptions): void {
  const file = join(prefix, 'conf', 'config.yaml');
  if (existsSync(file)) return;
  const base = {
    apisix: {
      node_listen: [{ ip: '127.0.0.1', port: 0 }],
      control: { port: 0 },
      ssl: { ssl_trusted_certificate: testCaFile },
    },
    plugin_attr: { prometheus: { export_addr: { port: 0 } } },
    // Without a buffer, a line is in the file as soon as the request has ended.
    nginx_config: { worker_processes: workers, http: { access_log_buffer: 0 } },
    deployment: {
      admin: {
        admin_key: [{ name: 'admin', key: 'test-admin-key', role: 'admin' }],
        admin_listen: { ip: '127.0.0.1', port: 0 },
      },
    },
    weir: { connect_to: connectTo ?? {}, shutdown_timeout: '2s' },
  };
  mkdirSync(join(prefix, 'conf'), { recursive: true });
  writeFileSync(file, stringify(merge(base, config)));
}

function merge(base: unknown, over: unknown): unknown {
  if (!isObject(base) || !isObject(over)) return over;
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) merged[key] = merge(merged[key], value);
  return merged;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
