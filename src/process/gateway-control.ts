import { setTimeout } from 'node:timers/promises';
import { CommandError } from './command-error.ts';
import { findRunningGateway, type RunningGateway } from './pid-file.ts';

const pollMs = 50;
/** `weir stop` kills a gateway that has not ended by then. */
const stopTimeoutMs = 5000;

/**
 * Ends a gateway after its running requests, and waits for that.
 *
 * @param print - Shows a line to the user at once.
 * @throws CommandError when none is running.
 */
export async function quitGateway(pidFile: string, print: (line: string) => void): Promise<void> {
  const running = requireRunning(pidFile);
  signal(running, 'SIGQUIT');
  print(`waiting for the running requests of pid ${running.pid} to end (\`weir stop\` cuts them off)`);
  await waitForEnd(running, Infinity);
  print(`stopped, pid ${running.pid} has ended`);
}

/** Ends a gateway and its running requests at once, and waits for that. @throws CommandError when none is running. */
export async function stopGateway(pidFile: string, print: (line: string) => void): Promise<void> {
  const running = requireRunning(pidFile);
  // The first begins a graceful end, the second cuts it short. Two different ones: equal signals may arrive as one.
  signal(running, 'SIGTERM');
  signal(running, 'SIGINT');
  if (await waitForEnd(running, stopTimeoutMs)) {
    print(`stopped, pid ${running.pid} has ended`);
    return;
  }
  signal(running, 'SIGKILL');
  await waitForEnd(running, Infinity);
  print(`killed pid ${running.pid}, which did not end within ${stopTimeoutMs / 1000} s`);
}

/**
 * Asks a gateway to read its configuration anew.
 *
 * @returns The gateway's pid.
 * @throws CommandError when none is running.
 */
export function requestReload(pidFile: string): number {
  const running = requireRunning(pidFile);
  signal(running, 'SIGHUP');
  return running.pid;
}

function requireRunning(pidFile: string): RunningGateway {
  const running = findRunningGateway(pidFile);
  if (!running) throw new CommandError(`no gateway is running here (looked at ${pidFile}; -p names another prefix)`);
  return running;
}

function signal({ pid }: RunningGateway, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    // Ended by itself in this very moment: what was asked for.
    if (code === 'ESRCH') return;
    if (code === 'EPERM') throw new CommandError(`pid ${pid} belongs to another user, who alone may end or reload it`);
    throw error;
  }
}

/** @returns False when the process still lives after `timeoutMs`. */
async function waitForEnd(running: RunningGateway, timeoutMs: number): Promise<boolean> {
  const end = Date.now() + timeoutMs;
  while (running.isAlive()) {
    if (Date.now() >= end) return false;
    await setTimeout(pollMs);
  }
  return true;
}
