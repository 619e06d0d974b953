/**
 * Measures how long a change of the configuration takes until all workers serve it, while traffic flows, and how long a gateway
 * takes to start with many routes, for each store. Prints a table; the numbers of docs/stores.md come from here.
 *
 *     node scripts/measure-changes.ts [--routes 10000] [--changes 100] [--only TEXT]
 */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { silentLog } from '../src/base/log.ts';
import { openEmbeddedStore } from '../src/config/store/embedded.ts';
import { type EtcdCluster, startEtcd } from '../test/services/etcd.ts';
import { startGateway, type TestGateway } from '../test/support/gateway.ts';

const workers = 2;
/** Each on a connection of its own, which the kernel gives to one of the workers. */
const observers = 16;
const pauseBetweenRequestsMs = 5;
const pauseBetweenChangesMs = 20;

type Routes = readonly { readonly id: string }[];

interface Way {
  readonly name: string;
  /** Of config.yaml. */
  readonly deployment: (etcd: EtcdCluster) => object;
  /** Fills the store before the gateway starts; absent: `change` does it afterwards. */
  readonly seed?: (place: Place, routes: Routes) => Promise<void>;
  /** Changes the one route that is observed. Resolves when whoever changes it is told that it is done. */
  readonly change: (place: Place, route: { readonly id: string }, others: Routes) => Promise<void>;
}

interface Place {
  readonly prefix: string;
  readonly etcd: EtcdCluster;
  /** After the start. */
  gateway?: TestGateway;
}

const ways: readonly Way[] = [
  {
    name: 'embedded, Admin API',
    deployment: () => ({}),
    async seed({ prefix }, routes) {
      const file = join(prefix, 'data', 'weir.db');
      await (await openEmbeddedStore({ file, log: silentLog })).close();
      using database = new DatabaseSync(file);
      const insert = database.prepare("INSERT INTO resources VALUES ('routes', ?, ?, ?, ?, NULL)");
      database.exec('BEGIN');
      for (const [index, route] of routes.entries()) insert.run(route.id, JSON.stringify(route), index, index);
      database.exec(`UPDATE revision SET value = ${routes.length}; COMMIT`);
    },
    change: putThroughAdmin,
  },
  {
    name: 'etcd, Admin API',
    deployment: (etcd) => ({ role_traditional: { config_provider: 'etcd' }, etcd: { host: etcd.endpoints } }),
    seed: putIntoEtcd,
    change: putThroughAdmin,
  },
  {
    name: 'etcd, written there',
    deployment: (etcd) => ({ role: 'data_plane', etcd: { host: etcd.endpoints } }),
    seed: putIntoEtcd,
    change: ({ etcd }, route) => etcd.put(`/apisix/routes/${route.id}`, route),
  },
  ...(['json', 'yaml'] as const).map((format): Way => ({
    name: `apisix.${format}`,
    deployment: () => ({ role: 'data_plane', role_data_plane: { config_provider: format } }),
    seed: async ({ prefix }, routes) => writeDocument(prefix, format, routes),
    change: async ({ prefix }, route, others) => writeDocument(prefix, format, [...others, route]),
  })),
  {
    name: 'standalone Admin API',
    deployment: () => ({ role_traditional: { config_provider: 'yaml' } }),
    async change({ gateway }, route, others) {
      const body = JSON.stringify({ routes: [...others, route] });
      const headers = { 'X-API-KEY': gateway?.adminKey ?? '', 'X-Digest': String(performance.now()) };
      const response = await fetch(`${gateway?.adminUrl}/apisix/admin/configs`, { method: 'PUT', headers, body });
      if (response.status !== 202) throw new Error(await response.text());
    },
  },
];

async function putThroughAdmin({ gateway }: Place, route: { readonly id: string }): Promise<void> {
  await gateway?.putRoute(route.id, route);
}

async function putIntoEtcd({ etcd }: Place, routes: Routes): Promise<void> {
  await etcd.call('kv/deleterange', { key: base64('/apisix/'), range_end: base64('/apisix0') });
  const puts = routes.map((route) => ({
    request_put: { key: base64(`/apisix/routes/${route.id}`), value: base64(JSON.stringify(route)) },
  }));
  for (let at = 0; at < puts.length; at += 128) await etcd.call('kv/txn', { success: puts.slice(at, at + 128) });
}

function writeDocument(prefix: string, format: 'json' | 'yaml', routes: Routes): void {
  const file = join(prefix, 'conf', `apisix.${format}`);
  mkdirSync(join(prefix, 'conf'), { recursive: true });
  writeFileSync(`${file}.new`, format === 'json' ? JSON.stringify({ routes }) : `routes:\n${toYaml(routes)}#END\n`);
  renameSync(`${file}.new`, file);
}

