import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { etcdProgram, startEtcd } from './services/etcd.ts';
import { eventually, startGateway, type TestGateway } from './support/gateway.ts';

const skip = etcdProgram === null ? 'there is no etcd, and apt-get could not install it' : false;

/** A route that a gateway answers itself, telling which version of it is served. */
function routeSaying(text: string): object {
  const plugins = { 'ai-prompt-guard': { _meta: { disable: true } } };
  return { id: 'r1', uri: `/${text}`, plugins };
}

/** Whether some route takes the path: a route whose plugins choose no target is a fault of the gateway, not a 404. */
async function serves(gateway: TestGateway, path: string): Promise<boolean> {
  const response = await fetch(gateway.url + path, { method: 'POST', body: '{}' });
  await response.arrayBuffer();
  return response.status !== 404;
}

async function untilServed(gateway: TestGateway, path: string): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await serves(gateway, path))) {
    assert.ok(performance.now() < end, `${path} was not served within 20 s: ${gateway.output()}`);
    await sleep(10);
  }
}

describe('gateways on etcd', { skip }, () => {
  test('a data plane serves on while etcd is dead, also after a restart, and catches up after', async (t) => {
    await using etcd = await startEtcd();
    const [member] = etcd.members;
    await etcd.put('/apisix/routes/r1', routeSaying('one'));
    const deployment = { role: 'data_plane', etcd: { host: etcd.endpoints, timeout: 2 } };
    await using first = await startGateway({ config: { deployment }, workers: 2 });
    assert.match(first.output(), /Admin API +off/);
    assert.equal(await serves(first, '/one'), true);

    // A change reaches every worker; each connection of fetch may meet another one.
    const startedAt = performance.now();
    await etcd.put('/apisix/routes/r2', { ...routeSaying('two'), id: 'r2' });
    await untilServed(first, '/two');
    t.diagnostic(`a change was served ${Math.round(performance.now() - startedAt)} ms after it was put`);

    await member?.kill();
    await eventually(() => first.errorLog().includes('etcd cannot be followed'), 10_000);
    assert.equal(await serves(first, '/one'), true);
    const snapshot = join(first.prefix, 'data', 'last-good.json');
    await eventually(() => readFileSync(snapshot, 'utf8').includes('/two'));
    await first.stop('SIGKILL');

    await using second = await startGateway({ prefix: first.prefix });
    assert.equal(await serves(second, '/one'), true);
    assert.equal(await serves(second, '/two'), true);
    assert.equal(await serves(second, '/three'), false);
    await member?.start();
    await etcd.put('/apisix/routes/r3', { ...routeSaying('three'), id: 'r3' });
    await untilServed(second, '/three');
    assert.equal(await second.stop(), 0);
  });

  test('what a control plane is told, its data planes serve, with credentials encrypted in between', async () => {
    await using etcd = await startEtcd();
    const shared = { etcd: { host: etcd.endpoints } };
    const traffic = { config: { deployment: { ...shared, role: 'data_plane' } } };
    await using control = await startGateway({ config: { deployment: { ...shared, role: 'control_plane' } } });
    assert.match(control.output(), /data plane +off \(deployment.role is control_plane\)/);
    await using one = await startGateway(traffic);
    await using two = await startGateway(traffic);
    const auth = { header: { Authorization: 'Bearer sk-canary' } };
    const plugins = { 'ai-proxy': { provider: 'openai', auth, override: { endpoint: 'http://127.0.0.1:9/' } } };
    await control.putRoute('r1', { uri: '/chat', plugins });
    await Promise.all([untilServed(one, '/chat'), untilServed(two, '/chat')]);

    const inEtcd = await etcd.get('/apisix/routes/r1');
    assert.doesNotMatch(inEtcd ?? '', /sk-canary/);
    const { body } = await control.admin('GET', '/routes/r1');
    assert.match(JSON.stringify(body), /Bearer sk-canary/);
    const snapshot = join(one.prefix, 'data', 'last-good.json');
    await eventually(() => readFileSync(snapshot, 'utf8').includes('/chat'));
    for (const gateway of [control, one, two]) {
      assert.doesNotMatch(gateway.errorLog() + gateway.output(), /sk-canary/);
      assert.doesNotMatch(readFileSync(join(gateway.prefix, 'data', 'last-good.json'), 'utf8'), /sk-canary/);
    }
  });

  test('traffic flows without a failure while etcd is killed, paused, restarted and changed', async () => {
    await using etcd = await startEtcd();
    const [member] = etcd.members;
    await etcd.put('/apisix/routes/r1', routeSaying('one'));
    const config = { deployment: { role: 'data_plane', etcd: { host: etcd.endpoints } } };
    await using gateway = await startGateway({ config });
    let failures = 0;
    let requests = 0;
    const flow = new AbortController();
    const flowed = (async () => {
      while (!flow.signal.aborted) {
        requests++;
        if (!(await serves(gateway, '/one').catch(() => false))) failures++;
        await sleep(5);
      }
    })();
    await member?.kill();
    await member?.start();
    await etcd.put('/apisix/routes/r2', { ...routeSaying('two'), id: 'r2' });
    await untilServed(gateway, '/two');
    member?.pause();
    await eventually(() => (gateway.errorLog().match(/etcd cannot be followed/g) ?? []).length >= 2, 15_000);
    member?.resume();
    await etcd.put('/apisix/routes/r3', { ...routeSaying('three'), id: 'r3' });
    await untilServed(gateway, '/three');
    flow.abort();
    await flowed;
    assert.ok(requests > 10);
    assert.equal(failures, 0);
  });
});
