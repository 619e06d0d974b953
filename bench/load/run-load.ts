import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { track } from '../rig/process.ts';
import type { LoadClients } from './child.ts';

interface RunLoadOptions {
  /** As taskset takes them. */
  readonly cores: string;
  /** Called when the client says `holding`. */
  readonly onHolding?: () => void;
}

/**
 * Runs one of our own clients in a process on the load's core.
 *
 * @throws Error when the client ends without a result, such as when it cannot connect.
 */
export async function runLoad<N extends keyof LoadClients>(
  name: N,
  options: Parameters<LoadClients[N]>[0],
  { cores, onHolding }: RunLoadOptions,
): Promise<Awaited<ReturnType<LoadClients[N]>>> {
  const script = new URL('./child.ts', import.meta.url).pathname;
  const child = spawn('taskset', ['-c', cores, process.execPath, '--max-semi-space-size=64', script, name], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  track(child);
  const ended = once(child, 'close');
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  child.stdin.on('error', () => {});
  child.stdin.end(JSON.stringify(options));
  let last = '';
  for await (const line of createInterface(child.stdout)) {
    if (line === 'holding') onHolding?.();
    else last = line;
  }
  // Its CPU time is known to us only then.
  await ended;
  if (last === '') {
    const reason = /^\w*Error: .*$/m.exec(errors)?.[0] ?? errors.trim().split('\n').at(-1) ?? 'no output';
    throw new Error(`the ${name} client failed: ${reason}`);
  }
  return JSON.parse(last) as Awaited<ReturnType<LoadClients[N]>>;
}
