import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assertRefused, keyAuth, startAdmin } from './support/admin-api.ts';
import { serverCertificate } from './support/tls-fixtures.ts';

const nodes = { '127.0.0.1:1980': 1 };
const secret = 'Bearer sk-0123456789abcdef';
const aiProxy = { provider: 'openai', auth: { header: { Authorization: secret } } };
const { cert, key } = serverCertificate;

/** A path below /apisix/admin, and a body that is good there. What needs others stands after them. */
const good = {
  upstream: ['/upstreams/u1', { nodes }],
  service: ['/services/s1', { upstream_id: 'u1' }],
  pluginConfig: ['/plugin_configs/p1', { plugins: { 'ai-proxy': aiProxy } }],
  consumerGroup: ['/consumer_groups/g1', { plugins: { 'ai-prompt-decorator': {} } }],
  consumer: ['/consumers/jack', { username: 'jack', group_id: 'g1', plugins: { 'key-auth': { key: 'k' } } }],
  credential: ['/consumers/jack/credentials/c1', { plugins: { 'key-auth': { key: 'other' } } }],
  globalRule: ['/global_rules/r1', { plugins: { 'ai-prompt-decorator': {} } }],
  pluginMetadata: ['/plugin_metadata/http-logger', { log_format: { a: '$host' } }],
  secret: ['/secrets/vault/1', { uri: 'https://127.0.0.1:8200', prefix: 'kv/data', token: 't' }],
  ssl: ['/ssls/c1', { sni: 'a.example', cert, key }],
  route: ['/routes/r1', { uri: '/a', service_id: 's1', plugin_config_id: 'p1' }],
} as const satisfies Record<string, readonly [string, object]>;

type Admin = Awaited<ReturnType<typeof startAdmin>>;

async function startWithAll(): Promise<Admin> {
  const admin = await startAdmin();
  for (const [path, body] of Object.values(good)) {
    const answer = await admin.call('PUT', path, { body });
    assert.equal(answer.status, 201, `${path}: ${answer.text}`);
  }
  return admin;
}

/** What comes back of a body that was put. */
const shown: Readonly<Record<string, object>> = {
  '/ssls/c1': { sni: 'a.example', cert, id: 'c1' },
  '/consumers/jack': good.consumer[1],
  '/secrets/vault/1': { ...good.secret[1], id: 'vault/1' },
};

describe('every resource', () => {
  for (const [path, body] of Object.values(good)) {
    it(`V38 goes through its life with the envelopes of APISIX: ${path}`, async () => {
      await using admin = await startWithAll();
      const stored = shown[path] ?? { ...body, id: path.split('/').at(-1) };
      const list = path.slice(0, path.lastIndexOf('/'));

      const again = await admin.call('PUT', path, { body });
      assert.equal(again.status, 200, again.text);
      assert.deepEqual(Object.keys(again.json), ['key', 'value']);
      assert.equal(again.json.key, `/apisix${path}`);
      const { create_time: created, update_time: updated, ...value } = again.json.value;
      assert.deepEqual(value, stored);
      assert.ok(Number.isInteger(created) && updated >= created);

      const one = await admin.call('GET', path);
      assert.equal(one.status, 200);
      assert.deepEqual(Object.keys(one.json), ['key', 'value', 'createdIndex', 'modifiedIndex']);
      assert.deepEqual(one.json.value, again.json.value);
      // Secrets are listed over all managers.
      const all = await admin.call('GET', list === '/secrets/vault' ? '/secrets' : list);
      assert.deepEqual(all.json, { total: 1, list: [one.json] });

      const deleted = await admin.call('DELETE', `${path}?force=true`);
      assert.deepEqual(deleted.json, { key: `/apisix${path}`, deleted: '1' });
      for (const method of ['GET', 'DELETE']) {
        const gone = await admin.call(method, path);
        assert.deepEqual([gone.status, gone.json], [404, { message: 'Key not found' }]);
      }
    });
  }
});

