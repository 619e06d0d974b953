import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, describe, test, type TestContext } from 'node:test';
import { type Log, silentLog } from '../src/base/log.ts';
import { EtcdClient, type EtcdClientOptions } from '../src/config/store/etcd/etcd-client.ts';
import { type EtcdStoreOptions, openEtcdStore } from '../src/config/store/etcd/etcd-store.ts';
import { LastGoodFile, type ValueCodec } from '../src/config/store/last-good.ts';
import type { WritableStore } from '../src/config/store/store.ts';
import { type EtcdCluster, etcdProgram, startEtcd } from './services/etcd.ts';
import { eventually } from './support/gateway.ts';

const skip = etcdProgram === null ? 'there is no etcd, and apt-get could not install it' : false;
const plain: ValueCodec = { encode: (_kind, value) => value, decode: (_kind, value) => value };
const quick = { heartbeatMs: 100, heartbeatTimeoutMs: 300, firstPauseMs: 10, longestPauseMs: 100 };

// Removed at the very end: a store that is closed still writes its last state.
const folders = mkdtempSync(join(tmpdir(), 'weir-etcd-store-'));
after(() => rmSync(folders, { recursive: true, force: true }));

interface Opening extends Partial<EtcdStoreOptions> {
  readonly client?: never;
  readonly connection?: Partial<EtcdClientOptions>;
}

/** Lines of the log, and the means to open stores on one folder. */
class Stage {
  readonly lines: string[] = [];
  readonly file: string;
  readonly #t: TestContext;
  readonly #log: Log;

  constructor(t: TestContext) {
    const folder = mkdtempSync(join(folders, 'of-test-'));
    this.file = join(folder, 'data', 'last-good.json');
    this.#t = t;
    const write: Log['error'] = (message, fields) => this.lines.push(`${message} ${JSON.stringify(fields ?? {})}`);
    this.#log = { ...silentLog, error: write, warn: write, notice: write };
  }

