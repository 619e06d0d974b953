import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { createAdminServer } from '../src/admin/server.ts';
import { silentLog } from '../src/base/log.ts';
import { defineResource } from '../src/config/resource.ts';
import { resources } from '../src/config/resources.ts';
import { StoreError, type WritableStore } from '../src/config/store/store.ts';
import {
  adminKey,
  aiProxy,
  assertRefused,
  type Call,
  catalogue,
  decorator,
  httpLogger,
  keyAuth,
  startAdmin,
  type StoredRoute,
  viewerKey,
} from './support/admin-api.ts';

const secret = 'Bearer sk-0123456789abcdef';
const goodProxy = { provider: 'openai', auth: { header: { Authorization: secret } } };
const goodRoute = { uri: '/anything', plugins: { 'ai-proxy': goodProxy } };
const emptyRoute = { uri: '/empty', plugins: {} };

/** Sends bytes as they are, for what no HTTP client would send, and reads until the server closes. */
function sendRaw(port: number, head: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let answer = '';
    socket.setEncoding('utf8');
    socket.on('data', (text) => (answer += text));
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
    socket.write([...head, 'Host: x', `X-API-KEY: ${adminKey}`, 'Connection: close', '', ''].join('\r\n'));
  });
}

describe('the envelopes', () => {
  it('follow a route through its life', async () => {
    await using admin = await startAdmin();
    const before = Math.floor(Date.now() / 1000);

    assert.deepEqual((await admin.call('GET', '/routes')).json, { total: 0, list: [] });

    const put = await admin.call('PUT', '/routes/r1', { body: goodRoute });
    assert.equal(put.status, 201);
    const { create_time: created, update_time: updated, ...sent } = put.json.value;
    assert.deepEqual(Object.keys(put.json), ['key', 'value']);
    assert.equal(put.json.key, '/apisix/routes/r1');
    // Defaults (status, priority, timeout) are not stored.
    assert.deepEqual(sent, { ...goodRoute, id: 'r1' });
    assert.ok(Number.isInteger(created) && created >= before && created <= before + 5);
    assert.equal(updated, created);

    const again = await admin.call('PUT', '/routes', { body: { id: 'r1', ...emptyRoute } });
    assert.equal(again.status, 200);
    assert.equal(again.json.value.create_time, created);

    const one = await admin.call('GET', '/routes/r1');
    assert.equal(one.status, 200);
    const stored = { ...emptyRoute, id: 'r1', create_time: created, update_time: again.json.value.update_time };
    assert.deepEqual(one.json, { key: '/apisix/routes/r1', value: stored, createdIndex: 1, modifiedIndex: 2 });
    assert.deepEqual((await admin.call('GET', '/routes/')).json, { total: 1, list: [one.json] });

    const deleted = await admin.call('DELETE', '/routes/r1');
    assert.equal(deleted.status, 200);
    assert.deepEqual(deleted.json, { key: '/apisix/routes/r1', deleted: '1' });
    for (const method of ['GET', 'DELETE', 'PATCH']) {
      const gone = await admin.call(method, '/routes/r1', method === 'PATCH' ? { body: {} } : {});
      assert.equal(gone.status, 404);
      assert.deepEqual(gone.json, { message: 'Key not found' });
    }
  });

  it('number what is posted', async () => {
    await using admin = await startAdmin();
    await admin.call('PUT', '/routes/r1', { body: emptyRoute });
    const posted = await admin.call('POST', '/routes', { body: goodRoute });
    assert.equal(posted.status, 201);
    assert.equal(posted.json.key, '/apisix/routes/00000000000000000002');
    assert.equal(posted.json.value.id, '00000000000000000002');
    assert.equal((await admin.call('GET', '/routes/00000000000000000002')).json.value.uri, '/anything');
  });

  it('keep a number as the id in the body, a text as the id in the path', async () => {
    await using admin = await startAdmin();
    assert.equal((await admin.call('PUT', '/routes', { body: { id: 7, ...emptyRoute } })).json.value.id, 7);
    const byPath = await admin.call('PUT', '/routes/7', { body: { id: 7, ...emptyRoute } });
    assert.equal(byPath.status, 200);
    assert.equal(byPath.json.value.id, '7');
  });

  it('take JSON whatever the Content-Type says', async () => {
    await using admin = await startAdmin();
    for (const type of [
      'application/x-www-form-urlencoded',
      'text/plain',
      'nonsense',
      'application/json; charset=utf-8',
    ]) {
      const answer = await admin.call('PUT', '/routes/r1', { body: goodRoute, headers: { 'Content-Type': type } });
      assert.ok(answer.status < 300, `${type}: ${answer.text}`);
    }
  });

  it('carry the headers of APISIX', async () => {
    await using admin = await startAdmin();
    const { headers } = await admin.call('GET', '/routes');
    assert.equal(headers.get('server'), 'Weir/0.1.0');
    assert.equal(headers.get('x-api-version'), 'v3');
    assert.match(headers.get('content-type') ?? '', /^application\/json/);
    assert.equal(headers.get('access-control-allow-origin'), '*');
    assert.equal(headers.get('access-control-allow-credentials'), 'true');
    assert.equal(headers.get('access-control-expose-headers'), '*');
    assert.equal(headers.get('access-control-max-age'), '3600');

    admin.server.reconfigure({ enableCors: false });
    assert.equal((await admin.call('GET', '/routes')).headers.get('access-control-allow-origin'), null);
  });
});

