import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { eventually, startGateway, type TestGateway } from './support/gateway.ts';
import { call } from './support/http-call.ts';
import { startProvider, type Provider } from './support/mock-provider.ts';

async function put(gateway: TestGateway, path: string, conf: object): Promise<void> {
  const answer = await gateway.admin('PUT', path, conf);
  assert.ok(answer.status === 200 || answer.status === 201, JSON.stringify(answer));
}

function named(name: string): Promise<Provider> {
  return startProvider(({ target }, response) => void response.end(target === '/health' ? '' : name));
}

describe('where the upstream of a route may stand', () => {
  test('in the route, in an upstream, in a service; changed without a restart', async () => {
    await using one = await named('one');
    await using other = await named('other');
    await using gateway = await startGateway();
    const toOne = { nodes: { [`127.0.0.1:${one.port}`]: 1 } };
    const toOther = { nodes: { [`127.0.0.1:${other.port}`]: 1 } };
    await put(gateway, '/upstreams/u', toOne);
    await put(gateway, '/services/inline', { upstream: toOne });
    await put(gateway, '/services/named', { upstream_id: 'u' });
    await gateway.putRoute('1', { uri: '/inline', upstream: toOther });
    await gateway.putRoute('2', { uri: '/named', upstream_id: 'u' });
    await gateway.putRoute('3', { uri: '/service/inline', service_id: 'inline' });
    await gateway.putRoute('4', { uri: '/service/named', service_id: 'named' });
    await gateway.putRoute('5', { uri: '/route/wins', service_id: 'inline', upstream: toOther });
    const ask = async (path: string): Promise<string> => (await call(gateway.url + path, { method: 'GET' })).text;
    const paths = ['/inline', '/named', '/service/inline', '/service/named', '/route/wins'];
    assert.deepEqual(await Promise.all(paths.map(ask)), ['other', 'one', 'one', 'one', 'other']);
    await put(gateway, '/upstreams/u', toOther);
    assert.deepEqual(await Promise.all(paths.map(ask)), ['other', 'other', 'one', 'other', 'other']);
  });

  test('enable_websocket of the service counts, unless the route says otherwise', async () => {
    await using upstream = await startProvider(
      ({ fields }, response) => void response.end(String(fields.some(([name]) => name === 'upgrade'))),
    );
    const nodes = { [`127.0.0.1:${upstream.port}`]: 1 };
    await using gateway = await startGateway();
    await put(gateway, '/services/s', { upstream: { nodes }, enable_websocket: true });
    await gateway.putRoute('1', { uri: '/a', service_id: 's' });
    await gateway.putRoute('2', { uri: '/b', service_id: 's', enable_websocket: false });
    const headers = { Connection: 'Upgrade', Upgrade: 'websocket' };
    const ask = async (path: string): Promise<string> =>
      (await call(gateway.url + path, { method: 'GET', headers })).text;
    assert.deepEqual([await ask('/a'), await ask('/b')], ['true', 'false']);
  });
});

test('active checks of an upstream: an unhealthy node gets nothing, and the control API shows it', async () => {
  await using good = await named('good');
  const checks = { active: { http_path: '/health', unhealthy: { interval: 1, tcp_failures: 1 } } };
  const nodes = { [`127.0.0.1:${good.port}`]: 1, '127.0.0.1:1': 1 };
  await using gateway = await startGateway();
  await put(gateway, '/upstreams/1', { nodes, checks });
  await put(gateway, '/services/1', { upstream: { nodes, checks } });
  await gateway.putRoute('1', { uri: '/inline', upstream: { nodes, checks } });
  await gateway.putRoute('2', { uri: '/u', upstream_id: '1' });

  const show = async (path: string): Promise<string> => {
    const response = await fetch(`${gateway.controlUrl}/v1/healthcheck${path}`);
    return response.text();
  };
  for (const owner of ['/upstreams/1', '/services/1', '/routes/1']) {
    let item = { name: '', nodes: [] as { instance: string; status: string }[] };
    let latest = '';
    const look = setInterval(() => void show(owner).then((text) => (latest = text)), 30);
    await eventually(() => latest.includes('"unhealthy"'), undefined, `the health of ${owner}`);
    clearInterval(look);
    item = JSON.parse(latest) as typeof item;
    assert.equal(item.name, `/apisix${owner}`);
    assert.deepEqual(
      item.nodes.map(({ instance, status }) => `${instance} ${status}`),
      [`127.0.0.1:${good.port} healthy`, '127.0.0.1:1 unhealthy'],
    );
  }
  for (let n = 0; n < 4; n++) assert.equal((await call(`${gateway.url}/u`, { method: 'POST' })).text, 'good');
  const lines = await gateway.accessLog('/u');
  assert.equal(
    lines.some((line) => line.includes('127.0.0.1:1,')),
    false,
    'nobody tried the other one',
  );
});

test('passive checks of an upstream: answers to clients make a node unhealthy and healthy again', async () => {
  let isSick = true;
  await using one = await startProvider(({ target }, response) => {
    response.writeHead(target === '/health' || !isSick ? 200 : 500).end('one');
  });
  await using other = await named('other');
  const passive = { unhealthy: { http_failures: 2 }, healthy: { successes: 1 } };
  const never = { interval: 1000 };
  const checks = { active: { http_path: '/health', healthy: never, unhealthy: never }, passive };
  await using gateway = await startGateway({ workers: 2 });
  const nodes = [one, other].map(({ port }, at) => ({ host: '127.0.0.1', port, weight: 1, priority: -at }));
  await put(gateway, '/upstreams/1', { nodes, checks });
  await gateway.putRoute('1', { uri: '/*', upstream_id: '1' });
  const statusOf = async (): Promise<string | undefined> => {
    const response = await fetch(`${gateway.controlUrl}/v1/healthcheck/upstreams/1`);
    const { nodes: found } = (await response.json()) as { nodes: { port: number; status: string }[] };
    return found.find(({ port }) => port === one.port)?.status;
  };
  const ask = async (): Promise<string> => {
    const { status, text } = await call(gateway.url, { method: 'GET', headers: { Connection: 'close' } });
    return `${status} ${text}`;
  };
  const until = async (status: string): Promise<void> => {
    const end = performance.now() + 5000;
    while ((await statusOf()) !== status) assert.ok(performance.now() < end, `waited in vain for ${status}`);
  };
  // The first probe, which comes within a second, would be a success in between.
  await eventually(() => one.requests.length > 0);
  assert.deepEqual([await ask(), await ask()], ['500 one', '500 one']);
  await until('unhealthy');
  assert.deepEqual([await ask(), await ask(), await ask()], ['200 other', '200 other', '200 other']);
  isSick = false;
  await put(gateway, '/upstreams/1', { nodes: nodes.slice(0, 1), checks });
  assert.equal(await ask(), '200 one', 'a lone node is asked, whatever its health');
  await until('healthy');
});
