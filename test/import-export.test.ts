import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createCipheriv } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { pluginCatalogue } from '../src/plugins/index.ts';
import { CommandError } from '../src/process/command-error.ts';
import { toGatewayPaths } from '../src/process/configuration.ts';
import { type ImportOptions, runImport } from '../src/process/import-command.ts';
import { checkAccessLogFormat } from '../src/proxy/access-log.ts';
import { checkVars } from '../src/router/expression.ts';
import { etcdProgram, type EtcdCluster, startEtcd } from './services/etcd.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { serverCertificate } from './support/tls-fixtures.ts';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const adminKey = 'test-admin-key';
const canary = 'sk-canary';
const ai = { 'ai-proxy': { provider: 'openai', auth: { header: { Authorization: `Bearer ${canary}` } } } };

/** Something of everything; each refers to others. */
const whole = {
  routes: [
    { id: 'chat', uri: '/chat', plugins: ai, service_id: 's', plugin_config_id: 'p' },
    { id: '7', uri: '/seven', upstream: { nodes: { '127.0.0.1:80': 1 }, type: 'roundrobin' } },
  ],
  services: [{ id: 's', upstream_id: 'u', hosts: ['a.example.com'] }],
  upstreams: [{ id: 'u', nodes: [{ host: '127.0.0.1', port: 1980, weight: 1 }] }],
  consumers: [
    { username: 'jack', group_id: 'g' },
    { id: 'jack/credentials/one', plugins: { 'key-auth': { key: canary } } },
  ],
  global_rules: [{ id: '1', plugins: { 'ai-prompt-guard': { deny_patterns: ['secret'] } } }],
  plugin_configs: [
    { id: 'p', plugins: { 'ai-prompt-decorator': { prepend: [{ role: 'system', content: '${{x}}' }] } } },
  ],
  consumer_groups: [{ id: 'g', plugins: {} }],
  plugin_metadata: [{ id: 'http-logger', log_format: { host: '$host' } }],
  ssls: [{ id: 'tls', cert: serverCertificate.cert, key: serverCertificate.key, snis: ['localhost'] }],
  secrets: [{ id: 'vault/1', uri: 'http://127.0.0.1:8200', prefix: 'kv', token: canary }],
};

interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

let gateway: TestGateway;
let folder: string;
before(async () => {
  gateway = await startGateway();
  folder = mkdtempSync(join(tmpdir(), 'weir-import-'));
});
after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await gateway[Symbol.asyncDispose]();
});

/** Runs `weir` on the gateway's prefix. */
function weir(...args: readonly string[]): Promise<Ran> {
  return weirIn({}, ...args);
}

