import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './support/free-port.ts';
import { eventually, startGateway, type TestGateway } from './support/gateway.ts';
import { call, startCall } from './support/http-call.ts';
import { startRawProvider } from './support/mock-provider.ts';

const canaries = {
  'auth.header': 'canaryheader01',
  'a header line of a probe': 'canaryprobe02',
  'the query of an endpoint': 'canaryquery03',
  'the address of a log server': 'canaryuserinfo04',
  'the query of a log server': 'canarylogquery05',
  'a declared credential': 'canarydeclared06',
};
const route = {
  uri: '/a',
  plugins: {
    'ai-proxy': {
      provider: 'openai-compatible',
      auth: { header: { 'X-Odd': canaries['auth.header'] } },
      override: { endpoint: `http://127.0.0.1:1/p?odd=${canaries['the query of an endpoint']}` },
    },
    'http-logger': {
      uri: `http://u:${canaries['the address of a log server']}@127.0.0.1:1/?x=${canaries['the query of a log server']}`,
    },
    'limit-count': {
      count: 1,
      time_window: 1,
      policy: 'redis',
      redis_host: '127.0.0.1',
      redis_password: canaries['a declared credential'],
    },
  },
};
const upstream = {
  nodes: { '127.0.0.1:1': 1 },
  checks: { active: { req_headers: [`X-Odd: ${canaries['a header line of a probe']}`] } },
};

let gateway: TestGateway;
before(async () => {
  gateway = await startGateway({
    config: {
      apisix: { disable_upstream_healthcheck: true, status: { port: 0 } },
      nginx_config: { error_log_level: 'notice' },
    },
  });
  for (const [path, body] of [
    ['/upstreams/u', upstream],
    ['/services/s', { upstream }],
    ['/routes/r', route],
    ['/routes/other', { uri: '/b', service_id: 's' }],
  ] as const) {
    const { status } = await gateway.admin('PUT', path, body);
    assert.equal(status, 201, path);
  }
});
after(() => gateway[Symbol.asyncDispose]());

function control(path: string, method = 'GET') {
  return call(`${gateway.controlUrl}${path}`, { method });
}

interface Shown {
  readonly key: string;
  readonly value: { readonly id: string };
}

describe('the control API', () => {
  test('shows routes, services and upstreams, one and all', async () => {
    const rows: readonly [list: string, one: string, ids: readonly string[]][] = [
      ['/v1/routes', '/v1/route', ['r', 'other']],
      ['/v1/services', '/v1/service', ['s']],
      ['/v1/upstreams', '/v1/upstream', ['u']],
    ];
    for (const [list, one, ids] of rows) {
      const all = (await control(list)).json as Shown[];
      assert.deepEqual(
        all.map(({ value }) => value.id),
        ids,
      );
      for (const [index, id] of ids.entries()) assert.deepEqual((await control(`${one}/${id}`)).json, all[index]);
      assert.deepEqual(Object.keys(all[0] ?? {}), ['key', 'value', 'createdIndex', 'modifiedIndex']);
      assert.equal(all[0]?.key, `/apisix${list.slice(3)}/${ids[0]}`);
      const none = await control(`${one}/none`);
      assert.deepEqual([none.status, none.json], [404, { error_msg: `${one.slice(4)}[none] not found` }]);
    }
  });

  test('shows no credential, wherever it stands, and everything else', async () => {
    const paths = ['/v1/routes', '/v1/route/r', '/v1/services', '/v1/service/s', '/v1/upstreams', '/v1/upstream/u'];
    const shown = (await Promise.all(paths.map((path) => control(path)))).map(({ text }) => text).join('\n');
    for (const [name, canary] of Object.entries(canaries)) assert.equal(shown.includes(canary), false, name);
    for (const text of ['"X-Odd: [redacted]"', '"redis_host":"127.0.0.1"', 'http://127.0.0.1:1/p?[redacted]']) {
      assert.ok(shown.includes(text), `${text} in ${shown}`);
    }
  });

  test('shows the metadata of plugins', async () => {
    assert.deepEqual((await control('/v1/plugin_metadatas')).json, []);
    const metadata = { log_format: { host: '$host' } };
    assert.equal((await gateway.admin('PUT', '/plugin_metadata/file-logger', metadata)).status, 201);
    const { json } = await control('/v1/plugin_metadata/file-logger');
    const { log_format: format, id } = json as Record<string, unknown>;
    assert.deepEqual({ log_format: format, id }, { ...metadata, id: 'file-logger' });
    assert.deepEqual((await control('/v1/plugin_metadatas')).json, [json]);
    const none = await control('/v1/plugin_metadata/http-logger');
    assert.deepEqual([none.status, none.json], [404, { error_msg: 'plugin metadata[http-logger] not found' }]);
  });

  test('shows the schemas of resources and plugins', async () => {
    const { main, plugins } = (await control('/v1/schema')).json as Record<string, Record<string, { schema?: object }>>;
    assert.ok('route' in (main ?? {}) && 'consumer_group' in (main ?? {}));
    assert.equal(typeof plugins?.['ai-proxy']?.schema, 'object');
  });

  test('collects garbage and reads config.yaml anew', async () => {
    const collected = await control('/v1/gc', 'POST');
    assert.deepEqual([collected.status, collected.text], [200, '']);
    const reloaded = await control('/v1/plugins/reload', 'PUT');
    assert.deepEqual([reloaded.status, reloaded.json], [200, 'done']);
    await eventually(() => gateway.errorLog().includes('the configuration was read anew'));
    assert.equal((await control('/v1/gc')).status, 404);
  });

  test('takes no notice of a body, whatever it is', async () => {
    const rows: readonly (readonly [body: string, type: string | undefined])[] = [
      ['', 'application/json'],
      ['{bad', 'application/json'],
      // As `curl -d ''` has it.
      ['', 'application/x-www-form-urlencoded'],
      ['a=b', 'nonsense'],
      ['x', undefined],
    ];
    for (const [body, type] of rows) {
      const headers = type === undefined ? {} : { 'Content-Type': type };
      const { status } = await call(`${gateway.controlUrl}/v1/gc`, { headers, body });
      assert.equal(status, 200, `${type}: ${body}`);
    }
  });

  test('answers a path that cannot be decoded in its own words', async () => {
    const { status, json } = await control('/v1/route/%zz');
    assert.deepEqual([status, json], [400, { error_msg: "'/v1/route/%zz' is not a valid url component" }]);
  });
});

