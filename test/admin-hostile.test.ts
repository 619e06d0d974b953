import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { createMetricsServer } from '../src/admin/metrics-server.ts';
import { readText } from '../src/admin/request-body.ts';
import { silentLog } from '../src/base/log.ts';
import { adminKey, type Answer, assertRefused, startAdmin } from './support/admin-api.ts';

const limitBytes = 1.5 * 1024 * 1024;
const nodes = { '127.0.0.1:1980': 1 };
const badId = 'invalid configuration: property "id" validation failed: object matches none of the required';

/** A resource of each kind that a client can make, in an order in which references are satisfied. */
const makeable: readonly [list: string, id: string, body: object][] = [
  ['/upstreams', 'u', { nodes }],
  ['/services', 's', { upstream: { nodes } }],
  ['/plugin_configs', 'p', { plugins: {} }],
  ['/consumer_groups', 'g', { plugins: {} }],
  ['/consumers', 'jack', {}],
  ['/consumers/jack/credentials', 'c', {}],
  ['/global_rules', 'r', { plugins: {} }],
  ['/plugin_metadata', 'http-logger', {}],
  ['/secrets', 'vault/1', { uri: 'https://127.0.0.1:8200', prefix: 'kv', token: 't' }],
  ['/routes', 'r', { uri: '/a', plugins: {} }],
];

type Admin = Awaited<ReturnType<typeof startAdmin>>;