describe('methods', () => {
  const refused: readonly [path: string, methods: readonly string[], title: string][] = [
    ['/consumers', ['POST', 'PATCH'], 'consumer'],
    ['/consumers/jack/credentials', ['POST', 'PATCH'], 'credential'],
    ['/plugin_configs', ['POST'], 'plugin config'],
    ['/consumer_groups', ['POST'], 'consumer group'],
    ['/global_rules', ['POST'], 'global rule'],
    ['/plugin_metadata', ['POST', 'PATCH'], 'plugin_metadata'],
    ['/secrets', ['POST'], 'secret'],
  ];
  for (const [path, methods, title] of refused) {
    it(`that ${path} does not have are refused`, async () => {
      await using admin = await startWithAll();
      for (const method of methods) {
        assertRefused(
          await admin.call(method, path, { body: {} }),
          405,
          `not supported \`${method}\` method for ${title}`,
        );
      }
    });
  }

  it('take the id from the body where the path has none', async () => {
    await using admin = await startWithAll();
    const rows: readonly [path: string, body: object, key: string][] = [
      ['/upstreams', { id: 'u2', nodes }, '/apisix/upstreams/u2'],
      ['/services', { id: 2 }, '/apisix/services/2'],
      ['/consumers', { username: 'jill' }, '/apisix/consumers/jill'],
      ['/consumers/jack/credentials', { id: 'c2', ...good.credential[1] }, '/apisix/consumers/jack/credentials/c2'],
      ['/secrets', { ...good.secret[1], id: 'vault/2' }, '/apisix/secrets/vault/2'],
      ['/ssls', { ...good.ssl[1], id: 'c2' }, '/apisix/ssls/c2'],
    ];
    for (const [path, body, expected] of rows) {
      const { status, json, text } = await admin.call('PUT', path, { body });
      assert.deepEqual([status, json.key], [201, expected], text);
    }
  });

  it('of PATCH keep what no answer shows', async () => {
    await using admin = await startWithAll();
    const patched = await admin.call('PATCH', '/ssls/c1', { body: { snis: ['b.example'], sni: null } });
    assert.equal(patched.status, 200, patched.text);
    assert.equal('key' in patched.json.value, false);
    assert.equal(admin.store.get('ssls', 'c1')?.value['key'], key);
  });

  it('V39 of PATCH leave the credentials of other plugins as they are', async () => {
    await using admin = await startWithAll();
    for (const path of ['/plugin_configs/p1', '/plugin_configs/p1/plugins/ai-prompt-decorator']) {
      const body = path.endsWith('p1') ? { plugins: { 'ai-prompt-decorator': {} } } : { prepend: 'x' };
      const patched = await admin.call('PATCH', path, { body });
      assert.deepEqual(patched.json.value.plugins['ai-proxy'], aiProxy);
      assert.deepEqual((await admin.call('GET', '/plugin_configs/p1')).json.value.plugins['ai-proxy'], aiProxy);
    }
  });
});

describe('what a resource refers to', () => {
  it('must exist', async () => {
    await using admin = await startAdmin();
    const rows: readonly [path: string, body: object, name: string][] = [
      ['/routes/1', { uri: '/a', upstream_id: '9' }, 'upstream'],
      ['/routes/1', { uri: '/a', service_id: '9' }, 'service'],
      ['/routes/1', { uri: '/a', plugins: {}, plugin_config_id: '9' }, 'plugin config'],
      ['/services/1', { upstream_id: '9' }, 'upstream'],
      ['/consumers/jack', { group_id: '9' }, 'consumer group'],
      ['/upstreams/1', { nodes, tls: { client_cert_id: '9' } }, 'ssl'],
    ];
    for (const [path, body, name] of rows) {
      const message = `failed to fetch ${name} info by ${name} id [9], response code: 404`;
      assertRefused(await admin.call('PUT', path, { body }), 400, message);
    }
  });

  const inUse: readonly [path: string, message: string][] = [
    ['/upstreams/u1', 'can not delete this upstream, service [s1] is still using it now'],
    ['/services/s1', 'can not delete this service directly, route [r1] is still using it now'],
    ['/plugin_configs/p1', 'can not delete this plugin config, route [r1] is still using it now'],
    ['/consumer_groups/g1', 'can not delete this consumer group, consumer [jack] is still using it now'],
  ];
  for (const [path, message] of inUse) {
    it(`is deleted only by force: ${path}`, async () => {
      await using admin = await startWithAll();
      assertRefused(await admin.call('DELETE', path), 400, message);
      assertRefused(await admin.call('DELETE', `${path}?force=1`), 400, message);
      assert.equal((await admin.call('GET', path)).status, 200);
      assert.equal((await admin.call('DELETE', `${path}?force=true`)).status, 200);
    });
  }

  it('as a certificate is kept too, and let go once nobody refers to it', async () => {
    await using admin = await startAdmin();
    await admin.call('PUT', '/ssls/1', { body: { type: 'client', cert, key } });
    const upstream = { nodes, tls: { client_cert_id: 1 } };
    await admin.call('PUT', '/routes/1', { body: { uri: '/a', upstream } });
    const message = 'can not delete this ssl, route [1] is still using it now';
    assertRefused(await admin.call('DELETE', '/ssls/1'), 400, message);
    await admin.call('PATCH', '/routes/1/upstream/tls', { body: 'null' });
    assert.equal((await admin.call('DELETE', '/ssls/1')).status, 200);
  });

  it('can be asked for', async () => {
    await using admin = await startWithAll();
    await admin.call('PUT', '/consumers/jill', { body: { username: 'jill' } });
    for (const [path, total] of [
      ['/routes?filter=service_id%3Ds1', 1],
      ['/routes?filter=plugin_config_id%3Dp1%26service_id%3Ds1', 1],
      ['/routes?filter=service_id%3Ds2', 0],
      ['/services?filter=upstream_id%3Du1', 1],
      ['/consumers?filter=group_id%3Dg1', 1],
      ['/consumers', 2],
    ] as const) {
      assert.equal((await admin.call('GET', path)).json.total, total, path);
    }
  });
});

