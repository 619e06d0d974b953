import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { silentLog } from '../base/log.ts';
import type { StoredResource } from '../config/store/store.ts';
import { definePlugin } from '../pipeline/define-plugin.ts';
import { SecretCache } from '../pipeline/secret-cache.ts';
import type { RequestView } from '../router/request-view.ts';
import { fakeRequest } from '../router/request-view.fixture.ts';
import type { CertificateCompiler } from './certificates.ts';
import { SnapshotCompiler, type Snapshot, type SnapshotOptions } from './snapshot.ts';

let revision = 0;

function stored(kind: string, id: string, value: Readonly<Record<string, unknown>> = {}): StoredResource {
  return { kind, id, value: { id, ...value }, createdIndex: ++revision, modifiedIndex: revision };
}

function createCompiler() {
  const made: string[] = [];
  const told: unknown[] = [];
  const fake = definePlugin({
    name: 'fake',
    priority: 10,
    version: 1,
    summary: '',
    schema: { type: 'object', properties: { broken: { type: 'boolean' } } },
    create({ broken }, { owner }) {
      if (broken === true) throw new Error('cannot be made');
      made.push(owner);
      return { access: () => undefined };
    },
  });
  const auth = definePlugin({
    name: 'auth',
    priority: 20,
    version: 1,
    summary: '',
    schema: { type: 'object' },
    consumerSchema: { type: 'object', properties: { key: { type: 'string' } } },
    credentialKey: 'key',
    create: () => ({ rewrite: () => undefined }),
  });
  const log = { ...silentLog, error: (message: string, fields?: object) => told.push(message, fields) };
  const compiler = new SnapshotCompiler({
    findPlugin: (name) => [fake, auth].find((plugin) => plugin.name === name),
    env: { log, configurationLog: log } as unknown as SnapshotOptions['env'],
    routerMode: 'radixtree_host_uri',
    secrets: new SecretCache({ environment: {}, log: silentLog }),
    certificates: { compile: () => null } as unknown as CertificateCompiler,
    log,
  });
  return { compiler, made, told };
}

function match({ router }: Snapshot, path: string, more: Partial<RequestView> = {}) {
  return router.match(fakeRequest({ path, host: more.host ?? '' }));
}

