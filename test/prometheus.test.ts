import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { after, before, test, type TestContext } from 'node:test';
import { parse, stringify } from 'yaml';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { parseExposition, type Sample } from './support/exposition.ts';
import { eventually, type GatewayOptions } from './support/gateway.ts';
import { call, openCall, type CallResult } from './support/http-call.ts';
import { answerJson, chatAnswer } from './support/mock-provider.ts';

const chat = { model: 'auto', messages: [{ role: 'user', content: 'hi' }] };

/** For tests that look at series of their own route only. */
let shared: AiStage;

before(async () => {
  shared = await startStage();
});

after(() => shared[Symbol.asyncDispose]());

async function start(t: TestContext, options: GatewayOptions = {}): Promise<AiStage> {
  const stage = await startStage(options);
  t.after(() => stage[Symbol.asyncDispose]());
  return stage;
}

function callChat(url: string, body: object = chat, headers: Record<string, string> = {}): Promise<CallResult> {
  return call(url, { body, headers: { 'Content-Type': 'application/json', ...headers } });
}

function aiProxy(stage: AiStage, conf: object = {}): object {
  return { provider: 'openai-compatible', auth: {}, override: { endpoint: stage.provider.url }, ...conf };
}

async function readMetrics(stage: AiStage): Promise<readonly Sample[]> {
  return parseExposition(await stage.gateway.metrics());
}