describe('a consumer', () => {
  const failed = 'invalid plugins configuration: ';
  const rows: readonly [about: string, body: unknown, message: string][] = [
    ['of another name than the path', { username: 'jill' }, 'wrong username'],
    ['with an id', { id: 'jack' }, 'invalid configuration: additional properties forbidden, found id'],
    ['with an unknown plugin', { plugins: { xyz: {} } }, `${failed}unknown plugin [xyz]`],
    [
      'without what its plugin needs',
      { plugins: { 'key-auth': {} } },
      `${failed}failed to check the configuration of plugin key-auth err: property "key" is required`,
    ],
  ];
  for (const [about, body, message] of rows) {
    it(`is refused ${about}`, async () => {
      await using admin = await startAdmin();
      assertRefused(await admin.call('PUT', '/consumers/jack', { body }), 400, message);
    });
  }

  it('is refused without a name, or with one of other characters', async () => {
    await using admin = await startAdmin();
    const required = 'invalid configuration: property "username" is required';
    assertRefused(await admin.call('PUT', '/consumers', { body: {} }), 400, required);
    const { status, text } = await admin.call('PUT', '/consumers/a.b', { body: {} });
    assert.equal(status, 400);
    assert.match(text, /property \\"username\\" validation failed: failed to match pattern/);
  });

  it('has credentials of its own, which go with it', async () => {
    await using admin = await startAdmin();
    const put = (username: string, id: string): Promise<unknown> =>
      admin.call('PUT', `/consumers/${username}/credentials/${id}`, {
        body: { plugins: { 'key-auth': { key: username } } },
      });
    for (const username of ['jack', 'jackson']) {
      await admin.call('PUT', '/consumers', { body: { username } });
      await put(username, 'one');
    }
    await put('jack', 'two');
    const keys = (await admin.call('GET', '/consumers/jack/credentials')).json.list.map(({ key }) => key);
    assert.deepEqual(keys, ['/apisix/consumers/jack/credentials/one', '/apisix/consumers/jack/credentials/two']);

    assert.equal((await admin.call('DELETE', '/consumers/jack')).status, 200);
    assertRefused(await admin.call('GET', '/consumers/jack/credentials'), 404, 'consumer not found');
    await admin.call('PUT', '/consumers', { body: { username: 'jack' } });
    assert.equal((await admin.call('GET', '/consumers/jack/credentials')).json.total, 0);
    assert.equal((await admin.call('GET', '/consumers/jackson/credentials')).json.total, 1);
  });
});

describe('a consumer that is deleted', () => {
  it('takes a credential along that is put in the same moment', async () => {
    await using admin = await startAdmin();
    const put = (id: string): Promise<unknown> =>
      admin.call('PUT', `/consumers/jack/credentials/${id}`, { body: { plugins: { 'key-auth': { key: id } } } });
    await admin.call('PUT', '/consumers/jack', { body: {} });
    await put('old');
    // Between the deletion of the credential that was there and that of the consumer.
    const late = Promise.withResolvers<unknown>();
    const stop = admin.store.watch(([change]) => {
      if (change?.id === 'jack/old') put('late').then(late.resolve, late.reject);
      return change?.id === 'jack/old' ? late.promise.then(() => {}) : undefined;
    });
    assert.equal((await admin.call('DELETE', '/consumers/jack')).status, 200);
    stop();
    assert.deepEqual([admin.store.list('consumers'), admin.store.list('credentials')], [[], []]);
  });

  it('takes a credential along that is put while the store deletes the consumer', async (t) => {
    await using admin = await startAdmin();
    await admin.call('PUT', '/consumers/jack', { body: {} });
    const remove = admin.store.delete.bind(admin.store);
    t.mock.method(admin.store, 'delete', async (kind: string, id: string) => {
      const late = { body: { plugins: { 'key-auth': { key: 'late' } } } };
      if (kind === 'consumers')
        assert.equal((await admin.call('PUT', '/consumers/jack/credentials/late', late)).status, 201);
      return remove(kind, id);
    });
    assert.equal((await admin.call('DELETE', '/consumers/jack')).status, 200);
    assert.deepEqual(admin.store.list('credentials'), []);
  });
});

