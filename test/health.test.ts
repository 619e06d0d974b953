import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { eventually, startGateway, type TestGateway } from './support/gateway.ts';
import { answerJson, chatAnswer, fieldOf, startProvider, type Answer, type Provider } from './support/mock-provider.ts';

interface HealthNode {
  readonly instance: string;
  readonly ip: string;
  readonly port: number;
  readonly hostname: string;
  readonly type: string;
  readonly status: string;
  readonly status_since: string;
  readonly last_probe_at: string | null;
  readonly last_error: string | null;
  readonly last_error_at: string | null;
  readonly counter: Record<string, number>;
}

interface HealthItem {
  readonly name: string;
  readonly type: string;
  readonly reason?: string;
  readonly nodes: readonly HealthNode[];
}

/** A provider that is probed at /health, with a status for that which the test decides. */
interface ProbedProvider extends Provider {
  healthStatus: number;
  probes(): number;
  calls(): number;
}

async function startProbed(): Promise<ProbedProvider> {
  const answerChat = answerJson(chatAnswer);
  const isProbe = ({ target }: { readonly target: string }): boolean => target.startsWith('/health');
  const answer: Answer = (request, response) => {
    if (isProbe(request)) response.writeHead(probed.healthStatus).end();
    else answerChat(request, response);
  };
  const provider = await startProvider(answer);
  const probed: ProbedProvider = Object.assign(provider, {
    healthStatus: 200,
    probes: () => provider.requests.filter(isProbe).length,
    calls: () => provider.requests.filter((request) => !isProbe(request)).length,
  });
  return probed;
}

/** Decides at the first signal, and looks every second, the shortest interval that there is. */
const active = {
  http_path: '/health',
  healthy: { interval: 1, successes: 1 },
  unhealthy: { interval: 1, http_failures: 1, tcp_failures: 1, timeouts: 1 },
};

function instance(name: string, provider: Provider, more: object = {}): object {
  return {
    name,
    provider: 'openai-compatible',
    weight: 1,
    auth: { header: { Authorization: 'Bearer canary-of-health' } },
    override: { endpoint: `${provider.url}/v1/chat/completions` },
    checks: { active },
    ...more,
  };
}

function routeOf(id: string, ...instances: object[]): object {
  return { uri: `/${id}`, plugins: { 'ai-proxy-multi': { instances } } };
}

async function chat(gateway: TestGateway, id: string, times = 1): Promise<number[]> {
  const statuses: number[] = [];
  for (let n = 0; n < times; n++) {
    const response = await fetch(`${gateway.url}/${id}`, {
      method: 'POST',
      // Another connection each time, so that both workers get some.
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: '{"messages":[{"role":"user","content":"1+1"}]}',
    });
    await response.arrayBuffer();
    statuses.push(response.status);
  }
  return statuses;
}

async function control(gateway: TestGateway, path: string, accept = '*/*') {
  const response = await fetch(gateway.controlUrl + path, { headers: { accept } });
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
}

async function healthOf(gateway: TestGateway, route: string): Promise<HealthItem> {
  return JSON.parse((await control(gateway, `/v1/healthcheck/routes/${route}`)).text) as HealthItem;
}