describe('a refusal', () => {
  const tooBig = `{"desc":"${'x'.repeat(1_600_000)}"}`;
  const rows: readonly [about: string, method: string, path: string, body: unknown, status: number, message: string][] =
    [
      ['an unknown resource', 'GET', '/foo', undefined, 404, 'Unsupported resource type: foo'],
      ['no resource', 'GET', '', undefined, 404, 'Unsupported resource type: '],
      ['a resource that only looks known', 'GET', '/toString', undefined, 404, 'Unsupported resource type: toString'],
      [
        'a body that is too large',
        'PUT',
        '/routes/1',
        tooBig,
        400,
        'invalid request body: request size 1600011 is greater than the maximum size 1572864 allowed',
      ],
      ['no body', 'PUT', '/routes/1', undefined, 400, 'missing configurations'],
      ['no body to create from', 'POST', '/routes', undefined, 400, 'missing configurations'],
      [
        'a body that is no object',
        'PUT',
        '/routes/1',
        '5',
        400,
        'invalid configuration: wrong type: expected object, got number',
      ],
      [
        'null for a body',
        'POST',
        '/routes',
        'null',
        400,
        'invalid configuration: wrong type: expected object, got nil',
      ],
      [
        'a list for a body',
        'PUT',
        '/routes/1',
        '[]',
        400,
        'invalid configuration: wrong type: expected object, got table',
      ],
      ['no id', 'PUT', '/routes', emptyRoute, 400, 'missing route id'],
      ['no id to delete', 'DELETE', '/routes', undefined, 400, 'missing route id'],
      ['no id to patch', 'PATCH', '/routes', {}, 400, 'missing route id'],
      ['an id with POST', 'POST', '/routes/1', emptyRoute, 400, 'wrong route id, do not need it'],
      [
        'an id in the body of a POST',
        'POST',
        '/routes',
        { id: 1, ...emptyRoute },
        400,
        'wrong route id, do not need it',
      ],
      ['two ids', 'PUT', '/routes/1', { id: '2', ...emptyRoute }, 400, 'wrong route id'],
      ['an id that is a list of the id', 'PUT', '/routes/1', { id: ['1'], ...emptyRoute }, 400, 'wrong route id'],
      [
        'a bad id',
        'PUT',
        '/routes/a%20b',
        emptyRoute,
        400,
        'invalid configuration: property "id" validation failed: object matches none of the required',
      ],
      [
        'an id that climbs',
        'PUT',
        '/routes/..%2f..%2fetc',
        emptyRoute,
        400,
        'invalid configuration: property "id" validation failed: object matches none of the required',
      ],
      [
        'an id of 65 characters',
        'PUT',
        `/routes/${'a'.repeat(65)}`,
        emptyRoute,
        400,
        'invalid configuration: property "id" validation failed: object matches none of the required',
      ],
      [
        'create_time',
        'PUT',
        '/routes/1',
        { create_time: 1, ...emptyRoute },
        400,
        'the property is forbidden:  create_time',
      ],
      [
        'update_time',
        'POST',
        '/routes',
        { update_time: 1, ...emptyRoute },
        400,
        'the property is forbidden:  update_time',
      ],
      [
        'a bad schema',
        'PUT',
        '/routes/1',
        { ...emptyRoute, priority: 'x' },
        400,
        'invalid configuration: property "priority" validation failed: wrong type: expected integer, got string',
      ],
      [
        'an unknown key',
        'PUT',
        '/routes/1',
        { ...emptyRoute, foo: 1 },
        400,
        'invalid configuration: additional properties forbidden, found foo',
      ],
      ['an unknown plugin', 'PUT', '/routes/1', { uri: '/', plugins: { xyz: {} } }, 400, 'unknown plugin [xyz]'],
      [
        'a plugin conf that is no object',
        'PUT',
        '/routes/1',
        { uri: '/', plugins: { 'ai-proxy': 'x' } },
        400,
        'invalid plugin conf "***" for plugin [ai-proxy]',
      ],
      [
        'an unknown provider',
        'PUT',
        '/routes/1',
        { uri: '/', plugins: { 'ai-proxy': { ...goodProxy, provider: 'x' } } },
        400,
        'failed to check the configuration of plugin ai-proxy err: property "provider" validation failed: matches none of the enum values',
      ],
      [
        'a timeout of 0',
        'PUT',
        '/routes/1',
        { uri: '/', plugins: { 'ai-proxy': { ...goodProxy, timeout: 0 } } },
        400,
        'failed to check the configuration of plugin ai-proxy err: property "timeout" validation failed: expected 0 to be at least 1',
      ],
      [
        'a timeout of 700000',
        'PUT',
        '/routes/1',
        { uri: '/', plugins: { 'ai-proxy': { ...goodProxy, timeout: 700_000 } } },
        400,
        'failed to check the configuration of plugin ai-proxy err: property "timeout" validation failed: expected 700000 to be at most 600000',
      ],
      [
        'no auth',
        'PUT',
        '/routes/1',
        { uri: '/', plugins: { 'ai-proxy': { provider: 'openai' } } },
        400,
        'failed to check the configuration of plugin ai-proxy err: property "auth" is required',
      ],
      [
        'a dangling upstream',
        'PUT',
        '/routes/1',
        { uri: '/', upstream_id: 9 },
        400,
        'failed to fetch upstream info by upstream id [9], response code: 404',
      ],
      [
        'bad vars',
        'PUT',
        '/routes/1',
        { ...emptyRoute, vars: [['a', '=', 'b']] },
        400,
        "failed to validate the 'vars' expression: invalid operator '='",
      ],
      ['a ttl in words', 'PUT', '/routes/1?ttl=soon', emptyRoute, 400, 'invalid argument ttl: should be a number'],
      ['an empty ttl', 'PUT', '/routes/1?ttl=', emptyRoute, 400, 'invalid argument ttl: should be a number'],
      [
        'a ttl of 0',
        'PUT',
        '/routes/1?ttl=0',
        emptyRoute,
        400,
        'invalid argument ttl: should be greater than 0 and at most 315360000',
      ],
      [
        'a ttl with POST',
        'POST',
        '/routes?ttl=5',
        emptyRoute,
        400,
        'the argument ttl is not supported with POST: use PUT with an id',
      ],
      [
        'a __proto__ key',
        'PUT',
        '/routes/1',
        '{"uri":"/","plugins":{"ai-proxy":{"__proto__":{"provider":"openai"}}}}',
        400,
        'invalid request body: the key "__proto__" is not allowed',
      ],
      [
        'deep nesting',
        'PUT',
        '/routes/1',
        `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
        400,
        'invalid request body: nested deeper than 200 levels',
      ],
      [
        'a number beyond all bounds',
        'PUT',
        '/routes/1',
        '{"uri":"/","plugins":{},"priority":1e999}',
        400,
        'invalid request body: a number is too large',
      ],
      [
        'a path below an id',
        'DELETE',
        '/routes/1/plugins',
        undefined,
        400,
        'a path below the route id is only supported with PATCH',
      ],
      [
        'a page that is too small',
        'GET',
        '/routes?page=1&page_size=9',
        undefined,
        400,
        'page_size must be between 10 and 500',
      ],
      [
        'a page that is too large',
        'GET',
        '/routes?page=1&page_size=501',
        undefined,
        400,
        'page_size must be between 10 and 500',
      ],
      [
        'an unknown filter',
        'GET',
        '/routes?filter=name%3Dx',
        undefined,
        400,
        'invalid argument filter: cannot filter by "name", expected service_id, upstream_id, plugin_config_id',
      ],
      [
        'a broken expression',
        'GET',
        '/routes?name=(',
        undefined,
        400,
        'invalid argument name: it is not a regular expression',
      ],
    ];
  it('has the status and the text of APISIX', async (test) => {
    await using admin = await startAdmin();
    for (const [about, method, path, body, status, message] of rows) {
      await test.test(`for ${about}`, async () => {
        assertRefused(await admin.call(method, path, body === undefined ? {} : { body }), status, message);
      });
    }
    assert.deepEqual((await admin.call('GET', '/routes')).json.list, [], 'nothing was stored');
  });

  it('meets an id that is far too long', async () => {
    await using admin = await startAdmin();
    const { status, json } = await admin.call('GET', `/routes/${'a'.repeat(5000)}`);
    assert.deepEqual([status, json], [404, { message: 'Key not found' }]);
  });

  it('repeats a body that is not JSON', async () => {
    await using admin = await startAdmin();
    const { status, json } = await admin.call('PUT', '/routes/1', { body: '{"uri": nope}' });
    assert.equal(status, 400);
    assert.match(json.error_msg, /^invalid request body: ./);
    assert.equal(json.req_body, '{"uri": nope}');
  });

  it('measures a chunked body', async () => {
    await using admin = await startAdmin();
    const body = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 16; i++) controller.enqueue(new Uint8Array(100_000).fill(32));
        controller.close();
      },
    });
    const init = { method: 'PUT', headers: { 'X-API-KEY': adminKey }, body, duplex: 'half' as const };
    const response = await fetch(`${admin.origin}/apisix/admin/routes/1`, init);
    assert.equal(response.status, 400);
    assert.match(await response.text(), /request size 1600000 is greater than the maximum size 1572864 allowed/);
  });

  it('never repeats a credential', async () => {
    await using admin = await startAdmin();
    const conf = { provider: 'openai', auth: { header: { Authorization: 'Bearer sk-top\nsecret' } } };
    const { status, text } = await admin.call('PUT', '/routes/1', {
      body: { uri: '/', plugins: { 'ai-proxy': conf } },
    });
    assert.equal(status, 400);
    assert.match(text, /failed to match pattern/);
    assert.doesNotMatch(text, /sk-top/);
  });

  it('accepts the invalid configuration of a disabled plugin', async () => {
    await using admin = await startAdmin();
    const body = { uri: '/', plugins: { 'ai-proxy': { _meta: { disable: true } } } };
    assert.equal((await admin.call('PUT', '/routes/1', { body })).status, 201);
  });

  it('names a method that a resource blocks', async () => {
    const schema = { type: 'object' };
    const blocked = defineResource({ kind: 'consumers', name: 'consumer', schema, unsupportedMethods: ['POST'] });
    await using admin = await startAdmin({ resources: [blocked] });
    assertRefused(
      await admin.call('POST', '/consumers', { body: {} }),
      405,
      'not supported `POST` method for consumer',
    );
  });

  it('meets paths that are not served', async () => {
    await using admin = await startAdmin();
    assert.equal((await fetch(`${admin.origin}/`)).status, 404);
    assert.equal((await fetch(`${admin.origin}/apisix/administrator`)).status, 404);
    assertRefused(await admin.call('POST', '/schema/route', { body: {} }), 404, 'not found');
    assertRefused(await admin.call('PUT', '/plugins/list', { body: {} }), 404, 'not found');
    assert.equal((await fetch(`${admin.origin}/apisix/admin/routes`, { method: 'PROPFIND' })).status, 404);
  });

  it('meets paths that no client would send', async () => {
    await using admin = await startAdmin();
    for (const path of ['routes/../routes/1', 'routes/%2e%2e', 'routes/./1', 'routes/%zz', 'routes/%ff']) {
      const answer = await sendRaw(admin.port, [`GET /apisix/admin/${path} HTTP/1.1`]);
      assert.match(answer, /^HTTP\/1\.1 400 /, path);
      assert.match(answer, /\{"error_msg":".+"\}/, path);
    }
    for (const path of ['http://proxied/apisix/admin/routes', '/apisix/%61dmin/routes']) {
      assert.match(await sendRaw(admin.port, [`GET ${path} HTTP/1.1`]), /^HTTP\/1\.1 200 [^]*"total":0/, path);
    }
    const encoded = await sendRaw(admin.port, ['GET /apisix/admin/routes/..%2f..%2fconsumers HTTP/1.1']);
    assert.match(encoded, /^HTTP\/1\.1 404 [^]*Key not found/);
  });

  it('tells when the store cannot write', async () => {
    const wrapStore = (store: WritableStore): WritableStore =>
      Object.assign(Object.create(store), {
        get: store.get.bind(store),
        put: () => Promise.reject(new StoreError('unavailable', 'cannot write to weir.db: disk full')),
      });
    await using admin = await startAdmin({ wrapStore });
    assertRefused(
      await admin.call('PUT', '/routes/1', { body: emptyRoute }),
      503,
      'cannot write to weir.db: disk full',
    );
  });

  it('keeps the reason of a fault in the log', async () => {
    const lines: string[] = [];
    const wrapStore = (store: WritableStore): WritableStore =>
      Object.assign(Object.create(store), {
        list: () => {
          throw new Error('a bug');
        },
      });
    const log = {
      ...silentLog,
      error: (message: string, fields?: object) => lines.push(message + JSON.stringify(fields)),
    };
    await using admin = await startAdmin({ wrapStore, log });
    assertRefused(await admin.call('GET', '/routes'), 500, 'internal error of the gateway');
    assert.match(lines.join(), /a bug/);
  });
});

describe('access', () => {
  it('needs a known key, from the query, the header or the cookie', async () => {
    await using admin = await startAdmin();
    const rows: readonly [about: string, path: string, call: Call, description: string | null][] = [
      ['none', '/routes', { key: null }, 'missing apikey'],
      ['header', '/routes', {}, null],
      ['wrong header', '/routes', { key: 'nope' }, 'wrong apikey'],
      ['empty header', '/routes', { key: '' }, 'wrong apikey'],
      ['query', `/routes?api_key=${adminKey}`, { key: null }, null],
      ['query before header', '/routes?api_key=nope', {}, 'wrong apikey'],
      ['cookie', '/routes', { key: null, headers: { Cookie: `a=b; x_api_key=${adminKey}` } }, null],
      ['wrong cookie', '/routes', { key: null, headers: { Cookie: 'x_api_key=no' } }, 'wrong apikey'],
      ['other cookie', '/routes', { key: null, headers: { Cookie: `api_key=${adminKey}` } }, 'missing apikey'],
      ['unknown resource without a key', '/foo', { key: null }, 'missing apikey'],
    ];
    for (const [about, path, call, description] of rows) {
      const { status, text } = await admin.call('GET', path, call);
      assert.equal(status, description === null ? 200 : 401, about);
      if (description !== null) {
        assert.equal(text, `{"error_msg":"failed to check token","description":"${description}"}\n`, about);
      }
    }
  });

  it('lets a viewer only look', async () => {
    await using admin = await startAdmin();
    assert.equal((await admin.call('GET', '/routes', { key: viewerKey })).status, 200);
    for (const method of ['PUT', 'POST', 'PATCH', 'DELETE']) {
      const refused = await admin.call(method, '/routes/1', { key: viewerKey, body: goodRoute });
      assert.equal(refused.status, 401);
      assert.equal(refused.json.description, 'invalid method for role viewer');
    }
    assert.equal(admin.store.list('routes').length, 0);
  });

  it('needs no key for HEAD of the root and for OPTIONS', async () => {
    await using admin = await startAdmin();
    assert.equal((await admin.call('HEAD', '', { key: null })).status, 200);
    const headers = { 'Access-Control-Request-Headers': 'x-api-key, x-other' };
    const options = await admin.call('OPTIONS', '/routes/1', { key: null, headers });
    assert.equal(options.status, 200);
    assert.match(options.headers.get('access-control-allow-methods') ?? '', /GET, PUT, POST, DELETE, PATCH/);
    assert.equal(options.headers.get('access-control-allow-headers'), 'x-api-key, x-other');
  });

  it('can do without keys', async () => {
    await using admin = await startAdmin({ adminKeyRequired: false });
    assert.equal((await admin.call('PUT', '/routes/1', { key: null, body: goodRoute })).status, 201);
  });

  it('is for listed addresses only, and follows a reload', async () => {
    await using admin = await startAdmin({ allowAdmin: ['10.0.0.0/8'] });
    const refused = await admin.call('GET', '/routes');
    assertRefused(refused, 403, '127.0.0.1 is not in deployment.admin.allow_admin');
    admin.server.reconfigure({ allowAdmin: null });
    assert.equal((await admin.call('GET', '/routes')).status, 200);
    admin.server.reconfigure({ keys: [{ name: 'new', key: 'fresh', role: 'admin' }] });
    assert.equal((await admin.call('GET', '/routes')).status, 401);
    assert.equal((await admin.call('GET', '/routes', { key: 'fresh' })).status, 200);

    assert.throws(() => admin.server.reconfigure({ allowAdmin: ['nonsense'], enableCors: false }), TypeError);
    assert.equal(
      (await admin.call('GET', '/routes', { key: 'fresh' })).headers.get('access-control-allow-origin'),
      '*',
    );
  });

  it('logs a refused key without the key', async () => {
    const lines: string[] = [];
    const log = {
      ...silentLog,
      warn: (message: string, fields?: object) => lines.push(message + JSON.stringify(fields)),
    };
    await using admin = await startAdmin({ log });
    await admin.call('GET', '/routes?api_key=guess-0815');
    assert.match(lines.join(), /wrong apikey/);
    assert.doesNotMatch(lines.join(), /guess-0815/);
  });

  it('to a port that is taken rejects', async () => {
    await using admin = await startAdmin();
    await using other = await startAdmin();
    await assert.rejects(other.server.listen('127.0.0.1', admin.port));
    const third = createAdminServer({
      store: admin.store,
      catalogue,
      resources,
      keys: [],
      adminKeyRequired: true,
      allowAdmin: null,
      enableCors: false,
      checkVars: () => null,
      reload: async () => {},
      log: silentLog,
      serverHeader: 'Weir',
    });
    await assert.rejects(third.listen('127.0.0.1', admin.port), { code: 'EADDRINUSE' });
    await third.close();
  });
});

describe('PATCH', () => {
  it('merges objects, replaces lists, deletes with null, and leaves other plugins alone', async () => {
    await using admin = await startAdmin();
    const body = { ...goodRoute, methods: ['GET', 'POST'], desc: 'old', labels: { a: '1', b: '2' } };
    await admin.call('PUT', '/routes/1', { body });
    const patch = { methods: ['PUT'], desc: null, labels: { b: null, c: '3' }, plugins: { 'ai-prompt-decorator': {} } };
    const { status, json } = await admin.call('PATCH', '/routes/1', { body: patch });
    assert.equal(status, 200);
    assert.deepEqual(Object.keys(json), ['key', 'value']);
    const { create_time: created, update_time: updated, ...value } = json.value;
    assert.ok(updated >= created);
    assert.deepEqual(value, {
      id: '1',
      uri: '/anything',
      methods: ['PUT'],
      labels: { a: '1', c: '3' },
      plugins: { 'ai-proxy': goodProxy, 'ai-prompt-decorator': {} },
    });
    assert.deepEqual((await admin.call('GET', '/routes/1')).json.value, json.value);
  });

  it('replaces the node that a sub path names', async () => {
    await using admin = await startAdmin();
    await admin.call('PUT', '/routes/1', { body: { ...goodRoute, labels: { a: '1' } } });
    const steps: readonly [path: string, body: unknown, read: (value: StoredRoute) => unknown, expected: unknown][] = [
      ['/plugins/ai-proxy/options', { model: 'm' }, (value) => value.plugins['ai-proxy']?.['options'], { model: 'm' }],
      ['/plugins/ai-proxy/options', { top_p: 1 }, (value) => value.plugins['ai-proxy']?.['options'], { top_p: 1 }],
      [
        '/plugins/ai-proxy/options',
        'null',
        (value) => Object.keys(value.plugins['ai-proxy'] ?? {}),
        ['provider', 'auth'],
      ],
      ['/status', '0', (value) => value.status, 0],
      ['/desc', '"text"', (value) => value.desc, 'text'],
      ['/methods', ['GET'], (value) => value.methods, ['GET']],
      ['/plugins', { 'ai-prompt-decorator': {} }, (value) => value.plugins, { 'ai-prompt-decorator': {} }],
      ['/labels', 'null', (value) => 'labels' in value, false],
    ];
    for (const [path, body, read, expected] of steps) {
      const { status, json, text } = await admin.call('PATCH', `/routes/1${path}`, { body });
      assert.equal(status, 200, text);
      assert.deepEqual(read(json.value), expected);
    }
  });

  it('is checked as a whole and changes nothing when it is refused', async () => {
    await using admin = await startAdmin();
    const { json: before } = await admin.call('PUT', '/routes/1', { body: goodRoute });
    const failed = 'failed to check the configuration of plugin ai-proxy err: ';
    const rows: readonly [path: string, body: unknown, message: string][] = [
      ['', undefined, 'missing new configuration'],
      ['', '5', 'invalid configuration'],
      ['', '[]', 'invalid configuration'],
      ['', { id: '2' }, 'wrong route id'],
      ['/id', '"2"', 'wrong route id'],
      ['', { plugins: { 'ai-proxy': { auth: null } } }, `${failed}property "auth" is required`],
      ['/plugins/ai-proxy/auth', 'null', `${failed}property "auth" is required`],
      ['/uri/deeper', '1', 'invalid sub-path: /uri/deeper'],
      ['/__proto__/polluted', '1', 'invalid sub-path: /__proto__/polluted'],
      ['/constructor/prototype', '1', 'invalid configuration: additional properties forbidden, found constructor'],
    ];
    for (const [path, body, message] of rows) {
      assertRefused(await admin.call('PATCH', `/routes/1${path}`, body === undefined ? {} : { body }), 400, message);
    }
    assert.deepEqual((await admin.call('GET', '/routes/1')).json.value, before.value);
    assert.equal('polluted' in {}, false);
  });

  it('takes back what GET gave, and keeps the id', async () => {
    await using admin = await startAdmin();
    await admin.call('PUT', '/routes/1', { body: goodRoute });
    const { json } = await admin.call('GET', '/routes/1');
    assert.equal((await admin.call('PATCH', '/routes/1', { body: json.value })).status, 200);
    assert.equal((await admin.call('PATCH', '/routes/1', { body: { id: null } })).json.value.id, '1');
  });

  it('loses none of many at the same time', async () => {
    // A store whose writes take a while, as with a slow disk or another writer.
    const wrapStore = (store: WritableStore): WritableStore =>
      Object.assign(Object.create(store), {
        get: store.get.bind(store),
        put: async (...args: Parameters<WritableStore['put']>) => {
          await new Promise((resolve) => setTimeout(resolve, 2));
          return store.put(...args);
        },
      });
    await using admin = await startAdmin({ wrapStore });
    await admin.call('PUT', '/routes/1', { body: goodRoute });
    const names = Array.from({ length: 20 }, (_, index) => `label-${index}`);
    const answers = await Promise.all(
      names.map((name, index) =>
        index % 2 === 0
          ? admin.call('PATCH', '/routes/1', { body: { labels: { [name]: 'x' } } })
          : admin.call('PATCH', `/routes/1/labels/${name}`, { body: '"x"' }),
      ),
    );
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    const { json } = await admin.call('GET', '/routes/1');
    assert.deepEqual(Object.keys(json.value.labels).sort(), names.sort());
  });
});

describe('writers', () => {
  it('at the same time get an id each, and one of them creates', async () => {
    await using admin = await startAdmin();
    const posts = await Promise.all(
      Array.from({ length: 20 }, () => admin.call('POST', '/routes', { body: goodRoute })),
    );
    assert.equal(new Set(posts.map(({ json }) => json.key)).size, 20);
    const puts = await Promise.all(
      Array.from({ length: 20 }, () => admin.call('PUT', '/routes/same', { body: goodRoute })),
    );
    assert.equal(puts.filter(({ status }) => status === 201).length, 1);
    assert.equal(puts.filter(({ status }) => status === 200).length, 19);
  });

  it('are answered after every listener has applied the change', async () => {
    await using admin = await startAdmin();
    let applied = 0;
    admin.store.watch(async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      applied++;
    });
    await admin.call('PUT', '/routes/1', { body: goodRoute });
    assert.equal(applied, 1);
    await admin.call('PATCH', '/routes/1', { body: { desc: 'x' } });
    assert.equal(applied, 2);
    await admin.call('DELETE', '/routes/1');
    assert.equal(applied, 3);
  });

  it('can give a route a life in seconds', async () => {
    await using admin = await startAdmin();
    assert.equal((await admin.call('PUT', '/routes/1?ttl=0.05', { body: goodRoute })).status, 201);
    assert.equal((await admin.call('GET', '/routes/1')).status, 200);
    await new Promise((resolve) => setTimeout(resolve, 120));
    assert.equal((await admin.call('GET', '/routes/1')).status, 404);
  });
});

describe('a list', () => {
  async function startWithRoutes() {
    const admin = await startAdmin();
    for (let index = 1; index <= 25; index++) {
      const uri = index === 25 ? { uris: ['/other', '/images/1'] } : { uri: `/chat/${index}` };
      const name = index === 24 ? {} : { name: `route-${index}` };
      const labels = index % 2 === 0 ? { labels: { even: 'yes' } } : {};
      // Ids go down, so that the order of creation is not the order of the ids.
      await admin.call('PUT', `/routes/${100 - index}`, { body: { ...uri, ...name, ...labels, plugins: {} } });
    }
    return admin;
  }

  it('is paged and filtered', async () => {
    await using admin = await startWithRoutes();
    const rows: readonly [query: string, total: number, count: number][] = [
      ['', 25, 25],
      ['?page=1&page_size=10', 25, 10],
      ['?page=3&page_size=10', 25, 5],
      ['?page=4&page_size=10', 25, 0],
      ['?page=0&page_size=10', 25, 10],
      ['?page=2', 25, 25],
      ['?page_size=10', 25, 25],
      ['?page=x&page_size=10', 25, 25],
      ['?name=route-1', 11, 11],
      ['?name=%5Eroute-1%24', 1, 1],
      ['?name=nothing', 0, 0],
      ['?label=even', 12, 12],
      ['?label=odd', 0, 0],
      ['?label=toString', 0, 0],
      // An empty filter is none.
      ['?name=route-1&label=&uri=', 11, 11],
      ['?name=', 25, 25],
      ['?uri=chat', 24, 24],
      ['?uri=images', 1, 1],
      ['?name=route&label=even&page=1&page_size=10', 11, 10],
      ['?filter=service_id%3D1', 0, 0],
    ];
    for (const [query, total, count] of rows) {
      const { status, json } = await admin.call('GET', `/routes${query}`);
      assert.equal(status, 200, query);
      assert.deepEqual([json.total, json.list.length], [total, count], query);
    }
    const { json } = await admin.call('GET', '/routes?page=2&page_size=10');
    assert.deepEqual(
      json.list.map((item) => item.value.id),
      ['89', '88', '87', '86', '85', '84', '83', '82', '81', '80'],
    );
    assert.deepEqual(Object.keys(json.list[0] ?? {}), ['key', 'value', 'createdIndex', 'modifiedIndex']);
  });

  it('is filtered by a referenced resource', async () => {
    await using admin = await startAdmin();
    await admin.store.put('services', '1', {});
    await admin.call('PUT', '/routes/1', { body: { uri: '/a', service_id: 1 } });
    await admin.call('PUT', '/routes/2', { body: { uri: '/b', plugins: {} } });
    const { json } = await admin.call('GET', '/routes?filter=service_id%3D1');
    assert.deepEqual([json.total, json.list[0]?.value.id], [1, '1']);
  });

  it('does not hang on an expression that never ends', async () => {
    await using admin = await startAdmin();
    await admin.call('PUT', '/routes/1', { body: { ...goodRoute, name: `${'a'.repeat(200)}!` } });
    const answer = await admin.call('GET', `/routes?name=${encodeURIComponent('^(a+)+$')}`, { key: viewerKey });
    assertRefused(answer, 400, 'invalid argument name: it takes too long');
  });
});

describe('the schema endpoints', () => {
  it('serve the definitions', async () => {
    await using admin = await startAdmin();
    const route = await admin.call('GET', '/schema/route');
    assert.equal(route.status, 200);
    assert.deepEqual(route.json, resources[0]?.schema);

    for (const path of ['/schema/plugins/ai-proxy', '/plugins/ai-proxy', '/plugins/ai-proxy?subsystem=http']) {
      assert.deepEqual((await admin.call('GET', path)).json, aiProxy.schema, path);
    }
    const names = ['key-auth', 'ai-prompt-decorator', 'ai-proxy', 'http-logger'];
    assert.deepEqual((await admin.call('GET', '/plugins/list')).json, names);
    assert.deepEqual((await admin.call('GET', '/plugins/list?subsystem=stream')).json, []);
    assert.deepEqual((await admin.call('GET', '/plugins?all=true')).json, {
      'key-auth': {
        version: 0.1,
        priority: 2500,
        schema: keyAuth.schema,
        type: 'auth',
        consumer_schema: keyAuth.consumer?.schema,
      },
      'ai-prompt-decorator': { version: 0.1, priority: 1070, schema: decorator.schema },
      'ai-proxy': { version: 0.1, priority: 1040, schema: aiProxy.schema },
      'http-logger': {
        version: 0.1,
        priority: 410,
        schema: httpLogger.schema,
        metadata_schema: httpLogger.metadata?.schema,
      },
    });
    const other: readonly [path: string, schema: unknown][] = [
      ['/schema/plugins/key-auth?schema_type=consumer', keyAuth.consumer?.schema],
      ['/plugins/http-logger?schema_type=metadata', httpLogger.metadata?.schema],
    ];
    for (const [path, schema] of other) assert.deepEqual((await admin.call('GET', path)).json, schema, path);
  });

  it('say what they do not know', async () => {
    await using admin = await startAdmin();
    const rows: readonly [path: string, status: number, message: string][] = [
      ['/schema/x', 400, 'not found schema: x'],
      ['/schema', 400, 'not found schema: '],
      ['/schema/plugins/x', 404, 'plugin not found in subsystem http'],
      ['/plugins/x', 404, 'plugin not found in subsystem http'],
      ['/plugins/ai-proxy?subsystem=stream', 404, 'plugin not found in subsystem stream'],
      ['/plugins/list?subsystem=x', 400, 'unsupported subsystem: x'],
      ['/schema/plugins/ai-proxy?schema_type=consumer', 400, 'not found schema'],
      ['/schema/plugins/ai-proxy?schema_type=metadata', 400, 'not found schema'],
      ['/plugins', 400, 'missing plugin name'],
    ];
    for (const [path, status, message] of rows) assertRefused(await admin.call('GET', path), status, message);
  });

  it('validate a configuration without storing it', async () => {
    await using admin = await startAdmin();
    const good = await admin.call('POST', '/schema/validate/routes', { body: { uri: '/a', plugins: { xyz: {} } } });
    assert.deepEqual([good.status, good.text], [200, '']);
    const bad = await admin.call('POST', '/schema/validate/routes', { body: { ...emptyRoute, foo: 1 } });
    assertRefused(bad, 400, 'additional properties forbidden, found foo');
    const unknown = await admin.call('POST', '/schema/validate/foo', { body: {} });
    assertRefused(unknown, 404, 'Unsupported resource type: foo');
    assertRefused(await admin.call('POST', '/schema/validate/routes'), 400, 'missing configurations');
    assert.deepEqual(admin.store.list('routes'), []);
  });
});