describe('a credential', () => {
  const path = '/consumers/jack/credentials/c1';
  const rows: readonly [about: string, path: string, body: unknown, status: number, message: string][] = [
    ['of a consumer that is not there', '/consumers/nobody/credentials/1', {}, 404, 'consumer not found'],
    ['without an id', '/consumers/jack/credentials', {}, 400, 'missing credential id'],
    [
      'of two plugins',
      path,
      { plugins: { 'key-auth': { key: 'k' }, 'ai-prompt-decorator': {} } },
      400,
      'invalid configuration: property "plugins" validation failed: expect object to have at most 1 properties',
    ],
    [
      'of a plugin that authenticates nobody',
      path,
      { plugins: { 'ai-prompt-decorator': {} } },
      400,
      'only supports auth type plugins in consumer credential, got ai-prompt-decorator',
    ],
    [
      'without what its plugin needs',
      path,
      { plugins: { 'key-auth': {} } },
      400,
      'invalid plugins configuration: failed to check the configuration of plugin key-auth err: property "key" is required',
    ],
    ['of another id than the path', path, { id: 'c2' }, 400, 'wrong credential id'],
  ];
  for (const [about, where, body, status, message] of rows) {
    it(`is refused ${about}`, async () => {
      await using admin = await startWithAll();
      assertRefused(await admin.call('PUT', where, { body }), status, message);
    });
  }
});

describe('a global rule', () => {
  it('cannot have a plugin of another one, by PUT or PATCH, but its own', async () => {
    await using admin = await startWithAll();
    const message = "plugin 'ai-prompt-decorator' already exists in global rule with id 'r1'";
    const body = { plugins: { 'ai-prompt-decorator': {} } };
    assertRefused(await admin.call('PUT', '/global_rules/r2', { body }), 400, message);
    assert.equal((await admin.call('PUT', '/global_rules/r1', { body })).status, 200);
    assert.equal((await admin.call('PUT', '/global_rules/r2', { body: { plugins: { 'key-auth': {} } } })).status, 201);
    assertRefused(await admin.call('PATCH', '/global_rules/r2', { body }), 400, message);
  });
});

describe('plugin metadata', () => {
  const rows: readonly [about: string, path: string, body: unknown, message: string][] = [
    ['of an unknown plugin', '/plugin_metadata/xyz', {}, 'invalid plugin name'],
    [
      'of a plugin that takes none',
      '/plugin_metadata/ai-proxy',
      {},
      'the plugin ai-proxy takes no metadata: it would have no effect',
    ],
    [
      'that the plugin does not take',
      '/plugin_metadata/http-logger',
      { log_format: 'text' },
      'invalid configuration: property "log_format" validation failed: wrong type: expected object, got string',
    ],
  ];
  for (const [about, path, body, message] of rows) {
    it(`is refused ${about}`, async () => {
      await using admin = await startAdmin();
      assertRefused(await admin.call('PUT', path, { body }), 400, message);
    });
  }
});

describe('what Weir does not do', () => {
  for (const [path, reason] of [
    ['/protos/1', 'protos are not supported: Weir does not convert between JSON and gRPC'],
    [
      '/stream_routes/1',
      'stream_routes are not supported: Weir serves HTTP, not TCP and UDP connections of other protocols',
    ],
  ] as const) {
    it(`is refused by name: ${path}`, async () => {
      await using admin = await startAdmin();
      assertRefused(await admin.call('PUT', path, { body: { content: 'x', upstream: { nodes } } }), 400, reason);
      assertRefused(await admin.call('POST', path.slice(0, -2), { body: {} }), 400, reason);
      assert.deepEqual((await admin.call('GET', path.slice(0, -2))).json, { total: 0, list: [] });
    });
  }
});

