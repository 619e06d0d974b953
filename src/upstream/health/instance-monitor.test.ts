import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { test, type TestContext } from 'node:test';
import { eventually } from '../../../test/support/gateway.ts';
import { selfSignedCertificate, serverCertificate, testCa } from '../../../test/support/tls-fixtures.ts';
import type { Log } from '../../base/log.ts';
import { silentLog } from '../../base/log.ts';
import { Deadlines } from '../../http/deadlines.ts';
import { createValidator } from '../../schema/validator.ts';
import { createSharedRegion, SharedMemory, type SharedRegion } from '../../shared-memory/shared-memory.ts';
import { parseConnectTo } from '../connect-to.ts';
import { createConnector } from '../connector.ts';
import type { Origin } from '../origin.ts';
import { createResolver } from '../resolver.ts';
import type { Schedule } from './address-monitor.ts';
import { checksSchema, type Checks } from './check-schema.ts';
import type { HealthCheck } from './health-check.ts';
import { InstanceMonitor, type ProbeNetwork } from './instance-monitor.ts';
import { type HealthReport, SharedHealth } from './shared-health.ts';
import type { TargetHealth } from './target-health.ts';

/** A second of an interval takes as many milliseconds here. Timeouts of probes are real. */
const secondMs = 10;
const validator = createValidator(checksSchema);

const fastSchedule: Schedule = (run, delayMs) => {
  const timer = setTimeout(run, (delayMs * secondMs) / 1000);
  return () => clearTimeout(timer);
};

interface Stage {
  readonly monitor: InstanceMonitor;
  readonly region: SharedRegion;
  readonly logged: readonly { readonly level: string; readonly message: string; readonly fields: unknown }[];
  /** What a worker sees, with its own view of the memory. */
  readonly worker: (send?: (report: HealthReport) => void) => TargetHealth;
  readonly check: (active: object, passive?: object) => HealthCheck;
}

interface StageOptions {
  readonly origin: Origin;
  readonly active?: object;
  readonly passive?: object;
  readonly more?: Partial<HealthCheck>;
  readonly names?: Record<string, readonly string[]>;
  readonly connectTo?: Readonly<Record<string, string>>;
  readonly schedule?: Schedule;
}

function startMonitor(t: TestContext, options: StageOptions): Stage {
  const { origin, names = {}, connectTo = {}, more } = options;
  const region = createSharedRegion();
  const logged: { level: string; message: string; fields: unknown }[] = [];
  const note = (level: string) => (message: string, fields?: unknown) => void logged.push({ level, message, fields });
  const log: Log = { ...silentLog, error: note('error'), warn: note('warn'), notice: note('notice') };
  const resolver = createResolver({
    log: silentLog,
    ttlMs: 1,
    negativeTtlMs: 1,
    lookup: async (host) => {
      const ips = names[host];
      if (ips === undefined) throw Object.assign(new Error('no such host'), { code: 'ENOTFOUND' });
      return ips.map((address) => ({ address, family: 4 }));
    },
  });
  const network: ProbeNetwork = {
    resolver,
    destinations: parseConnectTo(new Map(Object.entries(connectTo))),
    connector: createConnector({ resolver, connectTo: new Map(), trustedCa: testCa, log: silentLog }),
    deadlines: new Deadlines(),
  };
  const check = (active: object, passive?: object): HealthCheck => ({
    name: 'main',
    origin,
    checks: validator.withDefaults({ active, ...(passive && { passive }) }) as Checks,
    headers: {},
    query: '',
    verifyTls: true,
    ...more,
  });
  const first = check(options.active ?? {}, options.passive);
  const monitor = new InstanceMonitor(first, {
    owner: 'routes/1',
    network: () => network,
    cells: new SharedMemory(region).cells,
    schedule: options.schedule ?? fastSchedule,
    random: Math.random,
    log,
  });
  t.after(() => monitor.stop());
  const worker = (send: (report: HealthReport) => void = () => {}): TargetHealth =>
    new SharedHealth({ cells: new SharedMemory(region).cells, send }).of('routes/1', 'main', first.checks);
  return { monitor, region, logged, worker, check };
}

async function listen(t: TestContext, server: Server, host = '127.0.0.1', port = 0): Promise<Origin> {
  server.listen(port, host);
  await once(server, 'listening');
  t.after(() => {
    server.close();
    if ('closeAllConnections' in server && typeof server.closeAllConnections === 'function')
      server.closeAllConnections();
  });
  return { scheme: 'http', host, port: (server.address() as AddressInfo).port };
}

