import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../test/support/gateway.ts';
import { answerJson, fieldOf, startProvider } from '../../test/support/mock-provider.ts';
import { clientCertificates, gatewayCa, serverCertificate } from '../../test/support/tls-fixtures.ts';
import { silentLog } from '../base/log.ts';
import type { GatewayConfig } from '../config/static/gateway-config.ts';
import type { ResourceChange, StoredResource } from '../config/store/store.ts';
import type { Plugin } from '../pipeline/define-plugin.ts';
import { createValidator } from '../schema/validator.ts';
import { createSharedRegion, SharedMemory } from '../shared-memory/shared-memory.ts';
import { checksSchema, type Checks } from '../upstream/health/check-schema.ts';
import type { HealthCheck } from '../upstream/health/health-check.ts';
import { HealthMonitor } from './health-monitor.ts';

const checks = createValidator(checksSchema).withDefaults({ active: {} }) as Checks;

interface Conf {
  readonly port: number;
  readonly key: string;
}

/** Probes the port of its configuration with the key of it. */
const prober = {
  check: (conf: unknown) => ((conf as Conf).key === 'canary' ? 'the key is canary' : null),
  healthChecks(conf: unknown): readonly HealthCheck[] {
    const { port, key } = conf as Conf;
    const origin = { scheme: 'http', host: '127.0.0.1', port } as const;
    return [{ name: 'main', origin, checks, headers: { 'X-Key': key }, query: '', verifyTls: true }];
  },
} as unknown as Plugin;

function configWith(apisix: object = {}): GatewayConfig {
  const ssl = { ssl_trusted_certificate: 'system' };
  return { apisix: { ssl, disable_upstream_healthcheck: false, ...apisix }, weir: { connect_to: {} } } as GatewayConfig;
}

/** A hundredth of the intervals of the configuration. */
function createMonitor(): HealthMonitor & Disposable {
  const monitor = new HealthMonitor(configWith(), {
    findPlugin: () => (name) => (name === 'prober' ? prober : undefined),
    cells: new SharedMemory(createSharedRegion()).cells,
    prefix: '/',
    log: silentLog,
    schedule(run, delayMs) {
      const timer = setTimeout(run, delayMs / 100);
      return () => clearTimeout(timer);
    },
  });
  return Object.assign(monitor, { [Symbol.dispose]: () => monitor.stop() });
}

function put(kind: string, id: string, value: object): ResourceChange {
  return { kind, id, resource: { kind, id, value } as unknown as StoredResource };
}

function route(conf: Conf, more: object = {}): ResourceChange {
  return put('routes', '1', { plugins: { prober: conf }, ...more });
}

function route2(key: string): ResourceChange {
  return put('routes', '2', { plugins: { prober: { port: 1, key } } });
}

const owners = (monitor: HealthMonitor): string[] => monitor.describe().map(({ owner }) => owner);

for (const [name, change] of [
  ['is removed', { kind: 'routes', id: '1', resource: null }],
  ['is turned off', route({ port: 1, key: '' }, { status: 0 })],
  ['loses its plugin', put('routes', '1', { plugins: {} })],
  ['turns its plugin off', put('routes', '1', { plugins: { prober: { _meta: { disable: true } } } })],
] as const) {
  test(`a route that ${name} is not watched any more`, () => {
    using monitor = createMonitor();
    monitor.apply([route({ port: 1, key: '' })]);
    assert.deepEqual(owners(monitor), ['routes/1']);
    monitor.apply([change]);
    assert.deepEqual(owners(monitor), []);
  });
}

test('a reload that turns checks off ends them, and one that turns them on begins them', () => {
  using monitor = createMonitor();
  const { resource } = route({ port: 1, key: '' });
  assert.ok(resource);
  const state = { revision: 1, resources: [resource] };
  monitor.start(state);
  monitor.reconfigure(configWith({ disable_upstream_healthcheck: true }), state);
  assert.deepEqual(owners(monitor), []);
  monitor.reconfigure(configWith(), state);
  assert.deepEqual(owners(monitor), ['routes/1']);
});