  async open(endpoints: readonly string[], { connection, ...more }: Opening = {}): Promise<WritableStore> {
    const store = await openEtcdStore({
      client: new EtcdClient({ endpoints, timeoutMs: 2000, ...connection }),
      prefix: '/apisix',
      codec: plain,
      check: () => null,
      lastGood: new LastGoodFile({ file: this.file, source: 'etcd', log: this.#log }),
      log: this.#log,
      timing: quick,
      patienceMs: 300,
      ...more,
    });
    this.#t.after(() => store.close());
    return store;
  }

  /** Makes an open without etcd start, and not wait for ever. */
  rememberNothing(): this {
    return this.remember([]);
  }

  remember(routes: readonly { readonly id: string; readonly uri: string }[]): this {
    const resources = routes.map((value) => ({
      kind: 'routes',
      id: value.id,
      value,
      createdIndex: 1,
      modifiedIndex: 1,
    }));
    mkdirSync(dirname(this.file));
    writeFileSync(this.file, JSON.stringify({ source: 'etcd', revision: 1, resources }));
    return this;
  }

  log(): string {
    return this.lines.join('\n');
  }
}

async function untilSeen(store: WritableStore, id: string, uri: string): Promise<void> {
  await eventually(() => store.get('routes', id)?.value['uri'] === uri, 10_000, `routes/${id} with ${uri}`);
}

describe('the etcd store', { skip }, () => {
  test('reads what APISIX has written, and nothing else', async (t) => {
    await using etcd = await startEtcd();
    await etcd.put('/apisix/routes/', 'init_dir');
    await etcd.put('/apisix/upstreams/', 'init_dir');
    await etcd.put('/apisix/routes/1', { id: '1', uri: '/1' });
    await etcd.put('/apisix/secrets/vault/1', { id: 'vault/1' });
    await etcd.put('/apisix/consumers/jack', { username: 'jack' });
    await etcd.put('/apisix/consumers/jack/credentials/one', { id: 'one' });
    await etcd.put('/apisix/plugins', [{ name: 'ai-proxy' }]);
    await etcd.put('/apisix/gen_id', '1');
    await etcd.put('/apisix/data_plane/server_info/4f3', { version: '3.18.0' });
    await etcd.put('/apisix2/routes/2', { id: '2', uri: '/2' });
    const store = await new Stage(t).open(etcd.endpoints);
    const { resources } = await store.load();
    const names = resources.map(({ kind, id, createdIndex }) => [kind, id, createdIndex]);
    assert.deepEqual(names, [
      ['routes', '1', 4],
      ['secrets', 'vault/1', 5],
      ['consumers', 'jack', 6],
      ['credentials', 'jack/one', 7],
    ]);
    await store.put('credentials', 'jack/two', { id: 'two' });
    await store.put('secrets', 'aws/x', { id: 'aws/x' });
    assert.equal(await etcd.get('/apisix/consumers/jack/credentials/two'), '{"id":"two"}');
    assert.equal(await etcd.get('/apisix/secrets/aws/x'), '{"id":"aws/x"}');
  });

  test('an invalid item is left out and named; a good one that becomes invalid stays as it was', async (t) => {
    await using etcd = await startEtcd();
    await etcd.put('/apisix/routes/text', 'not json, a secret');
    await etcd.put('/apisix/routes/deep', `{"uri":"/1","x":${'['.repeat(20_000)}${']'.repeat(20_000)}}`);
    await etcd.put('/apisix/routes/bad', { id: 'bad' });
    await etcd.put('/apisix/routes/good', { id: 'good', uri: '/1' });
    const stage = new Stage(t);
    const check = (_kind: string, value: Readonly<Record<string, unknown>>): string | null =>
      value['uri'] === undefined ? 'property "uri" is required' : null;
    const store = await stage.open(etcd.endpoints, { check });
    assert.deepEqual(
      store.list('routes').map(({ id }) => id),
      ['good'],
    );
    assert.match(stage.log(), /\/apisix\/routes\/bad is left out: property "uri" is required/);
    assert.match(stage.log(), /\/apisix\/routes\/text is left out: its value is not a JSON object/);
    assert.match(stage.log(), /\/apisix\/routes\/deep is left out: nested deeper than 200 levels/);
    assert.doesNotMatch(stage.log(), /a secret/);
    const before = store.get('routes', 'good')?.modifiedIndex ?? 0;
    await etcd.put('/apisix/routes/good', { id: 'good' });
    await eventually(() => (store.get('routes', 'good')?.modifiedIndex ?? 0) > before);
    assert.deepEqual(store.get('routes', 'good')?.value, { id: 'good', uri: '/1' });
    // Its index is the real one, so that a writer who has read it can repair it.
    const { modifiedIndex } = store.get('routes', 'good') ?? { modifiedIndex: 0 };
    await store.put('routes', 'good', { uri: '/2' }, { expectedModifiedIndex: modifiedIndex });
    assert.equal(store.get('routes', 'good')?.value['uri'], '/2');
  });

  test('a killed server: reads go on, writes fail, and what changed meanwhile arrives when it is back', async (t) => {
    await using etcd = await startEtcd();
    const [member] = etcd.members;
    const stage = new Stage(t);
    const store = await stage.open(etcd.endpoints);
    const other = await stage.open(etcd.endpoints);
    await store.put('routes', 'r1', { uri: '/1' });
    await member?.kill();
    await eventually(() => stage.log().includes('etcd cannot be followed'));
    assert.equal(store.get('routes', 'r1')?.value['uri'], '/1');
    await assert.rejects(store.put('routes', 'r1', { uri: '/2' }), {
      code: 'unavailable',
      message: /^etcd at http:\S+: .*ECONNREFUSED.*; nothing was changed$/,
    });
    await member?.start();
    await other.put('routes', 'r1', { uri: '/3' });
    await untilSeen(store, 'r1', '/3');
    await eventually(() => stage.log().includes('etcd is followed again'));
  });

  test('a paused server counts as away, and the watch goes on after it', async (t) => {
    await using etcd = await startEtcd();
    const [member] = etcd.members;
    const stage = new Stage(t);
    const store = await stage.open(etcd.endpoints, { connection: { timeoutMs: 400 } });
    await store.put('routes', 'r1', { uri: '/1' });
    member?.pause();
    await eventually(() => stage.log().includes('etcd cannot be followed'));
    await assert.rejects(store.put('routes', 'r1', { uri: '/lost?' }), {
      code: 'unavailable',
      message: /no answer within 400 ms; it is not known whether the write was done$/,
    });
    assert.ok(store.get('routes', 'r1'));
    member?.resume();
    await etcd.put('/apisix/routes/r2', { uri: '/2' });
    await untilSeen(store, 'r2', '/2');
  });

  test('a history that was compacted while etcd was out of reach is loaded anew', async (t) => {
    await using etcd = await startEtcd();
    const [member] = etcd.members;
    const stage = new Stage(t);
    const checked: unknown[] = [];
    const store = await stage.open(etcd.endpoints, {
      timing: { ...quick, firstPauseMs: 1500, longestPauseMs: 1500 },
      check: (_kind, { uri }) => (checked.push(uri), null),
    });
    await store.put('routes', 'stays', { uri: '/stays' });
    await store.put('routes', 'goes', { uri: '/goes' });
    const changed = new Map<string, boolean>();
    store.watch((changes) => changes.forEach(({ id, resource }) => changed.set(id, resource !== null)));
    await member?.kill();
    await member?.start();
    // The store waits a second and more before it tries again.
    await etcd.delete('/apisix/routes/goes');
    await etcd.put('/apisix/routes/comes', { uri: '/2' });
    const { header } = (await etcd.call('kv/range', { key: 'AA==' })) as { header: { revision: string } };
    await etcd.call('kv/compaction', { revision: header.revision, physical: true });
    await untilSeen(store, 'comes', '/2');
    assert.deepEqual(
      changed,
      new Map([
        ['comes', true],
        ['goes', false],
      ]),
    );
    assert.equal(store.get('routes', 'goes'), undefined);
    // What is as it was is not looked at again.
    assert.deepEqual(checked, ['/stays', '/goes', '/2']);
  });

  // The same members give it the same cluster id.
  for (const [what, writes] of [
    ['fewer', 1],
    ['more', 9],
  ] as const) {
    test(`a cluster that was made anew replaces everything, also with ${what} revisions than the old one`, async (t) => {
      await using etcd = await startEtcd();
      const [member] = etcd.members;
      const timing = { ...quick, firstPauseMs: 400, longestPauseMs: 400 };
      const store = await new Stage(t).open(etcd.endpoints, { timing });
      for (let n = 0; n < 5; n++) await store.put('routes', `r${n}`, { uri: '/old' });
      await member?.wipe();
      await member?.start();
      for (let n = 1; n <= writes; n++) await etcd.put('/apisix/routes/r0', { uri: `/new${n}` });
      await untilSeen(store, 'r0', `/new${writes}`);
      assert.deepEqual(
        store.list('routes').map(({ id }) => id),
        ['r0'],
      );
      await store.put('routes', 'r1', { uri: '/new' });
    });
  }

  test('what is no etcd changes nothing, whatever it answers', async (t) => {
    for (const answer of ['{}', '{"header":{"revision":"x"},"kvs":[]}', '[]', 'null', '<html>', '']) {
      await using server = await startServer((_path, response) => response.end(answer));
      const stage = new Stage(t).remember([{ id: 'r1', uri: '/1' }]);
      const store = await stage.open([server.url], { patienceMs: 40 });
      assert.equal(store.get('routes', 'r1')?.value['uri'], '/1', answer);
      assert.match(stage.log(), /etcd cannot be followed.*its answer is not (JSON|one of etcd)/);
    }
  });

  test('a proxy that holds the watch back is told of, and what changes arrives all the same', async (t) => {
    await using etcd = await startEtcd();
    await using proxy = await startServer((path, response, body) => {
      if (path === '/v3/watch') return;
      void fetch(etcd.endpoints[0] + path, { method: 'POST', body }).then(async (answer) => {
        response.writeHead(answer.status).end(await answer.text());
      });
    });
    const stage = new Stage(t);
    const store = await stage.open([proxy.url], { timing: { ...quick, heartbeatMs: 20 } });
    await etcd.put('/apisix/routes/r1', { uri: '/1' });
    await untilSeen(store, 'r1', '/1');
    assert.match(stage.log(), /etcd cannot be followed.*the watch does not begin/);
    assert.equal(store.isReachable, false);
  });

  test('when one member of three dies the next one is used, for reading, watching and writing', async (t) => {
    await using etcd = await startEtcd({ members: 3 });
    const store = await new Stage(t).open(etcd.endpoints);
    await store.put('routes', 'r1', { uri: '/1' });
    await etcd.members[0]?.kill();
    const deadline = performance.now() + 10_000;
    for (;;) {
      try {
        await store.put('routes', 'r1', { uri: '/2' });
        break;
      } catch (error) {
        // While the other two elect a leader.
        assert.ok(performance.now() < deadline, String(error));
      }
    }
    await etcd.put('/apisix/routes/r2', { uri: '/3' });
    await untilSeen(store, 'r2', '/3');
  });

  test('a start without etcd takes the last good state, which only its owner can read, and catches up', async (t) => {
    await using etcd = await startEtcd();
    const [member] = etcd.members;
    const stage = new Stage(t);
    const codec: ValueCodec = {
      encode: (_kind, value) => ({ ...value, key: 'encrypted' }),
      decode: (_kind, value) => ({ ...value, key: 'opened' }),
    };
    const first = await stage.open(etcd.endpoints, { codec, lastGood: lastGoodOf(stage.file, codec) });
    await first.put('routes', 'r1', { uri: '/1', key: 'plain text' });
    const state = await first.load();
    await first.close();
    assert.equal(statSync(stage.file).mode & 0o777, 0o600);
    assert.doesNotMatch(readFileSync(stage.file, 'utf8'), /plain text|opened/);
    await member?.kill();
    const second = await stage.open(etcd.endpoints, { codec, lastGood: lastGoodOf(stage.file, codec) });
    assert.deepEqual(await second.load(), state);
    assert.match(stage.log(), /starts with the last configuration that was good.*"saved_at":"20/);
    await member?.start();
    await etcd.put('/apisix/routes/r2', { uri: '/2' });
    await untilSeen(second, 'r2', '/2');
    assert.equal(second.get('routes', 'r1')?.value['key'], 'opened');
  });

  test('a start with neither etcd nor a last good state waits, and says so', async (t) => {
    await using etcd = await startEtcd();
    const [member] = etcd.members;
    await member?.kill();
    const stage = new Stage(t);
    const opening = stage.open(etcd.endpoints);
    await eventually(() => stage.log().includes('the gateway waits for etcd'));
    await member?.start();
    assert.deepEqual((await (await opening).load()).resources, []);
  });

  test('user and password: the right ones work, also over a restart of etcd; a wrong one is named, never shown', async (t) => {
    await using etcd = await startEtcd();
    const [member] = etcd.members;
    await enableAuth(etcd);
    const stage = new Stage(t);
    const store = await stage.open(etcd.endpoints, {
      connection: { user: { name: 'root', password: 'right-password' } },
    });
    await store.put('routes', 'r1', { uri: '/1' });
    await member?.kill();
    await member?.start();
    await eventually(() => stage.log().includes('followed again'));
    // etcd has forgotten the token.
    await store.put('routes', 'r1', { uri: '/2' });
    assert.equal(store.get('routes', 'r1')?.value['uri'], '/2');

    const wrong = new Stage(t).rememberNothing();
    await wrong.open(etcd.endpoints, { connection: { user: { name: 'root', password: 'a-wrong-password' } } });
    assert.match(wrong.log(), /authentication failed, invalid user ID or password/);
    assert.doesNotMatch(wrong.log() + stage.log(), /right-password|a-wrong-password/);
  });

  test('a token that has expired is renewed for all calls that had it', async (t) => {
    let tokens = 0;
    let expired = '';
    await using server = await startServer((path, response) => {
      if (path === '/v3/auth/authenticate') return response.end(`{"token":"t${++tokens}"}`);
      if (response.req.headers.authorization !== expired) return response.end('{"header":{"revision":"1"}}');
      return response.writeHead(401).end('{"error":"etcdserver: invalid auth token","code":16}');
    });
    const client = new EtcdClient({ endpoints: [server.url], timeoutMs: 2000, user: { name: 'u', password: 'p' } });
    t.after(() => client.close());
    await client.call('kv/range', {});
    expired = 't1';
    const calls = Array.from({ length: 3 }, () => client.call('kv/put', {}, { isWrite: true }));
    assert.equal((await Promise.all(calls)).length, 3);
  });

  test('TLS: the certificate is checked, by name as well, and the client shows its own', async (t) => {
    const { certFile, keyFile } = makeCertificate(t);
    await using etcd = await startEtcd({ tls: { cert: certFile, key: keyFile, clientCa: certFile } });
    const cert = readFileSync(certFile);
    const client = { ca: cert, cert, key: readFileSync(keyFile), verify: true };
    const open = async (tls: EtcdClientOptions['tls']): Promise<[Stage, WritableStore]> => {
      const stage = new Stage(t).rememberNothing();
      return [stage, await stage.open(etcd.endpoints, { connection: { tls } })];
    };
    const [, store] = await open({ ...client, servername: 'localhost' });
    await store.put('routes', 'r1', { uri: '/1' });
    assert.equal(store.get('routes', 'r1')?.value['uri'], '/1');
    assert.match((await open({ ...client, ca: undefined }))[0].log(), /unable to verify|self-signed certificate/);
    assert.match(
      (await open({ ...client, servername: 'elsewhere.test' }))[0].log(),
      /does not match certificate's altnames/,
    );
    assert.match(
      (await open({ verify: false }))[0].log(),
      /certificate required|bad certificate|ECONNRESET|socket hang up/i,
    );
  });
});

/** Answers what etcd would be asked. */
async function startServer(
  answer: (path: string, response: ServerResponse, body: string) => unknown,
): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((request, response) => {
    void text(request).then((body) => answer(request.url ?? '', response, body));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await once(server.close(), 'close');
    },
  };
}

function lastGoodOf(file: string, codec: ValueCodec): LastGoodFile {
  return new LastGoodFile({ file, source: 'etcd', log: silentLog, codec });
}

/** Its own authority, for servers and clients: etcd's JSON gateway calls etcd with the certificate of the server. */
function makeCertificate(t: TestContext): { certFile: string; keyFile: string } {
  const folder = mkdtempSync(join(tmpdir(), 'weir-etcd-tls-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30'];
  args.push('-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1');
  execFileSync('openssl', [...args, '-keyout', keyFile, '-out', certFile], { stdio: 'ignore' });
  return { certFile, keyFile };
}

async function enableAuth(etcd: EtcdCluster): Promise<void> {
  await etcd.call('auth/user/add', { name: 'root', password: 'right-password' });
  await etcd.call('auth/role/add', { name: 'root' });
  await etcd.call('auth/user/grant', { user: 'root', role: 'root' });
  await etcd.call('auth/enable', {});
}