const quick = {
  healthy: { interval: 1, successes: 1 },
  unhealthy: { interval: 1, http_failures: 1, tcp_failures: 1, timeouts: 1 },
};

/** A server whose status the test decides. */
async function startStatusServer(t: TestContext, host = '127.0.0.1', port = 0) {
  const requests: { line: string; headers: IncomingMessage['headers']; body: string }[] = [];
  const state = { status: 200, requests };
  const answer: RequestListener = (req, res) => {
    let body = '';
    req.setEncoding('utf8').on('data', (text: string) => (body += text));
    req.on('end', () => {
      requests.push({ line: `${req.method} ${req.url}`, headers: req.headers, body });
      res.writeHead(state.status).end();
    });
  };
  const origin = await listen(t, createServer(answer), host, port);
  return { state, origin, answer };
}

test('an instance is healthy until probes say otherwise, and again when they do', async (t) => {
  const { state, origin } = await startStatusServer(t);
  const { monitor, worker, logged } = startMonitor(t, { origin, active: quick });
  const health = worker();
  assert.equal(health.healthy, true);
  await eventually(() => state.requests.length > 2);
  assert.equal(health.healthy, true);
  state.status = 503;
  await eventually(() => !health.healthy);
  assert.equal(health.isAddressHealthy('127.0.0.1'), false);
  const [sick] = monitor.describe().addresses;
  assert.equal(sick?.status, 'unhealthy');
  assert.equal(sick.lastError?.reason, 'status 503');
  state.status = 200;
  await eventually(() => health.healthy);
  assert.equal(health.isAddressHealthy('127.0.0.1'), true);

  const address = `127.0.0.1:${origin.port}`;
  const fields = { owner: 'routes/1', instance: 'main', address };
  assert.deepEqual(logged, [
    {
      level: 'warn',
      message: `health: ${address} is unhealthy`,
      fields: { ...fields, from: 'healthy', to: 'unhealthy', reason: 'status 503' },
    },
    {
      level: 'notice',
      message: `health: ${address} is healthy`,
      fields: { ...fields, from: 'unhealthy', to: 'healthy', reason: 'status 200' },
    },
  ]);
});

test('a status in neither list changes nothing', async (t) => {
  const { state, origin } = await startStatusServer(t);
  const { monitor } = startMonitor(t, { origin, active: quick });
  state.status = 401;
  await eventually(() => state.requests.length > 3);
  const [address] = monitor.describe().addresses;
  assert.deepEqual([address?.status, address?.lastError], ['healthy', null]);
});

test('thresholds and intervals of the default are those of APISIX: five bad answers', async (t) => {
  const { state, origin } = await startStatusServer(t);
  state.status = 500;
  const { worker } = startMonitor(t, { origin });
  const health = worker();
  await eventually(() => !health.healthy);
  assert.equal(state.requests.length, 5);
});

test('method, path, body, headers and credentials arrive', async (t) => {
  const { state, origin } = await startStatusServer(t);
  const active = {
    ...quick,
    http_method: 'POST',
    http_path: '/health?deep=1',
    http_req_body: '{"ping":true}',
    req_headers: ['X-Probe: yes', 'Content-Type: application/json'],
    host: 'llm.example',
  };
  const more = { headers: { Authorization: 'Bearer canary' }, query: 'api_key=canary' };
  const { logged } = startMonitor(t, { origin, active, more });
  await eventually(() => state.requests.length > 0);
  const [request] = state.requests;
  assert.equal(request?.line, 'POST /health?deep=1&api_key=canary');
  assert.equal(request.body, '{"ping":true}');
  const { host, authorization, connection, 'x-probe': probe, 'content-type': type } = request.headers;
  assert.deepEqual(
    [host, authorization, connection, probe, type],
    ['llm.example', 'Bearer canary', 'close', 'yes', 'application/json'],
  );
  state.status = 500;
  await eventually(() => logged.length > 0);
  assert.doesNotMatch(JSON.stringify(logged), /canary/);
});

