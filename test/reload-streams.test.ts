import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { stringify } from 'yaml';
import { type EtcdCluster, etcdProgram, startEtcd } from './services/etcd.ts';
import { eventually, startGateway, type TestGateway } from './support/gateway.ts';
import { call } from './support/http-call.ts';
import { chunk, type RawConnection, type RawProvider, startRawProvider, textEvent } from './support/mock-provider.ts';
import { gatewayCa, gatewayCertificates } from './support/tls-fixtures.ts';

const streamCount = 200;
const streamHead = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
const { a, aRenewed } = gatewayCertificates;

/** By kind and id. */
type Resources = Readonly<Record<string, Readonly<Record<string, object>>>>;

interface StoreRow {
  readonly name: string;
  readonly skip?: string | false;
  readonly deployment: (etcd: EtcdCluster | undefined) => object;
  /** Makes these resources the configuration, and no others. */
  readonly put: (gateway: TestGateway, resources: Resources) => Promise<void>;
}

const stores: readonly StoreRow[] = [
  { name: 'embedded', deployment: () => ({}), put: putOneByOne },
  {
    name: 'etcd',
    skip: etcdProgram === null ? 'there is no etcd, and apt-get could not install it' : false,
    deployment: (etcd) => ({ role_traditional: { config_provider: 'etcd' }, etcd: { host: etcd?.endpoints } }),
    put: putOneByOne,
  },
  {
    name: 'a YAML file',
    deployment: () => ({ role: 'data_plane', role_data_plane: { config_provider: 'yaml' } }),
    put: async ({ prefix }, resources) => writeDocument(prefix, resources),
  },
  {
    name: 'the standalone Admin API',
    deployment: () => ({ role_traditional: { config_provider: 'yaml' } }),
    put: async ({ adminUrl, adminKey }, resources) => {
      const body = JSON.stringify(toDocument(resources));
      const headers = { 'X-API-KEY': adminKey, 'X-Digest': body.slice(0, 200) };
      const { status } = await fetch(`${adminUrl}/apisix/admin/configs`, { method: 'PUT', headers, body });
      assert.equal(status, 202);
    },
  },
];

async function putOneByOne(gateway: TestGateway, resources: Resources): Promise<void> {
  for (const [kind, byId] of Object.entries(resources)) {
    for (const [id, value] of Object.entries(byId)) {
      const { status, body } = await gateway.admin('PUT', `/${kind}/${id}`, value);
      assert.ok(status < 300, JSON.stringify(body));
    }
    const { list } = (await gateway.admin('GET', `/${kind}`)).body as { list: { value: { id: string } }[] };
    for (const { value } of list) {
      if (!Object.hasOwn(byId, value.id)) await gateway.admin('DELETE', `/${kind}/${value.id}`);
    }
  }
}

function toDocument(resources: Resources): object {
  const lists = Object.entries(resources).map(([kind, byId]): [string, object[]] => [
    kind,
    Object.entries(byId).map(([id, value]) => ({ id, ...value })),
  ]);
  return Object.fromEntries(lists);
}

function writeDocument(prefix: string, resources: Resources): void {
  const file = join(prefix, 'conf', 'apisix.yaml');
  mkdirSync(join(prefix, 'conf'), { recursive: true });
  writeFileSync(`${file}.new`, `${stringify(toDocument(resources))}#END\n`);
  renameSync(`${file}.new`, file);
}

/** Routes for the streams: through a plugin to a provider, and to an ordinary upstream. */
function firstResources({ url, port }: RawProvider): Resources {
  const aiProxy = { provider: 'openai-compatible', auth: {}, override: { endpoint: url } };
  return {
    upstreams: { u1: { nodes: { [`127.0.0.1:${port}`]: 1 } } },
    routes: {
      chat: { uri: '/chat', plugins: { 'ai-proxy': aiProxy } },
      plain: { uri: '/plain', upstream_id: 'u1' },
      first: { uri: '/first', plugins: { redirect: { uri: '/elsewhere' } } },
    },
    ssls: { a: { snis: ['a.example'], cert: a.cert, key: a.key } },
  };
}

/** Each of those is something else now, or gone. */
function nextResources({ port }: RawProvider): Resources {
  return {
    upstreams: { u1: { nodes: { '127.0.0.1:9': 1 } }, u2: { nodes: { [`127.0.0.1:${port}`]: 1 } } },
    routes: {
      plain: { uri: '/other', upstream_id: 'u2' },
      changed: { uri: '/changed', plugins: { redirect: { uri: '/elsewhere' } } },
    },
    ssls: { a: { snis: ['a.example'], cert: aRenewed.cert, key: aRenewed.key } },
  };
}

