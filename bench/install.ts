import { spawnSync } from 'node:child_process';
import type { PeerKind } from './peers/peer.ts';
import { missingPackages } from './rig/machine.ts';

const peersFolder = new URL('./peers', import.meta.url).pathname;

/**
 * Installs what is missing: Debian packages, and the peers from npm.
 *
 * @throws Error that says what to do instead, where that is not possible.
 */
export function install(kinds: readonly PeerKind[]): void {
  requireLinux();
  const packages = missingPackages();
  if (packages.length > 0) installPackages(packages);
  if (kinds.some((kind) => kind.missing() !== null)) {
    const hint = 'is there a way to the npm registry? Without --install the bench runs without these peers';
    run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', peersFolder], hint);
  }
}

/** @throws Error that says what to do, if the machine lacks something. */
export function requirePackages(): void {
  requireLinux();
  const packages = missingPackages();
  if (packages.length === 0) return;
  throw new Error(`missing here: run  apt-get install ${packages.join(' ')}  or  npm run bench -- --install`);
}

function requireLinux(): void {
  if (process.platform !== 'linux') throw new Error('the bench reads /proc and pins processes: it runs on Linux only');
}

function installPackages(packages: readonly string[]): void {
  const byHand = `apt-get install ${packages.join(' ')}`;
  if (process.getuid?.() !== 0) throw new Error(`only root can install packages: run  sudo ${byHand}  and try again`);
  const hint = `install by other means what provides ${packages.join(' and ')}, and try again`;
  // A fresh container has no list of packages. An old list is good enough where there is no network.
  spawnSync('apt-get', ['update'], { stdio: 'inherit' });
  run('apt-get', ['install', '-y', '--no-install-recommends', ...packages], hint);
}

function run(command: string, args: readonly string[], hint: string): void {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit' });
  if (status === 0) return;
  const reason = error === undefined ? '' : ` (${error.message})`;
  throw new Error(`${[command, ...args].join(' ')} failed${reason}: ${hint}`);
}