for (const [name, certificate, active, healthy] of [
  ['a good certificate', serverCertificate, {}, true],
  ['a certificate of nobody', selfSignedCertificate, {}, false],
  ['a certificate of nobody that is not checked', selfSignedCertificate, { https_verify_certificate: false }, true],
  ['a certificate for another name', serverCertificate, { host: 'elsewhere.example' }, false],
] as const) {
  test(`https: ${name} makes an instance ${healthy ? 'healthy' : 'unhealthy'}`, async (t) => {
    let probes = 0;
    const server = createTlsServer(certificate, (_req, res) => {
      probes++;
      res.end();
    });
    const { port } = await listen(t, server);
    const { monitor, worker } = startMonitor(t, {
      origin: { scheme: 'https', host: 'localhost', port },
      connectTo: { [`localhost:${port}`]: `127.0.0.1:${port}` },
      active: { ...quick, ...active, type: 'https' },
    });
    const health = worker();
    await eventually(() => typeof monitor.describe().addresses[0]?.lastProbeAt === 'number');
    assert.equal(health.healthy, healthy);
    assert.equal(probes > 0, healthy);
    const [address] = monitor.describe().addresses;
    if (!healthy) assert.deepEqual([address?.counters.tcp_failure, address?.counters.http_failure], [1, 0]);
  });
}

test('tcp: connecting is enough, and nothing is sent', async (t) => {
  let connections = 0;
  let bytes = 0;
  const server = createTcpServer((socket) => {
    connections++;
    socket.on('data', (data) => (bytes += data.length)).on('error', () => {});
  });
  const { port } = await listen(t, server);
  const origin: Origin = { scheme: 'https', host: '127.0.0.1', port };
  const { worker } = startMonitor(t, { origin, active: { ...quick, type: 'tcp' } });
  await eventually(() => connections > 2);
  assert.equal(bytes, 0);
  const health = worker();
  assert.equal(health.healthy, true);
  server.close();
  await eventually(() => !health.healthy);
});

for (const [name, behave, counter, reason] of [
  ['silence', () => {}, 'timeout_failure', /^no answer within 0\.05 s$/],
  ['a connection that is closed', (end: () => void) => end(), 'tcp_failure', /closed/],
  [
    'something that is not HTTP',
    (_end: () => void, write: (text: string) => void) => write('SSH-2.0-x\r\n\r\n'),
    'http_failure',
    /invalid HTTP/,
  ],
] as const) {
  test(`${name} counts as ${counter}`, async (t) => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      t.after(() => socket.destroy());
      socket.once('data', () =>
        behave(
          () => socket.destroy(),
          (text) => socket.write(text),
        ),
      );
    });
    const origin = await listen(t, server);
    const { monitor, worker } = startMonitor(t, { origin, active: { ...quick, timeout: 0.05 } });
    const health = worker();
    await eventually(() => !health.healthy);
    const [address] = monitor.describe().addresses;
    assert.equal(address?.counters[counter], 1);
    assert.match(address.lastError?.reason ?? '', reason);
  });
}

test('a refused connection counts as tcp_failure and names the address', async (t) => {
  const closed = createTcpServer();
  const free = await listen(t, closed);
  closed.close();
  const { monitor, worker } = startMonitor(t, { origin: free, active: quick });
  const health = worker();
  await eventually(() => !health.healthy);
  const [address] = monitor.describe().addresses;
  assert.equal(address?.counters.tcp_failure, 1);
  assert.match(address.lastError?.reason ?? '', new RegExp(`127\\.0\\.0\\.1:${free.port}: connection refused`));
});

test('of a name with two addresses, the sick one alone is left, and the instance stays healthy', async (t) => {
  const { origin } = await startStatusServer(t);
  const names = { 'two.example': ['127.0.0.1', '127.0.0.9'] };
  const { worker } = startMonitor(t, { origin: { ...origin, host: 'two.example' }, active: quick, names });
  const health = worker();
  await eventually(() => !health.isAddressHealthy('127.0.0.9'));
  assert.equal(health.isAddressHealthy('127.0.0.1'), true);
  assert.equal(health.healthy, true);
});

test('a slow address does not delay another one', async (t) => {
  const { state, origin } = await startStatusServer(t);
  const silent = createTcpServer((socket) => void socket.on('error', () => {}));
  await listen(t, silent, '127.0.0.9', origin.port);
  const names = { 'two.example': ['127.0.0.9', '127.0.0.1'] };
  startMonitor(t, { origin: { ...origin, host: 'two.example' }, active: { ...quick, timeout: 60 }, names });
  await eventually(() => state.requests.length > 5);
});