describe('the schema endpoints', () => {
  it('know every resource', async () => {
    await using admin = await startAdmin();
    const names = ['route', 'service', 'upstream', 'consumer', 'credential', 'consumer_group', 'plugin_config'];
    for (const name of [...names, 'global_rule', 'plugin_metadata', 'secret', 'ssl', 'proto', 'stream_route']) {
      const { status, json } = await admin.call('GET', `/schema/${name}`);
      assert.equal(status, 200, name);
      assert.equal((json as unknown as { type: string }).type, 'object');
    }
  });

  it('validate by the schema alone', async () => {
    await using admin = await startAdmin();
    const validate = (kind: string, body: unknown) => admin.call('POST', `/schema/validate/${kind}`, { body });
    for (const [path, body] of Object.values(good)) {
      const kind = path.includes('credentials') ? 'credentials' : (path.split('/')[1] ?? '');
      const id = path.slice(path.indexOf('/', 1) + 1);
      // These ask for the id in the body.
      const named = ['plugin_configs', 'consumer_groups', 'global_rules'].includes(kind) ? { ...body, id } : body;
      const { status, text } = await validate(kind, named);
      assert.deepEqual([status, text], [200, ''], path);
    }
    assert.equal((await validate('consumers', { username: 'jack', plugins: { xyz: {} } })).status, 200);
    assertRefused(await validate('consumers', {}), 400, 'property "username" is required');
  });

  it('reload the plugins', async () => {
    let reloads = 0;
    await using admin = await startAdmin({ reload: async () => void reloads++ });
    const response = await fetch(`${admin.origin}/apisix/admin/plugins/reload`, {
      method: 'PUT',
      headers: { 'X-API-KEY': 'edit-key-0123456789' },
    });
    assert.deepEqual([response.status, await response.text(), reloads], [200, 'done\n', 1]);
    assertRefused(await admin.call('PUT', '/plugins/key-auth'), 404, 'not found');
    assert.notEqual(keyAuth.consumer, null);
  });
});

describe('POST /configs/validate', () => {
  it('checks a configuration as a whole, in JSON or YAML, and stores nothing', async () => {
    await using admin = await startAdmin();
    const json = { routes: [{ id: 'r1', uri: '/a', upstream_id: 'elsewhere' }], consumers: [{ username: 'jack' }] };
    const yaml = 'routes:\n  - id: r1\n    uri: /a\n    plugins: {}\n';
    for (const body of [json, yaml]) {
      const { status, text } = await admin.call('POST', '/configs/validate', { body });
      assert.deepEqual([status, text], [200, '{}\n']);
    }
    assert.deepEqual(admin.store.list('routes'), []);
  });

  it('tells everything that is wrong', async () => {
    await using admin = await startAdmin();
    const body = {
      routes: [
        { id: 'r1', uri: '/a', plugins: { xyz: {} } },
        { id: 'r2', uri: '/b', plugins: {} },
        { id: 'r2', uri: '/c', plugins: {} },
      ],
      upstreams: [{ id: 'u1', type: 'roundrobin' }],
      nonsense: [],
    };
    const { status, json } = await admin.call('POST', '/configs/validate', { body });
    assert.equal(status, 400);
    const { error_msg: message, errors } = json as unknown as { error_msg: string; errors: Record<string, unknown>[] };
    assert.equal(message, 'Configuration validation failed');
    const places = errors.map(({ resource_type: type, resource_id: id, index }) => JSON.stringify([type, id, index]));
    const expected = ['["nonsense","",-1]', '["routes","r1",0]', '["routes","r2",2]', '["upstreams","u1",0]'];
    assert.deepEqual(new Set(places), new Set(expected));
    assert.equal(places.length, expected.length);
    assert.equal(errors.find(({ resource_id: id }) => id === 'r1')?.['error'], 'unknown plugin [xyz]');
  });

  it('refuses what is no configuration, and who has no key', async () => {
    await using admin = await startAdmin();
    const post = (body: string, key?: null) =>
      admin.call('POST', '/configs/validate', { body, ...(key === null && { key }) });
    assertRefused(await post(' '), 400, 'invalid request body: empty request body');
    assertRefused(await post('{"routes": '), 400, 'invalid request body: invalid JSON');
    assertRefused(await post('[1]'), 400, 'invalid request body: expected a mapping of lists, such as "routes: [...]"');
    assertRefused(
      await post('{"routes":[{"__proto__":{}}]}'),
      400,
      'invalid request body: the key "__proto__" is not allowed',
    );
    assert.equal((await post('{}', null)).status, 401);
  });
});