test('probes carry the value of a secret, and its new value after a change, with the health that was found', async () => {
  await using target = await startProvider((_request, response) => void response.writeHead(500).end());
  await using firstVault = await startProvider(answerJson({ data: { key: 'one' } }));
  await using secondVault = await startProvider(answerJson({ data: { key: 'two' } }));
  using monitor = createMonitor();
  const vault = (uri: string): ResourceChange => put('secrets', 'vault/1', { uri, prefix: 'kv', token: 't' });
  const sent = (): (string | undefined)[] => target.requests.map((request) => fieldOf(request, 'x-key'));

  monitor.apply([route({ port: target.port, key: '$secret://vault/1/a/key' }), vault(firstVault.url)]);
  await eventually(() => sent().length > 5);
  assert.deepEqual(new Set(sent()), new Set(['one']));
  const statusSince = (): unknown => monitor.describe()[0]?.instances[0]?.addresses[0]?.since;
  const since = statusSince();
  monitor.apply([vault(secondVault.url)]);
  await eventually(() => sent().includes('two'));
  assert.equal(statusSince(), since);
});

test('while a secret is not there nothing is probed', async () => {
  await using target = await startProvider((_request, response) => void response.end());
  let isSealed = true;
  await using vault = await startProvider((request, response) => {
    if (isSealed) response.writeHead(503).end();
    else answerJson({ data: { key: 'one' } })(request, response);
  });
  using monitor = createMonitor();
  const key = '$secret://vault/1/a/key';
  monitor.apply([
    put('secrets', 'vault/1', { uri: vault.url, prefix: 'kv', token: 't' }),
    route({ port: target.port, key }),
  ]);
  await eventually(() => vault.requests.length > 0);
  await eventually(() => /\$secret:\/\/vault\/1\/a\/key.*503/.test(monitor.describe()[0]?.reason ?? ''));
  assert.deepEqual(monitor.describe()[0]?.instances, []);
  isSealed = false;
  await eventually(() => target.requests.length > 0);
  assert.equal(fieldOf(target.requests[0], 'x-key'), 'one');
  assert.equal(monitor.describe()[0]?.reason, null);
});

test('probes show the certificate that an upstream names, also one that comes later; without it nothing is probed', async () => {
  const [{ cert, key }] = clientCertificates;
  const tls = { ...serverCertificate, requestCert: true, ca: gatewayCa };
  await using target = await startProvider((_request, response) => void response.end(), { tls });
  using monitor = createMonitor();
  const active = {
    type: 'https',
    https_verify_certificate: false,
    unhealthy: { interval: 1 },
    healthy: { interval: 1 },
  };
  const upstream = {
    scheme: 'https',
    nodes: { [`127.0.0.1:${target.port}`]: 1 },
    tls: { client_cert_id: 7 },
    checks: { active },
  };
  monitor.apply([put('upstreams', 'u', upstream), put('ssls', '7', { type: 'server', cert, key })]);
  assert.match(monitor.describe()[0]?.reason ?? '', /tls\.client_cert_id: there is no ssl "7" of the type client/);
  monitor.apply([put('ssls', '7', { type: 'client', cert, key })]);
  assert.equal(monitor.describe()[0]?.reason, null);
  await eventually(() => target.requests.length > 0);
});

test('why nothing is probed is told without the value of a secret', () => {
  using monitor = createMonitor();
  process.env['WEIR_TEST_KEY'] = 'canary';
  try {
    monitor.apply([route({ port: 1, key: '$env://WEIR_TEST_KEY' }), route2('$env://WEIR_TEST_NONE')]);
  } finally {
    delete process.env['WEIR_TEST_KEY'];
  }
  const [invalid, missing] = monitor.describe();
  assert.deepEqual([invalid?.instances, missing?.instances], [[], []]);
  assert.match(invalid?.reason ?? '', /not valid with the values of its secrets/);
  assert.doesNotMatch(invalid?.reason ?? '', /canary/);
  assert.match(missing?.reason ?? '', /\$env:\/\/WEIR_TEST_NONE.*the environment variable is not set/);
});