test('a concurrency of 1 lets one probe wait for the other', async (t) => {
  let open = 0;
  let most = 0;
  let answers = 0;
  const answer: RequestListener = (_req, res) => {
    most = Math.max(most, ++open);
    setTimeout(() => {
      open--;
      answers++;
      res.end();
    }, 5);
  };
  const origin = await listen(t, createServer(answer));
  await listen(t, createServer(answer), '127.0.0.9', origin.port);
  const names = { 'two.example': ['127.0.0.9', '127.0.0.1'] };
  startMonitor(t, { origin: { ...origin, host: 'two.example' }, active: { ...quick, concurrency: 1 }, names });
  await eventually(() => answers > 8);
  assert.equal(most, 1);
});

test('probes of one address never overlap', async (t) => {
  let open = 0;
  let most = 0;
  let answers = 0;
  const answer: RequestListener = (_req, res) => {
    most = Math.max(most, ++open);
    setTimeout(() => {
      open--;
      answers++;
      res.end();
    }, 3 * secondMs);
  };
  const origin = await listen(t, createServer(answer));
  startMonitor(t, { origin, active: quick });
  await eventually(() => answers > 3);
  assert.equal(most, 1);
});

test('a name is followed: a new address is probed, one that is gone is forgotten', async (t) => {
  const { state, origin } = await startStatusServer(t);
  state.status = 500;
  const names: Record<string, string[]> = { 'moving.example': ['127.0.0.1'] };
  const { monitor, worker } = startMonitor(t, { origin: { ...origin, host: 'moving.example' }, active: quick, names });
  const health = worker();
  await eventually(() => !health.healthy);
  await startStatusServer(t, '127.0.0.9', origin.port);
  names['moving.example'] = ['127.0.0.9'];
  await eventually(() => health.healthy);
  assert.equal(health.isAddressHealthy('127.0.0.1'), true);
  assert.deepEqual(
    monitor.describe().addresses.map(({ ip }) => ip),
    ['127.0.0.9'],
  );
});

test('a name that does not resolve makes its instance unhealthy until it does', async (t) => {
  const { state, origin } = await startStatusServer(t);
  const names: Record<string, string[]> = {};
  const { monitor, worker, logged } = startMonitor(t, {
    origin: { ...origin, host: 'late.example' },
    active: { ...quick, unhealthy: { ...quick.unhealthy, tcp_failures: 2 } },
    names,
  });
  const health = worker();
  await eventually(() => !health.healthy);
  const [address] = monitor.describe().addresses;
  assert.deepEqual([address?.ip, address?.lastError?.reason], ['', 'late.example: no such host']);
  assert.equal(logged[0]?.message, `health: late.example:${origin.port} is unhealthy`);
  names['late.example'] = ['127.0.0.1'];
  await eventually(() => health.healthy);
  await eventually(() => state.requests.length > 0);
});

test('weir.connect_to is honoured, and a port of its own goes to the same host', async (t) => {
  const { state, origin } = await startStatusServer(t);
  const connectTo = { 'api.openai.com:80': `127.0.0.1:${origin.port}` };
  startMonitor(t, { origin: { scheme: 'http', host: 'API.openai.com', port: 80 }, active: quick, connectTo });
  await eventually(() => state.requests.length > 0);
  assert.equal(state.requests[0]?.headers.host, 'API.openai.com');

  const other = await startStatusServer(t);
  const active = { ...quick, port: other.origin.port };
  startMonitor(t, { origin: { scheme: 'http', host: 'api.openai.com', port: 80 }, active, connectTo });
  await eventually(() => other.state.requests.length > 0);
});

test('an edit of the check keeps what is known; another target does not', async (t) => {
  const { state, origin } = await startStatusServer(t);
  state.status = 500;
  const { monitor, worker, check } = startMonitor(t, { origin, active: quick });
  const health = worker();
  await eventually(() => !health.healthy);
  const edited = check({ ...quick, http_path: '/other', healthy: { ...quick.healthy, successes: 3 } });
  assert.equal(monitor.update(edited), true);
  assert.equal(health.healthy, false);
  const seen = state.requests.length;
  await eventually(() => state.requests.slice(seen).some(({ line }) => line === 'GET /other'));
  state.status = 200;
  await eventually(() => health.healthy);
  assert.equal(monitor.describe().addresses[0]?.counters.success, 3);
  assert.equal(monitor.update(check({ ...quick, port: 1 })), false);
});

