import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { test, type TestContext } from 'node:test';

const script = new URL('../scripts/setup.mjs', import.meta.url).pathname;

interface Packages {
  readonly [path: string]: { readonly integrity?: string; readonly optional?: boolean };
}

const wanted: Packages = {
  '': {},
  'node_modules/a': { integrity: 'sha-a' },
  'node_modules/for-another-platform': { integrity: 'sha-p', optional: true },
};

/** A project with a lock file, and an npm that only notes how it was called. */
class Project {
  readonly root: string;
  readonly #bin: string;

  constructor(t: TestContext) {
    this.root = mkdtempSync(join(tmpdir(), 'weir-setup-'));
    t.after(() => rmSync(this.root, { recursive: true, force: true }));
    this.#bin = join(this.root, 'bin');
    mkdirSync(join(this.root, 'scripts'));
    mkdirSync(this.#bin);
    cpSync(script, join(this.root, 'scripts', 'setup.mjs'));
    this.write('package-lock.json', JSON.stringify({ packages: wanted }));
    this.npmDoes('exit 0');
  }

  write(path: string, text: string): void {
    writeFileSync(join(this.root, path), text);
  }

  program(path: string, commands: string): void {
    writeFileSync(path, `#!/bin/sh\n${commands}\n`);
    chmodSync(path, 0o755);
  }

  /** What `npm` is to do, besides taking its notes. */
  npmDoes(commands: string): void {
    this.program(join(this.#bin, 'npm'), `echo "$@" > ${this.root}/npm-arguments; ${commands}`);
  }

  install(packages: Packages): void {
    mkdirSync(join(this.root, 'node_modules', '.bin'), { recursive: true });
    this.write('node_modules/.package-lock.json', JSON.stringify({ packages }));
    this.program(join(this.root, 'node_modules', '.bin', 'node'), 'echo v26.0.0');
  }

  setUp(): { status: number | null; stdout: string; stderr: string } {
    const own = join(this.root, 'node_modules', '.bin');
    const PATH = [own, this.#bin, '/usr/bin', '/bin'].join(delimiter);
    return spawnSync(process.execPath, [join(this.root, 'scripts', 'setup.mjs')], {
      encoding: 'utf8',
      env: { ...process.env, PATH },
    });
  }

  get npmArguments(): string | null {
    const file = join(this.root, 'npm-arguments');
    return existsSync(file) ? readFileSync(file, 'utf8').trim() : null;
  }
}

test('when everything is installed, nothing is said and npm is not run', (t) => {
  const project = new Project(t);
  project.install({ 'node_modules/a': { integrity: 'sha-a' } });
  const { status, stdout, stderr } = project.setUp();
  assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' });
  assert.equal(project.npmArguments, null);
});

const reasons: readonly (readonly [string, (project: Project) => void])[] = [
  ['node_modules is missing', () => {}],
  ['a package is missing', (project) => project.install({})],
  ['a package has another content', (project) => project.install({ 'node_modules/a': { integrity: 'sha-b' } })],
  [
    'the pinned Node is missing',
    (project) => {
      project.install({ 'node_modules/a': { integrity: 'sha-a' } });
      rmSync(join(project.root, 'node_modules', '.bin', 'node'));
    },
  ],
];
for (const [reason, prepare] of reasons) {
  test(`when ${reason}, packages are installed without touching the lock file`, (t) => {
    const project = new Project(t);
    prepare(project);
    const node = `${project.root}/node_modules/.bin/node`;
    project.npmDoes(
      `echo "$PATH" > ${project.root}/npm-path; mkdir -p ${project.root}/node_modules/.bin
       printf '#!/bin/sh\\necho v26.0.0\\n' > ${node}; chmod +x ${node}`,
    );
    const { status, stdout, stderr } = project.setUp();
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
    assert.match(stdout, /^Installing .* done in \d+ s\.\n$/);
    assert.match(project.npmArguments ?? '', /^install --no-save /);
    const path = readFileSync(join(project.root, 'npm-path'), 'utf8');
    assert.ok(!path.includes('node_modules'), 'npm does not run on the Node that it replaces');
  });
}

test('what npm complains about is shown, and the status is 1', (t) => {
  const project = new Project(t);
  project.npmDoes('echo "npm error network is unreachable" >&2; exit 7');
  const { status, stdout, stderr } = project.setUp();
  assert.equal(status, 1);
  assert.match(stdout, /failed\.\n$/);
  assert.match(stderr, /^weir: npm install failed with status 7:\nnpm error network is unreachable\n$/);
});

test('an npm that fails with status 0 is not believed', (t) => {
  const project = new Project(t);
  project.npmDoes('echo "npm error Exit handler never called!" >&2; exit 0');
  const { status, stderr } = project.setUp();
  assert.equal(status, 1);
  assert.match(stderr, /did not finish:\nnpm error Exit handler/);
});

test('a Node whose install script did not run is told', (t) => {
  const project = new Project(t);
  project.npmDoes('exit 0');
  const { status, stderr } = project.setUp();
  assert.equal(status, 1);
  assert.match(stderr, /install script of the package `node`/);
});