describe('the status server', () => {
  const statusUrl = (): string => /status +(http:\S+)/.exec(gateway.output())?.[1] ?? '';

  test('says that the gateway runs and can serve', async () => {
    for (const path of ['/status', '/status/ready']) {
      const { status, json } = await call(`${statusUrl()}${path}`, { method: 'GET' });
      assert.deepEqual([status, json], [200, { status: 'ok' }]);
      const head = await call(`${statusUrl()}${path}`, { method: 'HEAD' });
      assert.deepEqual([head.status, head.text], [200, '']);
    }
    assert.equal((await call(`${statusUrl()}/v1/routes`, { method: 'GET' })).status, 404);
  });

  test('says that a gateway is not ready that has no configuration yet, and one that ends', async () => {
    const prefix = mkdtempSync(join(tmpdir(), 'weir-status-'));
    await using upstream = await startRawProvider(() => {});
    // Before the start banner there is no telling what port 0 has become.
    const port = await freePort();
    const ask = (path: string) => call(`http://127.0.0.1:${port}${path}`, { method: 'GET' });
    const starting = startGateway({
      prefix,
      config: {
        apisix: { status: { port } },
        deployment: { role: 'data_plane', role_data_plane: { config_provider: 'yaml' } },
      },
    });
    const answers = async (path: string, status: number): Promise<unknown> => {
      for (;;) {
        const answer = await ask(path).catch(() => null);
        if (answer?.status === status) return answer.json;
        await sleep(10);
      }
    };
    const waiting = await answers('/status/ready', 503);
    assert.deepEqual(waiting, { status: 'error', error: 'the configuration is not loaded yet' });
    assert.equal((await ask('/status')).status, 200);

    const aiProxy = `{ provider: openai-compatible, auth: {}, override: { endpoint: "${upstream.url}" } }`;
    const yaml = `routes:\n  - { id: r, uri: /a, plugins: { ai-proxy: ${aiProxy} } }\n#END\n`;
    writeFileSync(join(prefix, 'conf', 'apisix.yaml'), yaml);
    await using other = await starting;
    await answers('/status/ready', 200);

    const open = startCall(`${other.url}/a`, { body: { messages: [] } });
    await eventually(() => upstream.requests.length > 0);
    other.signal('SIGQUIT');
    assert.deepEqual(await answers('/status/ready', 503), { status: 'error', error: 'the gateway ends' });
    open.destroy();
    await other.stop('SIGKILL');
    rmSync(prefix, { recursive: true });
  });
});