/** Sends a path as it is: other clients tidy it up first. */
async function callRaw(
  admin: Admin,
  method: string,
  path: string,
  body = '',
): Promise<{ status: number; text: string }> {
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect(admin.port, '127.0.0.1').setEncoding('utf8');
    let text = '';
    socket.on('data', (piece) => (text += piece));
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
    socket.end(
      `${method} ${path} HTTP/1.1\r\nHost: x\r\nX-API-KEY: ${adminKey}\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  });
  return { status: Number(answer.split(' ', 2)[1]), text: answer.slice(answer.indexOf('\r\n\r\n') + 4) };
}

/** A refusal in words: neither a fault of the gateway nor a page of somebody else. */
function assertWorded({ status, text }: Pick<Answer, 'status' | 'text'>, about: string): void {
  assert.ok(status >= 400 && status < 500, `${about}: ${status} ${text}`);
  const { error_msg: message, message: missing } = JSON.parse(text) as Record<string, unknown>;
  assert.equal(typeof (message ?? missing), 'string', `${about}: ${text}`);
}

describe('ids that are tricks', () => {
  const tricks = [
    '..',
    '%2e%2e',
    '..%2f..%2froutes%2fr',
    'a%2fb',
    'a%00b',
    'a%0d%0ab',
    'a%20b',
    '%zz',
    '%c0%ae',
    '%e2%80%ae',
    // Consumers may have long names.
    'a'.repeat(257),
    'a'.repeat(10_000),
    '__proto__',
    'constructor',
    '%22%7d',
    '$%7bx%7d',
    'r;x=1',
    'r%3fx',
  ];
  // Names that only look like more than a text.
  const harmless = new Set(['__proto__', 'constructor']);

  let admin: Admin;
  before(async () => {
    admin = await startAdmin();
    for (const [path, id, body] of makeable) {
      const { status, text } = await admin.call('PUT', `${path}/${id}`, { body });
      assert.equal(status, 201, text);
    }
  });
  after(() => admin[Symbol.asyncDispose]());

  for (const [list, , body] of makeable) {
    it(`below ${list} are refused in words, and make and delete nothing`, async () => {
      const before = (await admin.store.load()).resources;
      for (const trick of tricks) {
        const path = `/apisix/admin${list}/${list === '/secrets' ? 'vault/' : ''}${trick}`;
        const about = `${list} ${trick.slice(0, 40)}`;
        for (const method of ['GET', 'DELETE']) assertWorded(await callRaw(admin, method, path), `${method} ${about}`);
        const put = await callRaw(admin, 'PUT', path, JSON.stringify(body));
        if (!harmless.has(trick) || put.status >= 400) {
          assertWorded(put, `PUT ${about}`);
          continue;
        }
        const got = await callRaw(admin, 'GET', path);
        assert.equal(got.status, 200, about);
        assert.equal((await callRaw(admin, 'DELETE', path)).status, 200, about);
      }
      assert.deepEqual((await admin.store.load()).resources, before);
      assert.equal('polluted' in {}, false);
    });
  }

  it('in the body are refused as well', async () => {
    for (const id of [
      '..',
      '.',
      '../x',
      'a/b',
      '',
      'a\0b',
      'a'.repeat(65),
      0,
      -1,
      1.5,
      2 ** 53,
      1e300,
      true,
      [],
      {},
      ['r'],
    ]) {
      assertRefused(await admin.call('PUT', '/routes', { body: { id, uri: '/a', plugins: {} } }), 400, badId);
    }
    assertRefused(
      await admin.call('PUT', '/routes', { body: { id: null, uri: '/a', plugins: {} } }),
      400,
      'missing route id',
    );
    assert.equal(admin.store.list('routes').length, 1);
  });

  it('in a path to PATCH are refused as well', async () => {
    await admin.call('PUT', '/routes/r', { body: { uri: '/a', plugins: {}, methods: ['GET'] } });
    const before = admin.store.get('routes', 'r');
    for (const path of [
      '__proto__/polluted',
      'methods/0',
      'uri/x',
      `labels${'/a'.repeat(300)}`,
      'plugins/a%2fb',
      '%zz',
    ]) {
      assertWorded(await callRaw(admin, 'PATCH', `/apisix/admin/routes/r/${path}`, '{"polluted":1}'), path);
    }
    assert.equal(admin.store.get('routes', 'r'), before);
    assert.equal('polluted' in {}, false);
  });
});

describe('JSON that is a trick', () => {
  const tooDeep = `invalid request body: nested deeper than 200 levels`;
  const proto = 'invalid request body: the key "__proto__" is not allowed';
  const deep = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
  const rows: readonly [about: string, body: string, message: string | RegExp][] = [
    ['a prototype', '{"__proto__":{"polluted":1}}', proto],
    ['a prototype far below', '{"plugins":{"x":[{"__proto__":{"polluted":1}}]}}', proto],
    ['a prototype in other letters', '{"\\u005f_proto__":{"polluted":1}}', proto],
    ['a nesting of 201', deep(201), tooDeep],
    ['a nesting that fills the body', '['.repeat(limitBytes / 2) + ']'.repeat(limitBytes / 2), tooDeep],
    ['a number that is too large', '{"priority":1e999}', 'invalid request body: a number is too large'],
    ['a text instead of an object', '"x"', /^(invalid plugins )?invalid configuration: |got string$/],
    ['nothing but space', ' ', /^invalid request body: /],
    ['comments', '{/* */}', /^invalid request body: /],
    ['two values', '{}{}', /^invalid request body: /],
  ];
  let admin: Admin;
  before(async () => {
    admin = await startAdmin();
    await admin.call('PUT', '/consumers/jack', { body: {} });
  });
  after(() => admin[Symbol.asyncDispose]());

  for (const [about, body, message] of rows) {
    it(`is refused in words by every kind: ${about}`, async () => {
      for (const [list, id] of makeable) {
        const answer = await admin.call('PUT', `${list}/${id}`, { body });
        assertWorded(answer, `${list} ${about}`);
        if (typeof message === 'string') assert.equal(answer.json.error_msg, message, list);
        else assert.match(answer.json.error_msg, message);
      }
      assert.equal('polluted' in {}, false);
    });
  }

  it('with a key twice means the last one, as in APISIX', async () => {
    await using admin = await startAdmin();
    const { json } = await admin.call('PUT', '/routes/r', { body: '{"uri":"/a","plugins":{},"uri":"/b"}' });
    assert.equal(json.value.uri, '/b');
  });

  it('with names of methods of objects in places where names are free is only data', async () => {
    await using admin = await startAdmin();
    const names = { constructor: 'x', toString: 'x', hasOwnProperty: 'x', valueOf: 'x' };
    const put = await admin.call('PUT', '/upstreams/u', {
      body: { nodes: { constructor: 1, toString: 1 }, labels: names },
    });
    assert.equal(put.status, 201, put.text);
    assert.deepEqual((await admin.call('GET', '/upstreams/u')).json.value.labels, names);
    assert.equal((await admin.call('GET', '/upstreams?label=constructor')).json.total, 1);
    assert.equal((await admin.call('GET', '/upstreams?label=isPrototypeOf')).json.total, 0);
    assertRefused(
      await admin.call('PUT', '/routes/r', { body: { uri: '/a', plugins: { constructor: {} } } }),
      400,
      'unknown plugin [constructor]',
    );
  });
});

describe('a body', () => {
  const ofSize = (bytes: number): string => {
    const frame = '{"uri":"/a","plugins":{},"vars":[["arg_a","==",""]]}';
    return frame.replace('""', `"${'x'.repeat(bytes - frame.length)}"`);
  };

  it('may have 1.5 MiB, and not a byte more, with and without its length', async () => {
    await using admin = await startAdmin();
    const headers = { 'X-API-KEY': adminKey };
    const url = `${admin.origin}/apisix/admin/routes/1`;
    for (const [bytes, status] of [
      [limitBytes, 201],
      [limitBytes + 1, 400],
    ] as const) {
      await admin.store.delete('routes', '1');
      const known = await fetch(url, { method: 'PUT', headers, body: ofSize(bytes) });
      assert.equal(known.status, status, await known.text());
      await admin.store.delete('routes', '1');
      const stream = new Blob([ofSize(bytes)]).stream();
      const chunked = await fetch(url, { method: 'PUT', headers, body: stream, duplex: 'half' });
      assert.equal(chunked.status, status);
      const message = `invalid request body: request size ${bytes} is greater than the maximum size 1572864 allowed`;
      if (status === 400) assert.deepEqual(await chunked.json(), { error_msg: message });
    }
    assert.equal((await admin.call('GET', '/routes')).status, 200);
  });

  it('that is far too large is read to its end: a client that is still sending would not see the answer', async () => {
    await using admin = await startAdmin();
    const size = 10_000_000;
    const { status, text } = await callRaw(admin, 'PUT', '/apisix/admin/routes/1', ' '.repeat(size));
    const message = `invalid request body: request size ${size} is greater than the maximum size ${limitBytes} allowed`;
    assert.deepEqual([status, JSON.parse(text)], [400, { error_msg: message }]);
  });

  it('that is a whole configuration must be UTF-8 as well', async () => {
    await using admin = await startAdmin();
    const headers = { 'X-API-KEY': adminKey };
    const body = Buffer.from('routes:\n  - { id: r, uri: /\xff, plugins: {} }\n', 'latin1');
    const answer = await fetch(`${admin.origin}/apisix/admin/configs/validate`, { method: 'POST', headers, body });
    assert.deepEqual(await answer.json(), { error_msg: 'invalid request body: not valid UTF-8' });
  });

  it('that ends before its length is no fault of the gateway', async () => {
    const payload = new Readable({ read() {} });
    const reading = readText(payload, limitBytes);
    payload.push('{');
    payload.destroy(new Error('aborted'));
    await assert.rejects(reading, { status: 400, message: 'invalid request body: it ends too early' });
  });

  it('of somebody without a key is not looked at', async () => {
    await using admin = await startAdmin();
    const { status } = await admin.call('PUT', '/routes/1', { key: null, body: '{"broken' });
    assert.equal(status, 401);
  });
});

describe('questions that are tricks', () => {
  it('are answered or refused in words', async () => {
    await using admin = await startAdmin();
    await admin.call('PUT', '/routes/r', { body: { uri: '/a', name: 'a'.repeat(200), plugins: {} } });
    for (const query of [
      'page=1e308&page_size=10',
      'page=-5&page_size=500',
      'page=NaN&page_size=10',
      'page=1&page_size=501',
      'name=%28',
      'name=%28a%2B%29%2B%24b',
      'uri=%28%3F%3C%3D',
      'name=constructor.constructor',
      'label=__proto__',
      `filter=${'service_id%3D1%26'.repeat(500)}`,
      'filter=__proto__%3D1',
      'filter=%25zz',
      'ttl=x',
      'name=%zz',
    ]) {
      const answer = await admin.call('GET', `/routes?${query}`);
      if (answer.status === 200) assert.equal(typeof answer.json.total, 'number', query);
      else assertWorded(answer, query);
    }
  });
});

describe('a connection', () => {
  it('carries requests one after the other, also when a client does not wait for answers', async () => {
    await using admin = await startAdmin();
    const lines = (method: string, body = ''): string =>
      `${method} /apisix/admin/routes/1 HTTP/1.1\r\nHost: x\r\nX-API-KEY: ${adminKey}\r\nContent-Length: ${body.length}\r\n`;
    const put = (uri: string): string => {
      const body = JSON.stringify({ uri, plugins: {} });
      return `${lines('PUT', body)}\r\n${body}`;
    };
    const text = `${put('/a')}${put('/b')}${lines('DELETE')}\r\n${put('/c')}${lines('GET')}Connection: close\r\n\r\n`;
    const answers = await new Promise<string>((resolve) => {
      const socket = connect(admin.port, '127.0.0.1').setEncoding('utf8');
      let received = '';
      socket.on('data', (piece) => (received += piece)).on('close', () => resolve(received));
      socket.write(text);
    });
    assert.deepEqual(answers.match(/(?<=HTTP\/1\.1 )\d+/g), ['201', '200', '200', '201', '200']);
    assert.match(answers, /"uri":"\/c"[^\n]*"modifiedIndex":4\}\n$/);
  });

  it('whose client never ends its request does not hold up the end of the gateway', async (test) => {
    await using admin = await startAdmin();
    const socket = connect(admin.port, '127.0.0.1');
    const closed = once(socket, 'close');
    socket.on('error', () => {});
    socket.write(`PUT /apisix/admin/routes/1 HTTP/1.1\r\nHost: x\r\nX-API-KEY: ${adminKey}\r\n`);
    socket.write('Content-Length: 100\r\nExpect: 100-continue\r\n\r\n{');
    await once(socket, 'data');
    test.mock.timers.enable({ apis: ['setTimeout'] });
    const ended = admin.server.close();
    test.mock.timers.tick(2000);
    await ended;
    await closed;
  });

  it('to the metrics whose client never ends its request does not, either', { timeout: 10_000 }, async () => {
    const server = createMetricsServer({ render: () => '', path: '/m', log: silentLog, serverHeader: 'x' });
    const { port } = await server.listen('127.0.0.1', 0);
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    const closed = once(socket, 'close');
    socket.write('GET /m HTTP/1.1\r\nHo');
    await once(socket, 'connect');
    // Connections are taken in the order in which they came.
    await (await fetch(`http://127.0.0.1:${port}/m`)).text();
    await server.close();
    await closed;
  });
});

