import { spawnSync } from 'node:child_process';
import { missingPackages } from './rig/machine.ts';

const peersFolder = new URL('./peers', import.meta.url).pathname;

/** Installs what the bench needs: Debian packages, and the peers from npm. @throws Error with the command that failed. */
export function install(): void {
  const packages = missingPackages();
  if (packages.length > 0) run('apt-get', ['install', '-y', '--no-install-recommends', ...packages]);
  run('npm', ['ci', '--ignore-scripts', '--prefix', peersFolder]);
}

/** @throws Error that says what to do, if the machine lacks something. */
export function requirePackages(): void {
  if (process.platform !== 'linux') throw new Error('the bench reads /proc and pins processes: it runs on Linux only');
  const packages = missingPackages();
  if (packages.length === 0) return;
  throw new Error(`missing here: run  apt-get install ${packages.join(' ')}  or  npm run bench -- --install`);
}

function run(command: string, args: readonly string[]): void {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit' });
  if (status !== 0) throw new Error(`${[command, ...args].join(' ')} failed${error ? `: ${error.message}` : ''}`);
}