test('after its end nothing is probed, and the instance counts as healthy', async (t) => {
  const { state, origin } = await startStatusServer(t);
  state.status = 500;
  const pending = new Set<() => void>();
  const schedule: Schedule = (run, delayMs) => {
    const cancel = fastSchedule(() => {
      pending.delete(run);
      run();
    }, delayMs);
    pending.add(run);
    return () => {
      pending.delete(run);
      cancel();
    };
  };
  const { monitor, worker } = startMonitor(t, { origin, active: quick, schedule });
  const health = worker();
  await eventually(() => !health.healthy);
  monitor.stop();
  assert.equal(health.healthy, true);
  assert.equal(health.isAddressHealthy('127.0.0.1'), true);
  assert.equal(pending.size, 0);
  assert.deepEqual(monitor.describe().addresses, []);
});

test('intervals vary by a tenth, and the first probe comes within a second', async (t) => {
  const { origin } = await startStatusServer(t);
  const delays: number[] = [];
  const schedule: Schedule = (run, delayMs) => {
    if (delayMs !== 5000) delays.push(delayMs);
    return fastSchedule(run, delayMs);
  };
  const active = { healthy: { interval: 3 } };
  startMonitor(t, { origin, active, schedule });
  await eventually(() => delays.length > 3);
  const [first = Number.NaN, ...others] = delays;
  assert.ok(first >= 0 && first < 1000, `${first}`);
  // Less what the probe itself took, which a busy machine makes longer.
  for (const delay of others) assert.ok(delay <= 3150 && delay > 0, `${delay}`);
});

test('requests of clients count where there is a passive block, and only what matters is told', async (t) => {
  const { origin } = await startStatusServer(t);
  const sleepy = { healthy: { interval: 60, successes: 2 }, unhealthy: { interval: 60 } };
  const passive = { unhealthy: { http_failures: 2, tcp_failures: 1, timeouts: 0 }, healthy: { successes: 2 } };
  const { monitor, worker } = startMonitor(t, { origin, active: sleepy, passive });
  const sent: HealthReport[] = [];
  const health = worker((report) => {
    sent.push(report);
    monitor.report(report.ip, report.signal, report.status);
  });
  await eventually(() => monitor.describe().addresses.length === 1);
  const address = `127.0.0.1:${origin.port}`;
  const say = (result: number | 'tcp_failure' | 'timeout' | 'http_failure'): number => {
    const before = sent.length;
    health.report({ address, result });
    return sent.length - before;
  };
  assert.equal(say(200), 0, 'a success of a healthy address');
  assert.equal(say(404), 0, 'a status that says nothing');
  assert.equal(say('timeout'), 0, 'a signal that is off');
  assert.equal(say(503), 1);
  assert.equal(health.healthy, true);
  assert.equal(say(200), 1, 'a success after a failure');
  assert.equal(say(503), 1);
  assert.equal(say(503), 1);
  assert.equal(health.healthy, false);
  assert.equal(monitor.describe().addresses[0]?.lastError?.reason, 'a request got status 503');
  assert.equal(say(503), 0, 'a failure of an unhealthy address');
  assert.equal(say(200), 1);
  assert.equal(say(200), 1);
  assert.equal(health.healthy, true);
  assert.equal(say('tcp_failure'), 1);
  assert.equal(health.healthy, false);
  assert.equal(monitor.describe().addresses[0]?.lastError?.reason, 'a request failed (tcp_failure)');
  assert.deepEqual(sent[0], {
    owner: 'routes/1',
    instance: 'main',
    ip: '127.0.0.1',
    signal: 'http_failure',
    status: 503,
  });
  health.report({ address: '', result: 'tcp_failure' });
});

test('without a passive block requests of clients say nothing', async (t) => {
  const { origin } = await startStatusServer(t);
  const { worker } = startMonitor(t, { origin });
  worker(() => assert.fail('a message')).report({ address: `127.0.0.1:${origin.port}`, result: 'tcp_failure' });
});

test('a failure to connect to several addresses counts for each of them', async (t) => {
  const sleepy = { healthy: { interval: 60 }, unhealthy: { interval: 60 } };
  const { worker } = startMonitor(t, {
    origin: { scheme: 'http', host: 'two.example', port: 1 },
    active: sleepy,
    passive: {},
    names: { 'two.example': ['127.0.0.1', '::1'] },
  });
  const ips: string[] = [];
  const health = worker(({ ip }) => void ips.push(ip));
  health.report({ address: '127.0.0.1:1, [::1]:1', result: 'tcp_failure' });
  assert.deepEqual(ips, ['127.0.0.1', '::1']);
});
