import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ensureAdminKey, type EnsuredAdminKey } from './admin-key.ts';
import { loadGatewayConfig } from './load.ts';

interface Place {
  readonly prefix: string;
  readonly file: string;
  readonly keyFile: string;
}

function place(t: TestContext, text: string): Place {
  const prefix = mkdtempSync(join(tmpdir(), 'weir-key-'));
  t.after(() => rmSync(prefix, { recursive: true, force: true }));
  mkdirSync(join(prefix, 'conf'));
  const file = join(prefix, 'conf', 'config.yaml');
  writeFileSync(file, text);
  return { prefix, file, keyFile: join(prefix, 'data', 'admin.key') };
}

function ensure({ file, prefix }: Place): EnsuredAdminKey {
  const { config } = loadGatewayConfig({ file, environment: {} });
  return ensureAdminKey({ file, prefix, config });
}

function keyIn(file: string): string | undefined {
  return loadGatewayConfig({ file, environment: {} }).config.deployment.admin.admin_key[0]?.key;
}

const entry = (key: string) => `# top
apisix:   { node_listen: 9080 }   # odd   spacing

deployment:
    admin:
        admin_key:
        -   name: admin   # who
            key:${key} # the key
            role: admin
        -   {name: v, key: v-key, role: viewer}
        allow_admin: [ 127.0.0.0/24 ]
`;

for (const [name, empty] of [
  ['single quotes', " ''"],
  ['double quotes', ' ""'],
  ['nothing', ''],
  ['null', ' ~'],
] as const) {
  test(`a key is generated into its place, where ${name} stood, and all else stays`, (t) => {
    const at = place(t, entry(empty));
    const { config, generated, warning } = ensure(at);
    assert.ok(generated);
    assert.match(generated.key, /^[0-9a-f]{32}$/);
    assert.deepEqual({ file: generated.file, warning }, { file: at.file, warning: null });
    assert.equal(config.deployment.admin.admin_key[0]?.key, generated.key);
    assert.equal(readFileSync(at.file, 'utf8'), entry(` '${generated.key}'`));
    assert.deepEqual(readdirSync(join(at.prefix, 'conf')), ['config.yaml']);
    // The next start finds it there.
    assert.deepEqual(ensure(at), { config, generated: null, warning: null });
  });
}

test('the shipped conf/config.yaml takes a key', (t) => {
  const shipped = readFileSync(new URL('../../../conf/config.default.yaml', import.meta.url), 'utf8');
  const at = place(t, shipped.replace(/key: '[0-9a-f]*'/, "key: ''"));
  const { generated } = ensure(at);
  assert.equal(keyIn(at.file), generated?.key);
});

for (const [name, text, kept] of [
  ['an empty file', '', ''],
  ['a file of comments', '# only this\n', '# only this'],
  ['a file without the section', 'apisix:\n  node_listen: 1 # here\n', 'node_listen: 1 # here'],
  ['empty sections', 'deployment:\n  admin:\n', 'deployment:'],
  ['a list without entries', 'deployment:\n  admin:\n    admin_key: []\n    https_admin: false # no\n', '# no'],
  [
    'an entry without key',
    'deployment:\n  admin:\n    admin_key:\n      - name: me # I\n        role: viewer\n',
    'name: me # I',
  ],
] as const) {
  test(`a key is added to ${name}`, (t) => {
    const at = place(t, text);
    const { generated, warning, config } = ensure(at);
    assert.equal(warning, null);
    assert.equal(keyIn(at.file), generated?.key);
    assert.deepEqual(loadGatewayConfig({ file: at.file, environment: {} }).config, config);
    assert.ok(readFileSync(at.file, 'utf8').includes(kept));
  });
}

test('two starts in two places make different keys', (t) => {
  assert.notEqual(ensure(place(t, '')).generated?.key, ensure(place(t, '')).generated?.key);
});

test('the mode of the file stays, and a symbolic link to it stays a link', (t) => {
  const at = place(t, '');
  chmodSync(at.file, 0o660);
  const link = join(at.prefix, 'link.yaml');
  symlinkSync(at.file, link);
  const { generated } = ensure({ ...at, file: link });
  assert.equal(statSync(at.file).mode & 0o777, 0o660);
  assert.equal(keyIn(at.file), generated?.key);
  assert.equal(
    readdirSync(at.prefix, { withFileTypes: true })
      .find((item) => item.name === 'link.yaml')
      ?.isSymbolicLink(),
    true,
  );
});

test('when the file cannot hold the key, it is kept in data/admin.key and found there again', (t) => {
  const at = place(t, "deployment: {admin: {admin_key: [{name: a, role: admin, key: '${{KEY:=}}'}]}}\n");
  const before = readFileSync(at.file, 'utf8');
  const { config, generated, warning } = ensure(at);
  assert.equal(generated?.file, at.keyFile);
  assert.equal(
    warning,
    `the generated admin key could not be written into ${at.file} (the key stands there as a substitution or an alias), it is in ${at.keyFile}`,
  );
  assert.equal(readFileSync(at.file, 'utf8'), before);
  assert.equal(readFileSync(at.keyFile, 'utf8'), `${generated?.key}\n`);
  assert.equal(statSync(at.keyFile).mode & 0o777, 0o600);
  assert.deepEqual(ensure(at), { config, generated: null, warning: null });
});

test('when the key can be stored nowhere, the error says to set one', (t) => {
  const at = place(t, "deployment: {admin: {admin_key: [{name: a, role: admin, key: '${{KEY:=}}'}]}}\n");
  writeFileSync(join(at.prefix, 'data'), 'in the way');
  assert.throws(() => ensure(at), { name: 'ConfigFileError', message: /set deployment\.admin\.admin_key yourself$/ });
});

for (const [name, text] of [
  ['a key is there', 'deployment: {admin: {admin_key: [{name: a, role: admin, key: mine}]}}'],
  ['no key is asked for', 'deployment: {admin: {admin_key_required: false}}'],
  ['there is no Admin API', 'apisix: {enable_admin: false}'],
] as const) {
  test(`nothing is generated where ${name}`, (t) => {
    const at = place(t, text);
    const { config } = loadGatewayConfig({ file: at.file, environment: {} });
    assert.deepEqual(ensure(at), { config, generated: null, warning: null });
    assert.equal(readFileSync(at.file, 'utf8'), text);
    assert.equal(existsSync(at.keyFile), false);
  });
}
