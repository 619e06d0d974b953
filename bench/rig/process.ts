import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

interface StartOptions {
  /** For messages. */
  readonly name: string;
  readonly command: readonly string[];
  /** As taskset takes them: `0`, `0,2`. */
  readonly cores: string;
  /** The process is up when it accepts connections here. */
  readonly port: number;
  /** Receives stdout and stderr. */
  readonly logFile: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A server under test or of the rig, pinned to its cores. */
export interface ServerProcess {
  readonly pid: number;
  stop(): Promise<void>;
}

const running = new Set<ChildProcess>();

// Also when this process fails, such as when nobody reads its output any more (`| head`).
process.on('exit', () => {
  for (const child of running) child.kill('SIGTERM');
});

const startLimitMs = 20_000;
const stopLimitMs = 3000;

/**
 * Starts a server and waits until it listens on 127.0.0.1.
 *
 * @throws Error when somebody else has the port; with the end of the server's output when it ends instead, or does not
 *   listen within 20 s.
 */
export async function startServer(options: StartOptions): Promise<ServerProcess> {
  if (await acceptsConnections(options.port)) {
    throw new Error(`port ${options.port}, which is for ${options.name}, is in use: is another bench running?`);
  }
  const child = spawnPinned(options);
  const deadline = performance.now() + startLimitMs;
  while (!(await acceptsConnections(options.port))) {
    const ended = child.exitCode !== null || child.signalCode !== null;
    if (ended || performance.now() > deadline) {
      await stopChild(child);
      const output = readFileSync(options.logFile, 'utf8').trim().split('\n').slice(-8).join('\n');
      throw new Error(`${options.name} ${ended ? 'ended at once' : 'does not listen'}; its output:\n${output}`);
    }
    await sleep(2);
  }
  return { pid: child.pid ?? 0, stop: () => stopChild(child) };
}

function spawnPinned({ command, cores, env, logFile }: StartOptions): ChildProcess {
  const log = openSync(logFile, 'a');
  // taskset replaces itself by the command, so that the pid is the server's own.
  const child = spawn('taskset', ['-c', cores, ...command], {
    stdio: ['ignore', log, log],
    env: { ...process.env, ...env },
  });
  closeSync(log);
  child.on('error', () => {});
  track(child);
  return child;
}

/** Has a child process ended by {@link endAll}. */
export function track(child: ChildProcess): void {
  running.add(child);
  child.once('exit', () => running.delete(child));
}

/** Ends everything that was started, so that an interrupt leaves nothing behind. */
export async function endAll(): Promise<void> {
  await Promise.all(Array.from(running, stopChild));
}

function acceptsConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  // Not SIGKILL at once: nginx and `timeout` have children of their own to end.
  child.kill('SIGTERM');
  const killer = setTimeout(() => child.kill('SIGKILL'), stopLimitMs);
  await exited;
  clearTimeout(killer);
}