describe('many writers', () => {
  it('of all kinds at the same time lose nothing', async () => {
    await using admin = await startAdmin();
    await admin.call('PUT', '/consumers/jack', { body: {} });
    const kinds = makeable.filter(([list]) => !['/secrets', '/plugin_metadata'].includes(list));
    const writes = kinds.flatMap(([list, , body]) =>
      Array.from({ length: 20 }, (_, index) => admin.call('PUT', `${list}/n${index}`, { body })),
    );
    const answers = await Promise.all(writes);
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([201]));
    for (const [list] of kinds) {
      const { total } = (await admin.call('GET', list)).json;
      assert.equal(total, list === '/consumers' ? 21 : 20, list);
    }
  });

  it('that put the same plugin into global rules succeed once', async () => {
    await using admin = await startAdmin();
    const body = { plugins: { 'ai-prompt-decorator': {} } };
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) => admin.call('PUT', `/global_rules/${index + 1}`, { body })),
    );
    assert.equal(answers.filter(({ status }) => status === 201).length, 1);
    assert.equal(admin.store.list('global_rules').length, 1);
  });

  it('that delete an upstream while others begin to use it leave nothing dangling', async () => {
    await using admin = await startAdmin();
    for (let round = 0; round < 10; round++) {
      await admin.call('PUT', '/upstreams/u', { body: { nodes } });
      const [deleted, put] = await Promise.all([
        admin.call('DELETE', '/upstreams/u'),
        admin.call('PUT', '/services/s', { body: { upstream_id: 'u' } }),
      ]);
      assert.deepEqual([deleted.status, put.status], put.status === 400 ? [200, 400] : [400, 201]);
      await admin.call('DELETE', '/services/s');
    }
  });
});