function weirIn(env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...env } };
    execFile(process.execPath, [main, '-p', gateway.prefix, ...args], options, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

function toFile(name: string, document: object): string {
  const file = join(folder, name);
  writeFileSync(file, `${stringify(document)}#END\n`);
  return file;
}

/** Imports into the gateway of these tests as the command does, in this process, which is faster. */
async function importInto(options: ImportOptions, prefix = gateway.prefix): Promise<Ran> {
  const lines: string[] = [];
  const parts = { catalogue: pluginCatalogue, checkVars, checkAccessLogFormat };
  const ran = (status: number, stderr: string): Ran => ({ status, stdout: `${lines.join('\n')}\n`, stderr });
  try {
    const target = prefix === gateway.prefix ? { toAdmin: gateway.adminUrl, ...options } : options;
    await runImport(target, { paths: toGatewayPaths({ prefix }), parts }, (line) => lines.push(line));
    return ran(0, '');
  } catch (error) {
    assert.ok(error instanceof CommandError, String(error));
    return ran(1, error.message);
  }
}

async function routeIds(): Promise<string[]> {
  const { body } = await gateway.admin('GET', '/routes');
  return (body as { list: { value: { id: string } }[] }).list.map(({ value }) => value.id).sort();
}

/** The rows of the table that the import prints: kind -> created, changed, unchanged, deleted, left out. */
function summaryOf({ stdout }: Ran): Record<string, number[]> {
  const rows = [...stdout.matchAll(/^(\w+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)$/gm)];
  return Object.fromEntries(rows.map(([, kind = '', ...cells]) => [kind, cells.map(Number)]));
}

async function serve(
  t: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('weir import', { timeout: 120_000 }, () => {
  beforeEach(async () => {
    const emptied = await importInto({ fromYaml: toFile('empty.yaml', {}), prune: true });
    assert.equal(emptied.status, 0, emptied.stderr);
  });

  test('puts everything in, a second time nothing, and export gives it back', async () => {
    const file = toFile('whole.json', {});
    writeFileSync(file, JSON.stringify(whole).replace('${{x}}', String.raw`\u0024{{x}}`));
    const first = await weir('import', '--to-admin', gateway.adminUrl, file);
    assert.equal(first.status, 0, first.stdout + first.stderr);
    assert.deepEqual(summaryOf(first), {
      secrets: [1, 0, 0, 0, 0],
      ssls: [1, 0, 0, 0, 0],
      upstreams: [1, 0, 0, 0, 0],
      services: [1, 0, 0, 0, 0],
      plugin_configs: [1, 0, 0, 0, 0],
      consumer_groups: [1, 0, 0, 0, 0],
      consumers: [1, 0, 0, 0, 0],
      credentials: [1, 0, 0, 0, 0],
      plugin_metadata: [1, 0, 0, 0, 0],
      global_rules: [1, 0, 0, 0, 0],
      routes: [2, 0, 0, 0, 0],
    });
    const second = await importInto({ fromYaml: file });
    assert.equal(second.status, 0);
    for (const [kind, cells] of Object.entries(summaryOf(second))) {
      assert.deepEqual(cells, [0, 0, kind === 'routes' ? 2 : 1, 0, 0], kind);
    }

    // While the gateway runs, and holds its database.
    const ofStore = await weir('export');
    assert.equal(ofStore.status, 0, ofStore.stderr);
    assert.deepEqual(parse(ofStore.stdout.replaceAll('\\x24', '$')), inOrder(whole));
    assert.match(ofStore.stdout, /\n#END\n$/);
    const exported = join(folder, 'exported.yaml');
    assert.equal((await weir('export', '--output', exported)).status, 0);
    assert.equal(readFileSync(exported, 'utf8'), ofStore.stdout);
    assert.equal(statSync(exported).mode & 0o777, 0o600);

    const ofAdmin = await weirIn(
      { WEIR_FROM_KEY: adminKey },
      'export',
      '--from-admin',
      gateway.adminUrl,
      '--format',
      'json',
    );
    assert.equal(ofAdmin.status, 1, 'a private key is missing');
    assert.match(ofAdmin.stderr, /left out: ssls\/tls key: an Admin API does not tell private keys/);
    const [ssl] = whole.ssls;
    const { key: _, ...untold } = ssl ?? {};
    assert.deepEqual(JSON.parse(ofAdmin.stdout), inOrder({ ...whole, ssls: [untold] }));

    const gone = await importInto({ fromYaml: toFile('empty.yaml', {}), prune: true });
    assert.equal(gone.status, 0, gone.stderr);
    assert.deepEqual(
      Object.values(summaryOf(gone)).map(([, , , deleted]) => deleted),
      [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2],
    );
    assert.equal((await importInto({ fromYaml: exported })).status, 0);
    assert.equal((await weir('export')).stdout, ofStore.stdout);
    for (const { stdout, stderr } of [first, second, gone]) {
      assert.doesNotMatch(stdout + stderr, /canary|PRIVATE KEY|test-admin-key/);
    }
  });

  test('changes what differs, deletes only with --prune, and writes nothing in a dry run', async () => {
    const one = { id: 'one', uri: '/one', plugins: ai };
    const two = { id: 'two', uri: '/two', plugins: ai };
    assert.equal((await importInto({ fromYaml: toFile('two.yaml', { routes: [one, two] }) })).status, 0);
    const file = toFile('one.yaml', {
      routes: [
        { ...one, uri: '/ONE' },
        { ...one, id: 'new', uri: '/new' },
      ],
    });
    const dry = await importInto({ fromYaml: file, prune: true, dryRun: true });
    assert.deepEqual(summaryOf(dry), { routes: [1, 1, 0, 1, 0] });
    assert.match(dry.stdout, /nothing was written/);
    assert.deepEqual(await routeIds(), ['one', 'two']);
    assert.deepEqual(summaryOf(await importInto({ fromYaml: file })), { routes: [1, 1, 0, 0, 0] });
    assert.deepEqual(await routeIds(), ['new', 'one', 'two']);
    assert.deepEqual(summaryOf(await importInto({ fromYaml: file, prune: true })), { routes: [0, 0, 2, 1, 0] });
    assert.deepEqual(await routeIds(), ['new', 'one']);
  });

  test('writes nothing when something cannot be taken over, and the rest with --allow-partial', async () => {
    const file = toFile('foreign.yaml', {
      routes: [
        { id: 'good', uri: '/good', plugins: ai },
        { id: 'lua', uri: '/lua', filter_func: 'function(vars) return true end', plugins: { 'openid-connect': {} } },
      ],
      plugins: [{ name: 'ai-proxy' }],
    });
    const refused = await importInto({ fromYaml: file });
    assert.equal(refused.status, 1);
    assert.match(refused.stdout, /^left out: routes\/lua filter_func: it is Lua code$/m);
    assert.match(refused.stdout, /^left out: routes\/lua plugins\.openid-connect: Weir has no such plugin$/m);
    assert.match(refused.stdout, /^note: the list of enabled plugins/m);
    assert.match(refused.stderr, /--allow-partial/);
    assert.deepEqual(await routeIds(), []);
    const partial = await importInto({ fromYaml: file, allowPartial: true });
    assert.equal(partial.status, 0, partial.stderr);
    assert.deepEqual(summaryOf(partial), { routes: [1, 0, 0, 0, 1] });
    assert.deepEqual(await routeIds(), ['good']);
  });

  test('a plugin that moves from one global rule to another is not in its own way', async () => {
    const plugins = { 'ai-prompt-guard': { deny_patterns: ['x'] } };
    assert.equal(
      (await importInto({ fromYaml: toFile('g1.yaml', { global_rules: [{ id: 'old', plugins }] }) })).status,
      0,
    );
    const file = toFile('g2.yaml', { global_rules: [{ id: 'new', plugins }] });
    const refused = await importInto({ fromYaml: file });
    assert.equal(refused.status, 1);
    assert.match(
      refused.stdout,
      /^refused: global_rules\/new: plugin 'ai-prompt-guard' already exists in global rule/m,
    );
    const pruned = await importInto({ fromYaml: file, prune: true });
    assert.equal(pruned.status, 0, pruned.stdout);
    assert.deepEqual(summaryOf(pruned), { global_rules: [1, 0, 0, 1, 0] });
    const moved = toFile('g3.yaml', {
      global_rules: [
        { id: 'first', plugins },
        { id: 'new', plugins: { prometheus: {} } },
      ],
    });
    assert.deepEqual(summaryOf(await importInto({ fromYaml: moved })), { global_rules: [1, 1, 0, 0, 0] });
  });

  test('a gateway that fails in the middle: what was done is told, and the next run goes on from there', async (t) => {
    const routes = ['a', 'b', 'c', 'd'].map((id) => ({ id, uri: `/${id}`, plugins: ai }));
    const file = toFile('four.yaml', { routes });
    let writes = 0;
    const url = await serve(t, (incoming, response) => {
      if (incoming.method === 'PUT' && ++writes === 3) return void response.destroy();
      const headers = { 'X-API-KEY': adminKey };
      const onward = request(
        gateway.adminUrl + incoming.url,
        { method: incoming.method ?? 'GET', headers },
        (answer) => {
          response.writeHead(answer.statusCode ?? 500);
          answer.pipe(response);
        },
      );
      incoming.pipe(onward);
    });
    const broken = await importInto({ fromYaml: file, toAdmin: url });
    assert.equal(broken.status, 1);
    assert.deepEqual(summaryOf(broken), { routes: [2, 0, 0, 0, 0] });
    assert.match(broken.stderr, /cannot be reached: .*; 2 resources were not tried/);
    assert.deepEqual(await routeIds(), ['a', 'b']);
    assert.deepEqual(summaryOf(await importInto({ fromYaml: file, toAdmin: url })), { routes: [2, 0, 2, 0, 0] });
  });

  const complaints: readonly [what: string, options: () => ImportOptions, complaint: RegExp][] = [
    ['a wrong key', () => ({ toKey: canary, fromYaml: toFile('e.yaml', {}) }), /refuses the key: .*wrong apikey/],
    ['no source', () => ({}), /name what to import/],
    ['two sources', () => ({ fromYaml: 'x.yaml', fromAdmin: 'http://127.0.0.1:1' }), /name one source/],
    [
      'a file without its last line',
      () => ({ fromYaml: cut('cut.yaml') }),
      /cut\.yaml: it does not end with a line #END/,
    ],
    ['a file that is not there', () => ({ fromYaml: join(folder, 'none.yaml') }), /none\.yaml/],
    ['a variable that is not set', () => ({ fromYaml: toFile('v.yaml', { a: '${{NOT_SET}}' }) }), /NOT_SET is not set/],
    ['a source that is away', () => ({ fromAdmin: 'http://127.0.0.1:1' }), /http:\/\/127\.0\.0\.1:1 cannot be reached/],
    ['an etcd that is away', () => ({ fromEtcd: 'http://127.0.0.1:1' }), /etcd at http:\/\/127\.0\.0\.1:1: /],
    ['a server that is something else', () => ({ fromAdmin: gateway.controlUrl }), /there is no Admin API at/],
    ['a key inside of a URL', () => ({ fromAdmin: `http://a:${canary}@127.0.0.1:1` }), /looks like http:/],
    [
      'a key that no header can hold',
      () => ({ toKey: `${canary}\n${canary}`, fromYaml: toFile('e.yaml', {}) }),
      /the key of an Admin API has a character that no header can hold/,
    ],
    ['a keyring of other lengths', () => ({ fromEtcd: 'http://127.0.0.1:1', keyring: canary }), /16 or 32 bytes/],
  ];
  for (const [what, options, complaint] of complaints) {
    test(`${what} is told in one line`, async () => {
      const { status, stdout, stderr } = await importInto(options());
      assert.equal(status, 1);
      assert.match(stderr, complaint);
      assert.doesNotMatch(stderr, /\n/);
      assert.doesNotMatch(stdout + stderr, /canary|test-admin-key/);
    });
  }

  test('wrong usage has the status 2, as that of other commands', async () => {
    for (const args of [[], ['one.yaml', '--from-yaml', 'two.yaml'], ['--from-etcd', 'etcd:2379']]) {
      assert.equal((await weir('import', ...args)).status, 2, args.join(' '));
    }
  });

  test('without a gateway, a dry run still tells what cannot be taken over', async () => {
    const file = toFile('lua.yaml', { routes: [{ id: 'l', uri: '/l', script: 'return function() end' }] });
    const { status, stdout } = await importInto({ fromYaml: file, dryRun: true }, join(folder, 'nowhere'));
    assert.equal(status, 1);
    assert.match(stdout, /^note: there is no .*everything counts as new$/m);
    assert.match(stdout, /^left out: routes\/l script: it is Lua code$/m);
  });

  test('beside the config.yaml of a gateway without an Admin API, a dry run checks all the same', async () => {
    const prefix = join(folder, 'from-files');
    mkdirSync(join(prefix, 'conf'), { recursive: true });
    const config = { deployment: { role: 'data_plane', role_data_plane: { config_provider: 'yaml' } } };
    writeFileSync(join(prefix, 'conf', 'config.yaml'), stringify(config));
    const file = toFile('data-plane.yaml', { routes: [{ id: 'one', uri: '/one', plugins: ai }] });
    const dry = await importInto({ fromYaml: file, dryRun: true }, prefix);
    assert.equal(dry.status, 0, dry.stderr);
    assert.match(dry.stdout, /^note: .* does not tell the port of an Admin API.*; everything counts as new$/m);
    assert.deepEqual(summaryOf(dry), { routes: [1, 0, 0, 0, 0] });
    const wet = await importInto({ fromYaml: file }, prefix);
    assert.match(wet.stderr, /does not tell the port of an Admin API: name one with --to-admin$/);
  });

  test('reads an Admin API of version 2, one of version 3 in pages, and leaves out what they do not tell', async (t) => {
    const routes = Array.from({ length: 501 }, (_, index) => ({
      uri: `/${index}`,
      plugins: ai,
      create_time: 1,
      update_time: 2,
    }));
    const url = await serve(t, (incoming, response) => {
      const { pathname, searchParams } = new URL(incoming.url ?? '', 'http://apisix');
      const send = (status: number, body: unknown): void => void response.writeHead(status).end(JSON.stringify(body));
      if (incoming.headers['x-api-key'] !== 'k') return send(401, { error_msg: 'failed to check token' });
      const kind = pathname.replace('/apisix/admin/', '');
      const start = (Number(searchParams.get('page')) - 1) * Number(searchParams.get('page_size'));
      const list = routes.map((value, index) => ({ key: `/apisix/routes/${index}`, value, createdIndex: index }));
      if (kind === 'routes') return send(200, { total: 501, list: list.slice(start, start + 500) });
      if (kind === 'services') return send(404, { message: 'Key not found' });
      if (kind === 'stream_routes') return send(400, { error_msg: 'stream mode is disabled' });
      if (kind === 'ssls') return send(404, { error_msg: 'Unsupported resource type: ssls' });
      if (kind !== 'upstreams') return send(200, { total: 0, list: {} });
      const node = {
        key: '/apisix/upstreams/u',
        value: { nodes: { '127.0.0.1:1': 1 }, type: 'roundrobin' },
        createdIndex: 1,
      };
      send(200, { action: 'get', count: 1, node: { key: '/apisix/upstreams', dir: true, nodes: [node] } });
    });
    const { status, stdout, stderr } = await weir('export', '--from-admin', url, '--from-key', 'k', '--format', 'json');
    assert.equal(status, 0, stderr);
    assert.match(stderr, /^note: ssls: the Admin API does not list them \(Unsupported resource type: ssls\)$/m);
    assert.doesNotMatch(stderr, /stream_routes/);
    const exported = JSON.parse(stdout) as { routes: object[]; upstreams: object[] };
    assert.deepEqual(exported.upstreams, [{ id: 'u', nodes: { '127.0.0.1:1': 1 }, type: 'roundrobin' }]);
    assert.equal(exported.routes.length, 501);
    assert.deepEqual(exported.routes[500], { id: '500', uri: '/500', plugins: ai });
  });

  test('opens the private keys that the Admin API of APISIX lists as they are in etcd', async (t) => {
    const keyring = 'my-own-key-16-by';
    const { cert, key } = serverCertificate;
    const tls = { client_cert: cert, client_key: encrypt(key, keyring) };
    const lists: Record<string, object[]> = {
      ssls: [{ id: 'tls', cert, key: encrypt(key, keyring), snis: ['localhost'] }],
      upstreams: [{ id: 'u', nodes: { '127.0.0.1:443': 1 }, scheme: 'https', tls }],
    };
    const url = await serve(t, ({ url = '' }, response) => {
      const [, kind = ''] = /^\/apisix\/admin\/(\w+)/.exec(url) ?? [];
      const list = (lists[kind] ?? []).map((value) => ({
        key: `/apisix/${kind}/${'tls' in value ? 'u' : 'tls'}`,
        value,
      }));
      response.end(JSON.stringify({ total: list.length, list }));
    });
    const opened = await importInto({ fromAdmin: url, keyring });
    assert.equal(opened.status, 0, opened.stdout);
    const { stdout } = await weir('export', '--format', 'json');
    const exported = JSON.parse(stdout) as { ssls: object[]; upstreams: object[] };
    assert.deepEqual(exported.ssls, [{ id: 'tls', cert, key, snis: ['localhost'] }]);
    assert.deepEqual(exported.upstreams, [
      { id: 'u', nodes: { '127.0.0.1:443': 1 }, scheme: 'https', tls: { client_cert: cert, client_key: key } },
    ]);
    const closed = await importInto({ fromAdmin: url });
    assert.match(closed.stdout, /^note: ssls\/tls: a field looks encrypted with a key that the keyring does not have/m);
  });
});

describe(
  'from etcd',
  { skip: etcdProgram === null ? 'there is no etcd, and apt-get could not install it' : false },
  () => {
    const keyring = 'my-own-key-16-by';
    let etcd: EtcdCluster;
    before(async () => {
      etcd = await startEtcd();
      await etcd.put('/apisix/routes/', 'init_dir');
      await etcd.put('/apisix/data_plane/server_info/1', { id: 1 });
      await etcd.put('/apisix/ssl/of-version-2', { id: 1 });
      await etcd.put('/apisix/routes/1', {
        id: 1,
        uri: '/encrypted',
        create_time: 1,
        update_time: 2,
        plugins: {
          'ai-proxy': { provider: 'openai', auth: { header: { Authorization: encrypt(`Bearer ${canary}`, keyring) } } },
        },
      });
      await etcd.put('/apisix/consumers/jack', { username: 'jack' });
      await etcd.put('/apisix/consumers/jack/credentials/one', { id: 'one', desc: 'a credential' });
      await etcd.put('/apisix/routes/broken', '[');
    });
    after(() => etcd[Symbol.asyncDispose]());

    test('credentials are decrypted on their way into a gateway, and a broken value is left out', async () => {
      const from = { fromEtcd: etcd.endpoints.join(','), keyring };
      const complete = await importInto(from);
      assert.equal(complete.status, 1);
      assert.match(complete.stdout, /^left out: routes\/broken: its value in etcd is not a JSON object$/m);
      assert.match(complete.stdout, /^note: what lies under \/apisix\/ssl\/ in etcd is no resource of APISIX 3/m);
      assert.doesNotMatch(complete.stdout, /data_plane/);
      const { status, stdout } = await importInto({ ...from, allowPartial: true, prune: true });
      assert.equal(status, 0, stdout);
      assert.doesNotMatch(stdout, /canary/);
      const { body } = await gateway.admin('GET', '/routes/1');
      assert.deepEqual((body as { value: { plugins: object } }).value.plugins, ai);
      assert.equal((await gateway.admin('GET', '/consumers/jack/credentials/one')).status, 200);
      assert.deepEqual(summaryOf(await importInto({ ...from, allowPartial: true })), {
        consumers: [0, 0, 1, 0, 0],
        credentials: [0, 0, 1, 0, 0],
        routes: [0, 0, 1, 0, 1],
      });
    });

    test('a keyring that opens nothing is told', async () => {
      const { status, stderr } = await weir('export', '--from-etcd', etcd.endpoints[0] ?? '', '--allow-partial');
      assert.equal(status, 0);
      assert.match(stderr, /^note: routes\/1: a field looks encrypted with a key that the keyring does not have/m);
    });

    test('a prefix under which nothing lies is told, before --prune deletes everything', async () => {
      const { status, stderr } = await importInto({
        fromEtcd: etcd.endpoints.join(','),
        etcdPrefix: '/a',
        prune: true,
      });
      assert.equal(status, 1);
      assert.match(stderr, /nothing lies under \/a\/ in etcd.*--etcd-prefix/);
      assert.deepEqual(await routeIds(), ['1']);
    });

    test('the prefix of a gateway with etcd is exported by what its config.yaml says', async (t) => {
      const prefix = mkdtempSync(join(tmpdir(), 'weir-import-'));
      t.after(() => rmSync(prefix, { recursive: true, force: true }));
      mkdirSync(join(prefix, 'conf'));
      const config = {
        apisix: { data_encryption: { keyring: [keyring] } },
        deployment: { role: 'data_plane', etcd: { host: etcd.endpoints } },
      };
      writeFileSync(join(prefix, 'conf', 'config.yaml'), stringify(config));
      const { stdout } = await weir('-p', prefix, 'export', '--allow-partial');
      assert.deepEqual(parse(stdout), {
        routes: [{ id: '1', uri: '/encrypted', plugins: ai }],
        consumers: [{ username: 'jack' }, { id: 'jack/credentials/one', desc: 'a credential' }],
      });
    });
  },
);

describe('weir export of a file', () => {
  test('turns YAML into JSON, with the variables in their place', async () => {
    const file = toFile('vars.yaml', { routes: [{ id: 1, uri: '${{CHAT_PATH}}' }] });
    const { stdout } = await weirIn({ CHAT_PATH: '/chat' }, 'export', '--from-yaml', file, '--format', 'json');
    assert.deepEqual(JSON.parse(stdout), { routes: [{ id: '1', uri: '/chat' }] });
  });
});

/** As an export writes it: members do not count, but lists are in order of creation. */
function inOrder(document: object): object {
  return JSON.parse(JSON.stringify(document)) as object;
}

/** As APISIX does it. */
function encrypt(text: string, key: string): string {
  const cipher = createCipheriv('aes-128-cbc', key, key);
  return Buffer.concat([cipher.update(text), cipher.final()]).toString('base64');
}

function cut(name: string): string {
  const file = join(folder, name);
  writeFileSync(file, 'routes: []\n');
  return file;
}