/** A streamed answer on a connection of its own. */
interface LiveStream {
  received(): string;
  /** Waits for the end, however it comes. */
  finish(): Promise<{ readonly text: string; readonly complete: boolean }>;
}

async function openStream(url: string, user: string): Promise<LiveStream> {
  const request = url.startsWith('https:') ? requestHttps : requestHttp;
  const outgoing = request(url, { method: 'POST', agent: false, ca: gatewayCa, servername: 'a.example' });
  outgoing.end(JSON.stringify({ stream: true, messages: [], user }));
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  let text = '';
  response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  const closed = once(response, 'close');
  return {
    received: () => text,
    async finish() {
      await closed;
      return { text, complete: response.complete };
    },
  };
}

describe(`${streamCount} streams that are live while the configuration changes`, { timeout: 120_000 }, () => {
  let etcd: EtcdCluster | undefined;
  let provider: RawProvider;
  /** The provider's side of each stream. */
  const provided: { readonly connection: RawConnection; readonly user: string }[] = [];
  const folders = mkdtempSync(join(tmpdir(), 'weir-reload-'));

  before(async () => {
    if (etcdProgram !== null) etcd = await startEtcd();
    provider = await startRawProvider((connection, { body }) => {
      const { user } = JSON.parse(body.toString()) as { user: string };
      provided.push({ connection, user });
      connection.socket.write(streamHead + chunk(textEvent(`${user} begins`)).toString());
    });
  });
  after(async () => {
    await Promise.all([etcd?.[Symbol.asyncDispose](), provider[Symbol.asyncDispose]()]);
    rmSync(folders, { recursive: true, force: true });
  });

  function sendAll(toText: (user: string) => string): void {
    for (const { connection, user } of provided) connection.socket.write(chunk(toText(user)));
  }

  for (const { name, skip = false, deployment, put } of stores) {
    test(`in ${name} and config.yaml is read anew arrive complete`, { skip }, async () => {
      provided.length = 0;
      const prefix = mkdtempSync(join(folders, 'of-test-'));
      writeDocument(prefix, {});
      const config = {
        apisix: { ssl: { enable: true, listen: [{ ip: '127.0.0.1', port: 0 }] } },
        nginx_config: { error_log_level: 'notice' },
        deployment: deployment(etcd),
      };
      await using gateway = await startGateway({ prefix, workers: 2, config });
      await put(gateway, firstResources(provider));
      await untilAnswered(gateway, '/first', 302);
      const urls = [`${gateway.url}/chat`, `${gateway.url}/plain`, `${gateway.tlsUrl}/chat`];
      const users = Array.from({ length: streamCount }, (_, index) => `user ${index}`);
      const streams = await Promise.all(users.map((user, index) => openStream(urls[index % urls.length] ?? '', user)));
      await eventually(() => streams.every((stream) => stream.received() !== ''));

      await put(gateway, nextResources(provider));
      await untilAnswered(gateway, '/changed', 302);
      sendAll((user) => textEvent(`${user} after a change`));
      await reload(gateway, (text) => text.replace('\n  http:\n', '\n  http:\n    client_max_body_size: 1m\n'));
      // Another number of workers takes new ones; the old ones end with their last stream.
      await reload(gateway, (text) => text.replace('worker_processes: 2', 'worker_processes: 1'));
      sendAll((user) => textEvent(`${user} after a reload`));
      for (const { connection } of provided)
        connection.socket.write(`${chunk('data: [DONE]\n\n').toString()}0\r\n\r\n`);

      const ended = await Promise.all(streams.map((stream) => stream.finish()));
      const expected = users.map((user) => ({
        text: `${['begins', 'after a change', 'after a reload'].map((what) => textEvent(`${user} ${what}`)).join('')}data: [DONE]\n\n`,
        complete: true,
      }));
      assert.deepEqual(ended, expected);
    });
  }
});

/** Waits until the workers answer so, each time on a new connection. */
async function untilAnswered(gateway: TestGateway, path: string, expected: number): Promise<void> {
  const end = performance.now() + 10_000;
  for (let inRow = 0; inRow < 8;) {
    const { status } = await call(gateway.url + path, { method: 'GET' });
    inRow = status === expected ? inRow + 1 : 0;
    assert.ok(performance.now() < end, `${path} is answered with ${status}: ${gateway.errorLog()}`);
  }
}

/** Changes config.yaml and has it read. Resolves when it is in effect. */
async function reload(gateway: TestGateway, change: (text: string) => string): Promise<void> {
  const count = (): number => gateway.errorLog().split('was read anew and is in effect').length;
  const before = count();
  const text = readFileSync(gateway.configFile, 'utf8');
  assert.notEqual(change(text), text);
  writeFileSync(gateway.configFile, change(text));
  gateway.signal('SIGHUP');
  await eventually(() => count() > before, 10_000, 'the reload');
}