const yamlOf = new WeakMap<object, string>();

/** One key a line, as people write it. */
function toYaml(routes: Routes): string {
  return routes
    .map((route) => {
      const text = yamlOf.get(route) ?? stringify([route]);
      yamlOf.set(route, text);
      return text;
    })
    .join('');
}

/** Asks one worker for the observed route again and again. */
class Observer {
  readonly #socket: Socket;
  #version = 0;
  #onVersion: (version: number) => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async start(port: number): Promise<Observer> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    const observer = new Observer(socket);
    socket.setEncoding('latin1').on('data', (text: string) => {
      const found = /\r\nLocation: \/v(\d+)\r\n/i.exec(text);
      observer.#version = Number(found?.[1] ?? 0);
      observer.#onVersion(observer.#version);
      setTimeout(() => observer.#ask(), pauseBetweenRequestsMs);
    });
    observer.#ask();
    return observer;
  }

  /** Resolves with the moment when it is answered with this version or a newer one. */
  async seen(version: number): Promise<number> {
    await new Promise<void>((resolve) => {
      this.#onVersion = (now) => {
        if (now >= version) resolve();
      };
    });
    return performance.now();
  }

  close(): void {
    this.#socket.destroy();
  }

  #ask(): void {
    if (!this.#socket.destroyed) this.#socket.write('GET /observed HTTP/1.1\r\nHost: x\r\n\r\n');
  }
}

function observedRoute(version: number): { readonly id: string } {
  const route = { id: 'observed', uri: '/observed', plugins: { redirect: { uri: `/v${version}` } } };
  return route;
}

/** As a user's routes look. */
function manyRoutes(count: number): Routes {
  return Array.from({ length: count }, (_, index) => ({
    id: `r${index}`,
    uri: `/team-${index}/v1/chat/completions`,
    methods: ['POST'],
    plugins: {
      'ai-proxy': {
        provider: 'openai',
        auth: { header: { Authorization: `Bearer sk-${index}` } },
        options: { model: 'gpt-4o', temperature: 0.7 },
      },
    },
  }));
}

async function measure(way: Way, etcd: EtcdCluster, routes: Routes, changes: number): Promise<void> {
  const prefix = mkdtempSync(join(tmpdir(), 'weir-changes-'));
  const place: Place = { prefix, etcd };
  try {
    await way.seed?.(place, routes);
    const startedAt = performance.now();
    await using gateway = await startGateway({ prefix, workers, config: { deployment: way.deployment(etcd) } });
    const startMs = performance.now() - startedAt;
    place.gateway = gateway;
    await way.change(place, observedRoute(0), routes);
    const watching = await Promise.all(Array.from({ length: observers }, () => Observer.start(gateway.port)));
    const untilAnswer: number[] = [];
    const untilServed: number[] = [];
    for (let version = 1; version <= changes; version++) {
      await delay(pauseBetweenChangesMs);
      const seen = Promise.all(watching.map((observer) => observer.seen(version)));
      const changedAt = performance.now();
      await way.change(place, observedRoute(version), routes);
      untilAnswer.push(performance.now() - changedAt);
      untilServed.push(Math.max(...(await seen)) - changedAt);
    }
    for (const observer of watching) observer.close();
    const cells = [
      way.name,
      String(routes.length),
      startMs.toFixed(0),
      ...summary(untilAnswer),
      ...summary(untilServed),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  } finally {
    rmSync(prefix, { recursive: true, force: true });
  }
}

function summary(samples: readonly number[]): string[] {
  const sorted = [...samples].sort((one, other) => one - other);
  return [0.5, 0.99, 1].map((share) => (sorted[Math.ceil(sorted.length * share) - 1] ?? NaN).toFixed(1));
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

const { values } = parseArgs({
  options: {
    routes: { type: 'string', default: '10,10000' },
    changes: { type: 'string', default: '100' },
    only: { type: 'string', default: '' },
  },
});
console.log(`${workers} workers, ${observers} clients that ask every ${pauseBetweenRequestsMs} ms, times in ms\n`);
console.log('| store | routes | start | answer p50 | p99 | max | on all workers p50 | p99 | max |');
console.log('|---|--:|--:|--:|--:|--:|--:|--:|--:|');
await using etcd = await startEtcd();
for (const count of values.routes.split(',').map(Number)) {
  for (const way of ways) {
    if (!way.name.includes(values.only)) continue;
    await measure(way, etcd, manyRoutes(count), Number(values.changes));
  }
}