async function until(what: string, done: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await done())) {
    assert.ok(performance.now() < end, `waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Waits until the control API says this of the instances of a route. */
async function untilStatus(gateway: TestGateway, route: string, wanted: Record<string, string>): Promise<HealthItem> {
  let item: HealthItem | undefined;
  await until(JSON.stringify(wanted), async () => {
    item = await healthOf(gateway, route);
    const found = Object.fromEntries((item.nodes ?? []).map(({ instance: name, status }) => [name, status]));
    return Object.entries(wanted).every(([name, status]) => found[name] === status);
  });
  assert.ok(item);
  return item;
}

// Most of their time they wait for the next probe. Each has a route of its own on one gateway.
describe('health checks', { concurrency: true }, () => {
  let gateway: TestGateway;
  before(async () => {
    gateway = await startGateway({ workers: 2, env: { WEIR_TEST_PROBE_KEY: 'canary&of=probes' } });
  });
  after(() => gateway[Symbol.asyncDispose]());

  test('every worker leaves an unhealthy instance at once, comes back to it, and ignores health when all are unhealthy', async () => {
    await using main = await startProbed();
    await using spare = await startProbed();
    const id = 'all-workers';
    await gateway.putRoute(id, routeOf(id, instance('main', main, { priority: 1 }), instance('spare', spare)));
    assert.deepEqual(new Set(await chat(gateway, id, 8)), new Set([200]));
    assert.deepEqual([main.calls(), spare.calls()], [8, 0]);

    main.healthStatus = 503;
    const item = await untilStatus(gateway, id, { main: 'unhealthy' });
    await chat(gateway, id, 12);
    assert.deepEqual([main.calls(), spare.calls()], [8, 12]);

    const [node] = item.nodes;
    assert.deepEqual([item.name, item.type, item.nodes.length], [`/apisix/routes/${id}`, 'http', 2]);
    assert.deepEqual(
      [node?.ip, node?.port, node?.hostname, node?.type, node?.last_error],
      ['127.0.0.1', main.port, '127.0.0.1', 'http', 'status 503'],
    );
    assert.deepEqual(node?.counter, { success: 0, http_failure: 1, tcp_failure: 0, timeout_failure: 0 });
    for (const time of [node.status_since, node.last_probe_at, node.last_error_at]) {
      assert.match(time ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    }

    spare.healthStatus = 503;
    await untilStatus(gateway, id, { main: 'unhealthy', spare: 'unhealthy' });
    assert.deepEqual(new Set(await chat(gateway, id, 4)), new Set([200]));
    assert.deepEqual([main.calls(), spare.calls()], [12, 12]);

    main.healthStatus = 200;
    await untilStatus(gateway, id, { main: 'healthy', spare: 'unhealthy' });
    await chat(gateway, id, 4);
    assert.deepEqual([main.calls(), spare.calls()], [16, 12]);
    await eventually(() => gateway.errorLog().includes(`health: 127.0.0.1:${main.port} is unhealthy`));
    await gateway.untilErrorLog(/main.*status 503/);
    const all = (await control(gateway, '/v1/healthcheck')).text + gateway.errorLog() + gateway.output();
    assert.doesNotMatch(all, /canary/);
  });

  test('an edit of the route keeps what is known; with the route its probes end', async () => {
    await using main = await startProbed();
    await using spare = await startProbed();
    main.healthStatus = 500;
    const id = 'edited';
    const instances = [instance('main', main), instance('spare', spare)];
    await gateway.putRoute(id, routeOf(id, ...instances));
    const old = await untilStatus(gateway, id, { main: 'unhealthy' });
    await gateway.putRoute(id, { ...routeOf(id, ...instances), name: 'renamed' });
    const edited = await healthOf(gateway, id);
    assert.equal(edited.nodes[0]?.status_since, old.nodes[0]?.status_since);
    assert.equal(edited.nodes[0]?.status, 'unhealthy');

    // Without the sick one, only the other is left.
    await gateway.putRoute(id, routeOf(id, instances[1] ?? {}));
    assert.deepEqual(
      (await healthOf(gateway, id)).nodes.map((node) => node.instance),
      ['spare'],
    );
    await gateway.admin('DELETE', `/routes/${id}`);
    assert.deepEqual(await control(gateway, `/v1/healthcheck/routes/${id}`), {
      status: 404,
      type: 'application/json; charset=utf-8',
      text: `{"error_msg":"routes[${id}] not found"}`,
    });
    const probes = main.probes() + spare.probes();
    // A probe would have come within this time: an interval and its tenth.
    await new Promise((resolve) => setTimeout(resolve, 1300));
    // One may have been on its way.
    assert.ok(main.probes() + spare.probes() <= probes + 1);
  });

  test('requests of clients count where an instance has a passive block', async () => {
    await using main = await startProbed();
    await using spare = await startProbed();
    const answerWell = main.answer;
    const passive = { unhealthy: { http_statuses: [500], http_failures: 2 } };
    const checks = {
      active: { http_path: '/health', healthy: { interval: 60 }, unhealthy: { interval: 60 } },
      passive,
    };
    const id = 'passive';
    await gateway.putRoute(id, routeOf(id, instance('main', main, { priority: 1, checks }), instance('spare', spare)));
    main.answer = (request, response) => {
      if (request.target.startsWith('/health')) answerWell(request, response);
      else response.writeHead(500).end('{}');
    };
    // A probe between the two failures would set them back to none.
    await until('the first probes', async () => {
      const { nodes } = await healthOf(gateway, id);
      return nodes.length === 2 && nodes.every((node) => node.last_probe_at !== null);
    });
    assert.deepEqual(await chat(gateway, id, 2), [500, 500]);
    const item = await untilStatus(gateway, id, { main: 'unhealthy' });
    assert.equal(item.nodes[0]?.last_error, 'a request got status 500');
    assert.deepEqual(new Set(await chat(gateway, id, 6)), new Set([200]));
    assert.equal(main.calls(), 2);
  });

  test('probes carry credentials with the values of their references', async () => {
    await using main = await startProbed();
    const auth = {
      header: { Authorization: '$env://WEIR_TEST_PROBE_KEY' },
      query: { api_key: '$env://WEIR_TEST_PROBE_KEY' },
    };
    const without = { header: { A: '$env://WEIR_TEST_ABSENT' } };
    await gateway.putRoute('credential', routeOf('credential', instance('main', main, { auth })));
    await gateway.putRoute('absent', routeOf('absent', instance('main', main, { auth: without })));
    await eventually(() => main.probes() > 0);
    const [probe] = main.requests;
    assert.equal(fieldOf(probe, 'authorization'), 'canary&of=probes');
    assert.equal(probe?.target, '/health?api_key=canary%26of%3Dprobes');
    main.healthStatus = 500;
    await untilStatus(gateway, 'credential', { main: 'unhealthy' });
    assert.deepEqual((await healthOf(gateway, 'absent')).nodes, [], 'without its credential nothing is probed');
    assert.doesNotMatch((await control(gateway, '/v1/healthcheck')).text + gateway.errorLog(), /canary/);
  });

  test('the control API answers in the words of APISIX, and with a page for browsers', async () => {
    await using main = await startProbed();
    const name = '<b>&"';
    const overTcp = instance('tcp', main, { checks: { active: { type: 'tcp' } } });
    await gateway.putRoute('shown', routeOf('shown', instance(name, main), overTcp));
    await gateway.putRoute('none', { uri: '/none', plugins: {} });
    await gateway.putRoute('unchecked', routeOf('unchecked', instance('main', main, { checks: undefined })));
    const item = await untilStatus(gateway, 'shown', { [name]: 'healthy', tcp: 'healthy' });
    assert.equal(item.type, 'http,tcp');
    const list = JSON.parse((await control(gateway, '/v1/healthcheck')).text) as HealthItem[];
    const names = list.map((each) => each.name).filter((each) => /shown|none|unchecked/.test(each));
    assert.deepEqual(names, ['/apisix/routes/shown']);
    for (const path of ['/v1/healthcheck', '/v1/healthcheck/routes/shown']) {
      const page = await control(gateway, path, 'text/html,*/*');
      assert.equal(page.type, 'text/html; charset=utf-8');
      assert.match(page.text, /<td>&lt;b&gt;&amp;&quot;<\/td>/);
      assert.doesNotMatch(page.text, /<b>/);
    }
    for (const [path, status, text] of [
      ['/v1/healthcheck/routes/none', 404, 'no checker for routes[none]'],
      ['/v1/healthcheck/routes/unchecked', 404, 'no checker for routes[unchecked]'],
      ['/v1/healthcheck/routes/other', 404, 'routes[other] not found'],
      ['/v1/healthcheck/services/1', 404, 'services[1] not found'],
      ['/v1/healthcheck/things/1', 400, 'invalid src type things'],
      ['/v1/other', 404, 'not found'],
      ['/', 404, 'not found'],
    ] as const) {
      const answer = await control(gateway, path);
      assert.deepEqual([answer.status, JSON.parse(answer.text)], [status, { error_msg: text }], path);
    }
  });

  test('a missing secret is why nothing of its route is probed, and the control API says so', async () => {
    await using main = await startProbed();
    const auth = { header: { Authorization: '$env://WEIR_TEST_NOT_SET' } };
    const id = 'no-secret';
    await gateway.putRoute(id, routeOf(id, instance('main', main), instance('spare', main, { auth })));
    const item = await healthOf(gateway, id);
    assert.deepEqual(item.nodes, []);
    assert.match(item.reason ?? '', /\$env:\/\/WEIR_TEST_NOT_SET: the environment variable is not set/);
    const { text } = await control(gateway, '/v1/healthcheck', 'text/html');
    assert.match(text, /<td colspan="8">not probed: .*WEIR_TEST_NOT_SET/);

    await gateway.putRoute(id, routeOf(id, instance('main', main)));
    const mended = await untilStatus(gateway, id, { main: 'healthy' });
    assert.equal(mended.reason, undefined);
  });

  test('apisix.disable_upstream_healthcheck turns checks off, also by a reload, and enable_control the control API', async () => {
    await using main = await startProbed();
    await using spare = await startProbed();
    main.healthStatus = 500;
    await using own = await startGateway({
      routes: { r: routeOf('r', instance('main', main, { priority: 1 }), instance('spare', spare)) },
    });
    await untilStatus(own, 'r', { main: 'unhealthy' });
    await chat(own, 'r');
    assert.deepEqual([main.calls(), spare.calls()], [0, 1]);

    const config = parse(readFileSync(own.configFile, 'utf8')) as { apisix: Record<string, unknown> };
    const { controlUrl } = own;
    writeFileSync(
      own.configFile,
      stringify({ ...config, apisix: { ...config.apisix, disable_upstream_healthcheck: true } }),
    );
    own.signal('SIGHUP');
    await until('no checks', async () => (await control(own, '/v1/healthcheck')).text === '[]');
    assert.equal((await control(own, '/v1/healthcheck/routes/r')).text, '{"error_msg":"no checker for routes[r]"}');
    await chat(own, 'r');
    assert.deepEqual([main.calls(), spare.calls()], [1, 1]);

    writeFileSync(own.configFile, stringify({ ...config, apisix: { ...config.apisix, enable_control: false } }));
    own.signal('SIGHUP');
    const isClosed = (): Promise<boolean> =>
      fetch(controlUrl).then(
        () => false,
        () => true,
      );
    await until('no control API', isClosed);
  });
});
