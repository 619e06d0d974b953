/**
 * Makes node_modules what package-lock.json says, before the first start and after a change of it. When there is nothing
 * to do, it says nothing. Runs on the Node that the machine has (20 or newer) and needs no package.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const pinnedNode = join(root, 'node_modules', '.bin', 'node');
const scriptsHint = 'let npm run the install script of the package `node` (npm config get ignore-scripts)';

if (!isInstalled()) install();

/** Compares what npm has noted about node_modules with the lock file. Packages for other platforms are only in the latter. */
function isInstalled() {
  const installed = readPackages(join(root, 'node_modules', '.package-lock.json'));
  const wanted = readPackages(join(root, 'package-lock.json'));
  if (installed === null || wanted === null || !existsSync(pinnedNode)) return false;
  return Object.entries(wanted).every(([path, { optional, integrity }]) => {
    const isProject = path === '';
    const found = installed[path];
    return isProject || (found === undefined ? optional : found.integrity === integrity);
  });
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages ?? null;
  } catch {
    return null;
  }
}

function install() {
  const startedAt = Date.now();
  process.stdout.write('Installing the packages that Weir needs, which takes up to a minute ... ');
  // Not `npm ci`: it refuses a lock file that lacks optional packages for other platforms, which npm leaves out when its
  // registry does not have them. --no-save keeps the lock file as it is, and what it names is what is installed.
  // Warnings are noise here, such as that this Node is too old: it only fetches the pinned one.
  const options = ['--no-save', '--loglevel=error', '--no-audit', '--no-fund', '--no-progress'];
  const npm = spawnSync('npm', ['install', ...options], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: pathWithoutProject() },
  });
  if (npm.error) fail(`npm cannot be run: ${npm.error.message}`);
  if (npm.signal) fail(`npm was ended by ${npm.signal}`);
  const complaint = npm.stderr.trimEnd();
  if (npm.status !== 0) fail(`npm install failed with status ${npm.status}:\n${complaint}`);
  if (spawnSync(pinnedNode, ['--version']).status !== 0) {
    // npm 10 ends with status 0 after some failures.
    fail(complaint ? `npm install did not finish:\n${complaint}` : `${pinnedNode} is missing: ${scriptsHint}`);
  }
  process.stdout.write(`done in ${Math.round((Date.now() - startedAt) / 1000)} s.\n`);
}

/** npm must not run on the Node in node_modules, which it removes first. */
function pathWithoutProject() {
  const own = join(root, 'node_modules');
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.startsWith(own))
    .join(delimiter);
}

function fail(reason) {
  process.stdout.write('failed.\n');
  process.stderr.write(`weir: ${reason}\n`);
  process.exit(1);
}