describe('a snapshot', () => {
  test('compiles only what a change concerns', () => {
    const { compiler, made } = createCompiler();
    const service = stored('services', 's', { plugins: { fake: {} } });
    const routes = ['/a', '/b', '/c'].map((uri) => stored('routes', uri.slice(1), { uri, service_id: 's' }));
    const other = stored('routes', 'd', { uri: '/d', plugins: { fake: {} } });
    const before = compiler.compile([service, ...routes, other], 1);
    assert.deepEqual(made, ['services/s', 'routes/d']);

    const changed = stored('services', 's', { plugins: { fake: { x: 1 } } });
    const after = compiler.compile([changed, ...routes, other], 2);
    assert.deepEqual(made.slice(2), ['services/s']);
    assert.equal(match(after, '/d'), match(before, '/d'));
    assert.notEqual(match(after, '/a'), match(before, '/a'));

    const unrelated = compiler.compile([changed, ...routes, other, stored('consumers', 'jack')], 3);
    assert.equal(match(unrelated, '/a'), match(after, '/a'));
    assert.equal(made.length, 3);
  });

  test('leaves a route out that cannot be served, says so once, and takes it in when it can', () => {
    const { compiler, told } = createCompiler();
    const route = stored('routes', 'r', { uri: '/r', service_id: 's' });
    const service = stored('services', 's', { plugins: { fake: {} } });
    assert.equal(match(compiler.compile([route], 1), '/r'), null);
    compiler.compile([route, stored('consumers', 'x')], 2);
    assert.deepEqual(told, [
      'a route cannot be served and is left out',
      { route_id: 'r', error: new Error('it refers to services/s, which does not exist') },
    ]);
    assert.equal(match(compiler.compile([route, service], 3), '/r')?.serviceId, 's');
    assert.equal(match(compiler.compile([route], 4), '/r'), null);
    assert.equal(told.length, 4);
  });

  test('leaves out routes that are switched off or broken, without harm to others', () => {
    const { compiler } = createCompiler();
    const snapshot = compiler.compile(
      [
        stored('routes', '1', { uri: '/off', status: 0, plugins: {} }),
        stored('routes', '2', { uri: '/broken', plugins: { fake: { broken: true } } }),
        stored('routes', '3', { uri: '/unknown', plugins: { nothing: {} } }),
        stored('routes', '4', { uri: '/fine', plugins: {} }),
      ],
      1,
    );
    const found = ['/off', '/broken', '/unknown', '/fine'].map((path) => match(snapshot, path)?.id);
    assert.deepEqual(found, [undefined, undefined, undefined, '4']);
  });

  test('leaves a global rule out that cannot be used', () => {
    const { compiler, told } = createCompiler();
    const rules = [
      stored('global_rules', '1', { plugins: { nothing: {} } }),
      stored('global_rules', '2', { plugins: { fake: {} } }),
    ];
    assert.equal(compiler.compile(rules, 1).unmatched?.opening.length, 1);
    assert.equal(told[0], 'a global rule cannot be used and is left out');
    assert.equal(compiler.compile([], 2).unmatched, null);
  });

  test('names global rules of which one is ignored, once', () => {
    const { compiler, told } = createCompiler();
    const rules = ['1', '2'].map((id) => stored('global_rules', id, { plugins: { fake: {} } }));
    assert.equal(compiler.compile(rules, 1).unmatched?.opening.length, 1);
    compiler.compile([...rules, stored('routes', 'r', { uri: '/r', plugins: {} })], 2);
    assert.deepEqual(told, [
      'two global rules have the same plugin: only that of the first one runs',
      { plugin: 'fake', owner: 'global_rules/1', ignored: 'global_rules/2' },
    ]);
  });

  test('keeps the pipelines of consumers, one for all that have the same plugins', () => {
    const { compiler } = createCompiler();
    const snapshot = compiler.compile(
      [
        stored('routes', 'r', { uri: '/r', plugins: { auth: {} } }),
        stored('consumer_groups', 'g', { plugins: { fake: {} } }),
        stored('consumers', 'a', { group_id: 'g', plugins: { auth: { key: 'a' } } }),
        stored('consumers', 'b', { group_id: 'g', plugins: { auth: { key: 'b' } } }),
        stored('consumers', 'own', { group_id: 'g', plugins: { auth: { key: 'own' }, fake: {} } }),
        stored('consumers', 'bare', { plugins: { auth: { key: 'bare' } } }),
        stored('credentials', 'bare/one', { plugins: { auth: { key: 'one' } } }),
        stored('credentials', 'nobody/one', { plugins: { auth: { key: 'lost' } } }),
      ],
      1,
    );
    const route = match(snapshot, '/r');
    assert.ok(route !== null);
    const pipelineOf = (key: string) => {
      const found = snapshot.consumers.find('auth', key);
      assert.ok(found !== undefined && !(found instanceof Promise), key);
      return snapshot.pipelineFor(route, found.consumer);
    };
    assert.equal(pipelineOf('a'), pipelineOf('b'));
    assert.equal(pipelineOf('a'), pipelineOf('a'));
    assert.notEqual(pipelineOf('a'), pipelineOf('own'));
    assert.equal(pipelineOf('bare'), route.pipeline);
    assert.equal(pipelineOf('one'), route.pipeline);
    assert.equal(snapshot.consumers.find('auth', 'lost'), undefined);
    assert.equal(pipelineOf('a').steps.length, 1);
  });

  test('compiles only the consumers anew that a change concerns', () => {
    const { compiler } = createCompiler();
    const keyed = { plugins: { auth: { key: 'one' } } };
    const others = [stored('credentials', 'b/one', keyed), stored('consumers', 'a', { group_id: 'g' })];
    const group = stored('consumer_groups', 'g', { plugins: { fake: {} } });
    const owner = stored('consumers', 'b');
    const { consumers: first } = compiler.compile([group, owner, ...others], 1);
    const { consumers: second } = compiler.compile([stored('consumer_groups', 'g'), owner, ...others], 2);
    assert.equal(first.get('a')?.overlay?.layers[0]?.owner, 'consumer_groups/g');
    assert.equal(second.get('a')?.overlay, null);
    assert.equal(second.get('b'), first.get('b'));
    assert.equal(second.find('auth', 'one'), first.find('auth', 'one'));
    const { consumers: third } = compiler.compile([group, stored('consumers', 'b', { group_id: 'g' }), ...others], 3);
    assert.notEqual(third.find('auth', 'one'), first.find('auth', 'one'));
    assert.equal((third.find('auth', 'one') as { consumer: { groupId: string } }).consumer.groupId, 'g');
  });

  test('of ten thousand consumers and routes is made in seconds', () => {
    const { compiler } = createCompiler();
    const resources = Array.from({ length: 10_000 }, (_, i) => [
      stored('routes', `r${i}`, { uri: `/r${i}`, plugins: { auth: {} } }),
      stored('consumers', `c${i}`, { plugins: { auth: { key: `key-${i}` }, fake: {} } }),
    ]).flat();
    const snapshot = compiler.compile(resources, 1);
    assert.equal(
      (snapshot.consumers.find('auth', 'key-9999') as { consumer: { name: string } }).consumer.name,
      'c9999',
    );
    const route = match(snapshot, '/r1');
    assert.ok(route !== null);
    for (let i = 0; i < 10_000; i++) {
      const consumer = snapshot.consumers.get(`c${i}`);
      assert.ok(consumer !== undefined);
      assert.equal(snapshot.pipelineFor(route, consumer).steps.length, 1);
    }
  });
});