/** Samples of a metric with these labels. */
function find(samples: readonly Sample[], name: string, labels: Record<string, string> = {}): readonly Sample[] {
  return samples.filter(
    (sample) =>
      sample.name === `apisix_${name}` && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
}

/** Their sum, as soon as it is what is expected: a request is counted when its log line is written, after its answer. */
async function eventuallyCounts(
  stage: AiStage,
  [name, labels]: readonly [string, Record<string, string>],
  expected: number,
): Promise<readonly Sample[]> {
  for (let tries = 0; ; tries++) {
    const samples = await readMetrics(stage);
    const sum = find(samples, name, labels).reduce((total, { value }) => total + value, 0);
    if (sum === expected) return samples;
    assert.ok(tries < 200, `${name} is ${sum}, expected ${expected}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('an LLM call is counted with its labels, its tokens and its time', async () => {
  const stage = shared;
  await stage.gateway.putRoute('counted', {
    name: 'chat',
    uri: '/chat/*',
    hosts: ['*.test', '127.0.0.1'],
    plugins: { 'ai-proxy': aiProxy(stage, { options: { model: 'gpt-4o' } }), prometheus: {} },
  });
  await callChat(`${stage.gateway.url}/chat/one`);
  await callChat(`${stage.gateway.url}/chat/two`);
  const samples = await eventuallyCounts(stage, ['http_status', { route: 'counted' }], 2);
  const call = { request_type: 'ai_chat', request_llm_model: 'auto', llm_model: 'gpt-4o' };
  const request = { consumer: '', node: 'ai-proxy-openai-compatible', ...call };
  assert.deepEqual(find(samples, 'http_status', { route: 'counted' }), [
    {
      name: 'apisix_http_status',
      labels: {
        code: '200',
        route: 'counted',
        matched_uri: '/chat/*',
        matched_host: '127.0.0.1',
        service: '',
        ...request,
        response_source: 'upstream',
      },
      value: 2,
    },
  ]);
  const llm = { route_id: 'counted', service_id: '', ...request };
  for (const [name, value] of [
    ['llm_prompt_tokens', 16],
    ['llm_completion_tokens', 10],
    ['llm_prompt_tokens_dist_sum', 16],
    ['llm_completion_tokens_dist_count', 2],
  ] as const) {
    assert.deepEqual(find(samples, name, { route_id: 'counted' }), [{ name: `apisix_${name}`, labels: llm, value }]);
  }
  assert.equal(find(samples, 'llm_prompt_tokens_dist_bucket', { route_id: 'counted', le: '10' })[0]?.value, 2);
  assert.equal(find(samples, 'llm_prompt_tokens_dist_bucket', { route_id: 'counted', le: '1' })[0]?.value, 0);
  assert.deepEqual(
    find(samples, 'llm_latency_count', { route_id: 'counted' }).map(({ labels, value }) => [labels['type'], value]),
    [['total', 2]],
  );
  assert.deepEqual(
    find(samples, 'http_latency_count', { route: 'counted' }).map(({ labels, value }) => [labels['type'], value]),
    [
      ['request', 2],
      ['apisix', 2],
      ['upstream', 2],
    ],
  );
  const [ingress, egress] = ['ingress', 'egress'].map(
    (type) => find(samples, 'bandwidth', { route: 'counted', type })[0]?.value ?? 0,
  );
  assert.ok(
    Number(ingress) > 2 * JSON.stringify(chat).length && Number(egress) > 2 * JSON.stringify(chatAnswer).length,
  );
});

test('a stream has a time to first token; an error counts under its status and with no tokens', async () => {
  const stage = shared;
  const url = await stage.route({}, { plugins: { 'ai-proxy': aiProxy(stage), prometheus: {} } });
  const route = new URL(url).pathname.slice(1);
  stage.provider.answer = (_request, response) => {
    response.setHeader('Content-Type', 'text/event-stream');
    const usage = '{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}';
    const events = `data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"choices":[],"usage":${usage}}\n\n`;
    // A token that comes within a millisecond has a time of 0, which stands for none.
    setTimeout(() => response.end(`${events}data: [DONE]\n\n`), 20);
  };
  await callChat(url, { ...chat, stream: true });
  stage.provider.answer = (_request, response) => response.writeHead(429).end('{"error":"slow"}');
  await callChat(url);
  await callChat(url, {});
  stage.provider.answer = answerJson(chatAnswer);
  const samples = await eventuallyCounts(stage, ['http_status', { route }], 3);
  assert.deepEqual(
    find(samples, 'http_status', { route }).map(({ labels }) => [
      labels['code'],
      labels['request_type'],
      labels['response_source'],
    ]),
    [
      ['200', 'ai_stream', 'upstream'],
      ['429', 'ai_chat', 'upstream'],
      ['400', 'traditional_http', 'apisix'],
    ],
  );
  assert.deepEqual(
    find(samples, 'llm_latency_count', { route_id: route }).map(({ labels, value }) => [
      labels['request_type'],
      labels['type'],
      value,
    ]),
    [
      ['ai_stream', 'total', 1],
      ['ai_stream', 'ttft', 1],
    ],
  );
  assert.deepEqual(
    find(samples, 'llm_completion_tokens', { route_id: route }).map(({ value }) => value),
    [4],
  );
  assert.deepEqual(
    find(samples, 'llm_completion_tokens_dist_count', { route_id: route }).map(({ value }) => value),
    [1],
  );
});

test('ordinary routes count with the address of their upstream; a global rule counts what matches no route', async (t) => {
  const stage = await start(t);
  const { status } = await stage.gateway.admin('PUT', '/global_rules/1', { plugins: { prometheus: {} } });
  assert.equal(status, 201);
  const upstream = { type: 'roundrobin', nodes: { [`127.0.0.1:${stage.provider.port}`]: 1 } };
  const plugins = { prometheus: { prefer_name: true } };
  await stage.gateway.putRoute('plain', { name: 'the plain one', uris: ['/a', '/b/*'], upstream, plugins });
  await call(`${stage.gateway.url}/b/secret-path?key=secret`, { method: 'GET' });
  await call(`${stage.gateway.url}/nowhere/secret-path`, { method: 'GET' });
  const samples = await eventuallyCounts(stage, ['http_status', {}], 2);
  const labels = ['code', 'route', 'matched_uri', 'node', 'request_type', 'response_source'];
  assert.deepEqual(
    find(samples, 'http_status').map((sample) => labels.map((label) => sample.labels[label])),
    [
      // Once, although the rule and the route both have the plugin: with the settings of the route.
      ['200', 'the plain one', '/b/*', '127.0.0.1', 'traditional_http', 'upstream'],
      ['404', '', '', '', 'traditional_http', 'apisix'],
    ],
  );
  assert.ok(!(await stage.gateway.metrics()).includes('secret'));
});

test('prefer_name prints names, and ids where there is none', async () => {
  const stage = shared;
  const plugins = { 'ai-proxy': aiProxy(stage), prometheus: { prefer_name: true } };
  const service = await stage.gateway.admin('PUT', '/services/s1', { name: 'the service' });
  assert.equal(service.status, 201);
  await stage.gateway.putRoute('n1', { uri: '/n1', name: 'the "route"', service_id: 's1', plugins });
  await stage.gateway.putRoute('n2', { uri: '/n2', plugins });
  for (const route of ['n1', 'n2']) await callChat(`${stage.gateway.url}/${route}`);
  await eventuallyCounts(stage, ['http_status', { service: 'the service' }], 1);
  const samples = await eventuallyCounts(stage, ['http_status', { route: 'n2' }], 1);
  const own = (name: string, label: string): readonly Sample[] =>
    ['n1', 'the "route"', 'n2'].flatMap((route) => find(samples, name, { [label]: route }));
  assert.deepEqual(
    own('http_status', 'route').map(({ labels }) => [labels['route'], labels['service']]),
    [
      ['the "route"', 'the service'],
      ['n2', ''],
    ],
  );
  assert.deepEqual(
    own('llm_prompt_tokens', 'route_id').map(({ labels }) => [labels['route_id'], labels['service_id']]),
    [
      ['the "route"', 'the service'],
      ['n2', ''],
    ],
  );
  // It has both, whatever is preferred.
  assert.deepEqual(
    own('llm_active_connections', 'route_id').map(({ labels: { route, route_id, service, service_id } }) => [
      route,
      route_id,
      service,
      service_id,
    ]),
    [
      ['the "route"', 'n1', 'the service', 's1'],
      ['', 'n2', '', ''],
    ],
  );
});

test('running LLM calls are counted once each, and no more when they end, however that happens', async (t) => {
  const stage = await start(t);
  // The first instance fails, so that there is a second attempt.
  const instance = (name: string, endpoint: string, priority: number): object => ({
    name,
    provider: 'openai-compatible',
    weight: 1,
    priority,
    auth: {},
    override: { endpoint },
  });
  const multi = {
    fallback_strategy: ['http_5xx'],
    instances: [instance('bad', stage.raw.url, 1), instance('good', stage.provider.url, 0)],
  };
  const url = await stage.route({}, { plugins: { 'ai-proxy-multi': multi, prometheus: {} } });
  stage.raw.answer = (connection) => {
    connection.socket.write('HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n');
  };
  const releases: (() => void)[] = [];
  stage.provider.answer = (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.write('data: {"choices":[{"delta":{"content":"a"}}]}\n\n');
    releases.push(() => response.end('data: [DONE]\n\n'));
  };
  const options = { body: { ...chat, stream: true }, headers: { 'Content-Type': 'application/json' } };
  const [finishing, leaving] = [await openCall(url, options), await openCall(url, options)];
  const samples = await eventuallyCounts(stage, ['llm_active_connections', {}], 2);
  assert.equal(find(samples, 'llm_active_connections')[0]?.labels['request_type'], 'ai_stream');
  assert.equal(find(samples, 'nginx_http_current_connections', { state: 'writing' })[0]?.value, 2);
  leaving.leave();
  await eventuallyCounts(stage, ['llm_active_connections', {}], 1);
  for (const release of releases) release();
  await finishing.finish();
  await eventuallyCounts(stage, ['llm_active_connections', {}], 0);
  await eventuallyCounts(stage, ['http_status', { code: '499' }], 1);
  await eventuallyCounts(stage, ['nginx_http_current_connections', { state: 'writing' }], 0);
});

test('two workers are one in the metrics', async (t) => {
  const stage = await start(t, { workers: 2 });
  const url = await stage.route({}, { plugins: { 'ai-proxy': aiProxy(stage), prometheus: {} } });
  // Each on a connection of its own, which the kernel shares out.
  const answers = await Promise.all(Array.from({ length: 60 }, () => callChat(url)));
  assert.ok(answers.every(({ status }) => status === 200));
  const samples = await eventuallyCounts(stage, ['http_status', {}], 60);
  assert.equal(find(samples, 'http_status').length, 1);
  assert.equal(find(samples, 'llm_prompt_tokens')[0]?.value, 480);
  assert.equal(find(samples, 'http_requests_total')[0]?.value, 60);
  assert.equal(find(samples, 'nginx_http_current_connections', { state: 'accepted' })[0]?.value, 60);
});

test('the gateway itself and the health of its upstreams are in the metrics', async () => {
  const stage = shared;
  const checks = { active: { type: 'tcp', healthy: { interval: 1 }, unhealthy: { interval: 1, tcp_failures: 1 } } };
  const instance = (name: string): object => ({
    name,
    provider: 'openai-compatible',
    weight: 1,
    auth: {},
    override: { endpoint: stage.provider.url },
    checks,
  });
  const url = await stage.route({}, { plugins: { 'ai-proxy-multi': { instances: [instance('a'), instance('b')] } } });
  const samples = await eventuallyCounts(stage, ['upstream_status', {}], 1);
  assert.deepEqual(find(samples, 'upstream_status')[0]?.labels, {
    name: `/apisix/routes${new URL(url).pathname}`,
    ip: '127.0.0.1',
    port: String(stage.provider.port),
  });
  assert.equal(find(samples, 'node_info')[0]?.value, 1);
  assert.deepEqual(find(samples, 'etcd_reachable'), []);
});

test('thousands of models that clients make up stay few series', async () => {
  const stage = shared;
  const url = await stage.route({}, { plugins: { 'ai-proxy': aiProxy(stage), prometheus: {} } });
  const { port, pathname } = new URL(url);
  const route = pathname.slice(1);
  // On few connections, many requests at once: thousands of connections would only be slow.
  const total = 2000;
  const connections = 4;
  await Promise.all(
    Array.from({ length: connections }, async (_, index) => {
      const models = Array.from({ length: total / connections }, (_, at) => `model-${index}-${at}-${'x'.repeat(200)}`);
      await pipeline(Number(port), pathname, models);
    }),
  );
  const samples = await eventuallyCounts(stage, ['http_status', { route }], total);
  const models = new Set(find(samples, 'http_status', { route }).map(({ labels }) => labels['request_llm_model']));
  // Other tests of this gateway have named a few of the 256.
  assert.ok(models.size <= 257 && models.size > 240, String(models.size));
  assert.ok(models.has('<other>'));
  assert.ok([...models].every((model = '') => model.length <= 128));
  const other = find(samples, 'http_status', { route, request_llm_model: '<other>' });
  assert.equal(other[0]?.value, total - (models.size - 1));
  await stage.gateway.putRoute('configured', {
    uri: '/configured',
    plugins: { 'ai-proxy': aiProxy(stage, { options: { model: 'configured' } }), prometheus: {} },
  });
  await callChat(`${stage.gateway.url}/configured`, { ...chat, model: 'one more' });
  const [line] = find(await eventuallyCounts(stage, ['http_status', { route: 'configured' }], 1), 'http_status', {
    route: 'configured',
  });
  assert.deepEqual([line?.labels['request_llm_model'], line?.labels['llm_model']], ['<other>', 'configured']);
});

test('config.yaml says where, under which names and with which further labels', async (t) => {
  const stage = await start(t, {
    config: {
      plugin_attr: {
        prometheus: {
          metric_prefix: 'weir_',
          export_uri: '/metrics',
          default_buckets: [7],
          metrics: { http_status: { extra_labels: [{ team: 'x' }, { team: '$http_x_team' }, { code: '$status' }] } },
        },
      },
    },
  });
  const url = await stage.route({}, { plugins: { 'ai-proxy': aiProxy(stage), prometheus: {} } });
  await callChat(url, chat, { 'X-Team': 'a' });
  await callChat(url, chat, { 'X-Team': 'b' });
  await callChat(url, chat, { 'X-Team': 'a' });
  await stage.logged(url, 3);
  const { metricsUrl } = stage.gateway;
  assert.equal((await fetch(`${metricsUrl}/apisix/prometheus/metrics`)).status, 404);
  assert.equal((await fetch(`${metricsUrl}/metrics`, { method: 'POST' })).status, 405);
  const response = await fetch(`${metricsUrl}/metrics`);
  assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  const samples = parseExposition(await response.text());
  assert.ok(samples.every(({ name }) => name.startsWith('weir_')));
  assert.deepEqual(
    samples.filter(({ name }) => name === 'weir_http_status').map(({ labels, value }) => [labels['team'], value]),
    [
      ['a', 2],
      ['b', 1],
    ],
  );
  assert.deepEqual(
    samples
      .filter(({ name, labels }) => name === 'weir_http_latency_bucket' && labels['type'] === 'request')
      .map(({ labels }) => labels['le']),
    ['7', '+Inf'],
  );
});

test('labels that the metadata disables are printed empty', async (t) => {
  const stage = await start(t);
  const refused = await stage.gateway.admin('PUT', '/plugin_metadata/prometheus', {
    disabled_labels: { http_status: ['code'] },
  });
  assert.equal(refused.status, 400);
  const disabled_labels = {
    http_status: ['node', 'matched_uri'],
    llm_prompt_tokens: ['llm_model'],
    llm_completion_tokens_dist: ['llm_model'],
  };
  const { status } = await stage.gateway.admin('PUT', '/plugin_metadata/prometheus', { disabled_labels });
  assert.equal(status, 201);
  const url = await stage.route({}, { plugins: { 'ai-proxy': aiProxy(stage), prometheus: {} } });
  await callChat(url);
  const samples = await eventuallyCounts(stage, ['http_status', {}], 1);
  const labelOf = (name: string, label: string): string | undefined => find(samples, name)[0]?.labels[label];
  assert.deepEqual(
    [
      labelOf('http_status', 'node'),
      labelOf('http_status', 'matched_uri'),
      labelOf('http_status', 'route'),
      labelOf('llm_prompt_tokens', 'llm_model'),
      labelOf('llm_prompt_tokens_dist_count', 'llm_model'),
      labelOf('llm_completion_tokens_dist_count', 'llm_model'),
      labelOf('llm_completion_tokens', 'llm_model'),
    ],
    ['', '', 'r1', '', 'auto', '', 'auto'],
  );
});

test('a reload that replaces the workers keeps what was counted, and the buckets', async (t) => {
  const stage = await start(t, { config: { nginx_config: { error_log_level: 'notice' } } });
  const url = await stage.route({}, { plugins: { 'ai-proxy': aiProxy(stage), prometheus: {} } });
  await callChat(url);
  await eventuallyCounts(stage, ['http_status', {}], 1);
  const config = parse(readFileSync(stage.gateway.configFile, 'utf8')) as Record<string, object>;
  const changed = {
    ...config,
    nginx_config: { ...config['nginx_config'], worker_processes: 2 },
    plugin_attr: { prometheus: { export_addr: { port: 0 }, default_buckets: [7] } },
  };
  writeFileSync(stage.gateway.configFile, stringify(changed));
  stage.gateway.signal('SIGHUP');
  await eventually(() => stage.gateway.errorLog().includes('was read anew'));
  await callChat(url);
  const samples = await eventuallyCounts(stage, ['http_status', {}], 2);
  assert.equal(find(samples, 'http_latency_count', { type: 'request' })[0]?.value, 2);
  await stage.gateway.untilErrorLog(/the buckets changed; they stay as they are until a restart/);
});

test('a port that is taken costs the metrics, not the gateway; a reload tries again', async (t) => {
  const squatter = createServer();
  squatter.listen(0, '127.0.0.1');
  await once(squatter, 'listening');
  t.after(() => squatter.close());
  const { port } = squatter.address() as { port: number };
  const stage = await start(t, {
    config: {
      plugin_attr: { prometheus: { export_addr: { port } } },
      nginx_config: { error_log_level: 'notice' },
    },
  });
  assert.equal(stage.gateway.metricsUrl, '');
  await stage.gateway.untilErrorLog(/the metrics are not served/);
  assert.equal((await callChat(await stage.route())).status, 200);
  squatter.close();
  stage.gateway.signal('SIGHUP');
  await eventually(() => stage.gateway.errorLog().includes('was read anew'));
  assert.equal((await fetch(`http://127.0.0.1:${port}/apisix/prometheus/metrics`)).status, 200);
});

test('without the export server nothing listens', async (t) => {
  const stage = await start(t, { config: { plugin_attr: { prometheus: { enable_export_server: false } } } });
  assert.equal(stage.gateway.metricsUrl, '');
  assert.doesNotMatch(stage.gateway.output(), /metrics/);
});

/** Sends one chat for each model on one connection, and waits for all answers. */
async function pipeline(port: number, path: string, models: readonly string[]): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  let answers = 0;
  const done = Promise.withResolvers<void>();
  socket.setEncoding('latin1').on('data', (text: string) => {
    answers += text.split('HTTP/1.1 200').length - 1;
    if (answers === models.length) done.resolve();
  });
  socket.on('error', done.reject);
  for (const model of models) {
    const body = JSON.stringify({ ...chat, model });
    const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`;
    socket.write(`${head}\r\n\r\n${body}`);
  }
  await done.promise;
  socket.destroy();
}
