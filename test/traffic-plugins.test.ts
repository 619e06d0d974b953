import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2';
import { text as readText } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { brotliCompressSync, gunzipSync, gzipSync } from 'node:zlib';
import { startStage, type AiStage } from './support/ai-stage.ts';
import { call, type CallOptions, type CallResult } from './support/http-call.ts';
import { answerJson, chatAnswer, fieldOf, type Answer, type RecordedRequest } from './support/mock-provider.ts';

let stage: AiStage;
let routes = 0;

before(async () => {
  stage = await startStage({
    config: {
      apisix: {
        node_listen: [{ ip: '127.0.0.1', port: 0, enable_http2: true }],
        trusted_addresses: ['127.0.0.1'],
      },
      plugin_attr: { redirect: { https_port: 9444 } },
    },
  });
});

after(() => stage[Symbol.asyncDispose]());

const chat = { messages: [{ role: 'user', content: 'hi' }] };

/** A route to the provider as to an ordinary upstream. */
async function forwardRoute(plugins: object, route: object = {}): Promise<string> {
  const id = `f${++routes}`;
  const upstream = { type: 'roundrobin', nodes: { [`127.0.0.1:${stage.provider.port}`]: 1 } };
  await stage.gateway.putRoute(id, { uri: `/${id}/*`, plugins, upstream, ...route });
  return `${stage.gateway.url}/${id}`;
}

/** A route with ai-proxy and other plugins. */
function aiRoute(plugins: object): Promise<string> {
  const aiProxy = { provider: 'openai-compatible', auth: {}, override: { endpoint: stage.provider.url } };
  return stage.route({}, { plugins: { 'ai-proxy': aiProxy, ...plugins } });
}

const callChat = (url: string, options: CallOptions = {}): Promise<CallResult> =>
  call(url, { body: chat, ...options, headers: { 'Content-Type': 'application/json', ...options.headers } });

const lastRequest = (): RecordedRequest | undefined => stage.provider.requests.at(-1);

async function answering(answer: Answer, run: () => Promise<void>): Promise<void> {
  stage.provider.answer = answer;
  try {
    await run();
  } finally {
    stage.provider.answer = answerJson(chatAnswer);
  }
}

async function putError(plugins: object): Promise<string> {
  const answer = await stage.gateway.admin('PUT', '/routes/refused', { uri: '/refused', plugins });
  assert.equal(answer.status, 400, JSON.stringify(answer.body));
  return JSON.stringify(answer.body);
}

describe('request-id', () => {
  for (const [name, conf, pattern] of [
    ['uuid', {}, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/],
    ['nanoid', { algorithm: 'nanoid' }, /^[\w-]{21}$/],
    ['ksuid', { algorithm: 'ksuid' }, /^[0-9A-Za-z]{27}$/],
    ['range_id', { algorithm: 'range_id', range_id: { length: 8, char_set: 'abcdef' } }, /^[a-f]{8}$/],
    ['range_id of 16 characters by default', { algorithm: 'range_id' }, /^[0-9A-Za-z]{16}$/],
  ] as const) {
    test(`an id is made by ${name}, and the upstream and the client see the same one`, async () => {
      const url = await aiRoute({ 'request-id': conf });
      const { headers } = await callChat(url);
      const id = String(headers['x-request-id']);
      assert.match(id, pattern);
      assert.equal(fieldOf(lastRequest(), 'x-request-id'), id);
      assert.notEqual((await callChat(url)).headers['x-request-id'], id);
    });
  }

  test("the client's own id is kept, an empty one is none", async () => {
    const url = await aiRoute({ 'request-id': { header_name: 'X-Trace' } });
    const own = await callChat(url, { headers: { 'X-Trace': 'mine' } });
    assert.equal(own.headers['x-trace'], 'mine');
    assert.equal(fieldOf(lastRequest(), 'x-trace'), 'mine');
    const empty = await callChat(url, { headers: { 'X-Trace': '' } });
    assert.equal(String(empty.headers['x-trace']).length, 36);
  });

  test('with include_in_response false only the upstream sees it', async () => {
    const url = await aiRoute({ 'request-id': { include_in_response: false } });
    const { headers } = await callChat(url);
    assert.equal(headers['x-request-id'], undefined);
    assert.equal(fieldOf(lastRequest(), 'x-request-id')?.length, 36);
  });

  test('an answer of the gateway itself carries it as well', async () => {
    const url = await aiRoute({ 'request-id': {} });
    const { status, headers } = await call(url, { body: '{}', headers: { 'Content-Type': 'application/json' } });
    assert.equal(status, 400);
    assert.equal(String(headers['x-request-id']).length, 36);
  });

  test('a name that is no header is refused', async () => {
    assert.match(await putError({ 'request-id': { header_name: 'a b' } }), /header_name/);
    assert.match(await putError({ 'request-id': { header_name: 'Content-Length' } }), /header_name/);
    assert.match(await putError({ 'request-id': { range_id: { char_set: 'äöüßÄÖ' } } }), /char_set/);
  });
});

describe('ip-restriction', () => {
  for (const [name, conf, status, text] of [
    ['in the whitelist', { whitelist: ['127.0.0.0/8'] }, 200, undefined],
    ['not in the whitelist', { whitelist: ['10.0.0.0/8'] }, 403, '{"message":"Your IP address is not allowed"}\n'],
    ['in the blacklist', { blacklist: ['::1', '127.0.0.1'], message: 'no' }, 403, '{"message":"no"}\n'],
    ['not in the blacklist', { blacklist: ['127.0.0.2'] }, 200, undefined],
    ['refused with 404', { blacklist: ['127.0.0.1'], response_code: 404 }, 404, undefined],
  ] as const) {
    test(`a client that is ${name} gets ${status}`, async () => {
      const answer = await callChat(await aiRoute({ 'ip-restriction': conf }));
      assert.equal(answer.status, status);
      if (text !== undefined) assert.equal(answer.text, text);
    });
  }

  for (const [name, conf, reason] of [
    ['neither list', {}, /whitelist|schema/],
    ['both lists', { whitelist: ['127.0.0.1'], blacklist: ['127.0.0.1'] }, /schema/],
    ['what is no address', { whitelist: ['localhost'] }, /invalid ip address: localhost/],
    ['another status', { whitelist: ['127.0.0.1'], response_code: 401 }, /response_code/],
  ] as const) {
    test(`${name} is refused`, async () => {
      assert.match(await putError({ 'ip-restriction': conf }), reason);
    });
  }
});

describe('redirect', () => {
  for (const [name, conf, path, status, location] of [
    ['uri', { uri: '/other' }, '/x?a=1', 302, '/other'],
    ['variables', { uri: '$uri/index.html', ret_code: 301 }, '/x', 301, '/ROUTE/x/index.html'],
    ['braces', { uri: 'https://${arg_to}.example/${none}' }, '/x?to=a', 302, 'https://a.example/'],
    ['a line break in a variable', { uri: '/go/$arg_to' }, '/x?to=%0d%0aSet-Cookie:a', 302, '/go/%0D%0ASet-Cookie:a'],
    ['append_query_string', { uri: '/other', append_query_string: true }, '/x?a=1', 302, '/other?a=1'],
    [
      'append_query_string behind one',
      { uri: '/other?b=2', append_query_string: true },
      '/x?a=1',
      302,
      '/other?b=2&a=1',
    ],
    ['append_query_string without a query', { uri: '/other', append_query_string: true }, '/x', 302, '/other'],
    ['encode_uri', { uri: '/$arg_q', encode_uri: true }, '/x?q=a%20b%3f', 302, '/a%20b%3F'],
    ['regex_uri', { regex_uri: ['^/\\w+/a/(.*)/(.*)', '/$2-$1'] }, '/a/b/c', 302, '/c-b'],
    ['a backslash of the path', { regex_uri: ['^/\\w+/(.*)', '/$1'] }, '/%5cevil.test', 302, '/%5Cevil.test'],
    ['http_to_https', { http_to_https: true }, '/x%20y?a=1', 301, 'https://127.0.0.1:9444/ROUTE/x%20y?a=1'],
  ] as const) {
    test(`${name} sends the client to ${location}`, async () => {
      const url = await forwardRoute({ redirect: conf });
      const answer = await call(url + path, { method: 'GET' });
      const route = new URL(url).pathname.slice(1);
      assert.deepEqual(
        [answer.status, answer.headers.location, answer.text],
        [status, location.replace('ROUTE', route), ''],
      );
    });
  }

  test('http_to_https keeps the method of a POST, and lets pass what came over TLS to a proxy in front', async () => {
    const url = await forwardRoute({ redirect: { http_to_https: true } });
    assert.equal((await call(`${url}/x`)).status, 308);
    const claims: [proto: string | string[], status: number][] = [
      ['https', 200],
      ['http, https', 200],
      [['https', 'http'], 308],
    ];
    for (const [proto, status] of claims) {
      const answer = await call(`${url}/x`, { headers: { 'X-Forwarded-Proto': proto } });
      assert.equal(answer.status, status, `${String(proto)}: the word of the last proxy counts`);
    }
  });

  test('a path that regex_uri does not match goes to the upstream', async () => {
    const url = await forwardRoute({ redirect: { regex_uri: ['^/never', '/x'] } });
    assert.equal((await call(`${url}/a`)).status, 200);
  });

  test('a pattern that backtracks without end costs 50 ms and not the worker', async () => {
    const url = await forwardRoute({ redirect: { regex_uri: ['^/\\w+/(\\w+)+$', '/x'] } });
    const answer = await call(`${url}/${'a'.repeat(60)}!`);
    assert.equal(answer.status, 400);
    assert.match(answer.text, /regex_uri could not be matched/);
  });

  for (const [name, conf, reason] of [
    ['no destination', {}, /schema/],
    ['two destinations', { uri: '/a', http_to_https: true }, /schema/],
    ['a query with http_to_https', { http_to_https: true, append_query_string: true }, /only one of/],
    ['a group that does not exist', { regex_uri: ['^/a', '/$1'] }, /no group 1/],
    ['a pattern that is none', { regex_uri: ['(', '/'] }, /invalid regex_uri/],
  ] as const) {
    test(`${name} is refused`, async () => {
      assert.match(await putError({ redirect: conf }), reason);
    });
  }
});

describe('proxy-rewrite', () => {
  for (const [name, conf, path, target] of [
    ['uri', { uri: '/new' }, '/x?a=1', '/new?a=1'],
    ['uri with variables and a query', { uri: '/n/$arg_a?b=2' }, '/x?a=1%3f', '/n/1%3F?b=2&a=1%3f'],
    ['uri with a path to encode', { uri: '/a b/ü' }, '/x', '/a%20b/%C3%BC'],
    ['a line break in a variable', { uri: '/n/$arg_a' }, '/x?a=%0d%0a', '/n/%0D%0A?a=%0d%0a'],
    ['regex_uri', { regex_uri: ['^/\\w+/(.*)/(.*)', '/$2/$1'] }, '/b/c?a=1', '/c/b?a=1'],
    ['the second pair of regex_uri', { regex_uri: ['^/no', '/no', '^/\\w+/(.*)', '/n/$1'] }, '/b', '/n/b'],
    ['a query made by regex_uri', { regex_uri: ['^/\\w+/(.*)', '/n?id=$1'] }, '/b?a=1', '/n?id=b&a=1'],
    ['a regex_uri that takes the slash away', { regex_uri: ['^/\\w+/(.*)', '$1'] }, '/http:%2f%2fb', '/http:/b'],
    ['a hash out of a variable', { uri: '/n?b=$arg_a' }, '/x?a=%23c', '/n?b=%23c&a=%23c'],
    ['a question mark of the path in regex_uri', { regex_uri: ['^/\\w+/(.*)', '/$1'] }, '/b%3fc', '/b%3Fc'],
    ['regex_uri beside uri', { uri: '/u', regex_uri: ['.*', '/r'] }, '/x', '/u'],
    ['nothing about the path', { method: 'POST' }, '/a/./b%2fc//d?x=%41', '/ROUTE/a/b/c/d?x=%41'],
    ['the raw URI', { use_real_request_uri_unsafe: true, method: 'GET' }, '/a/./b%2fc?x=1', '/ROUTE/a/./b%2fc?x=1'],
  ] as const) {
    test(`with ${name} the upstream is asked for ${target}`, async () => {
      const url = await forwardRoute({ 'proxy-rewrite': conf });
      // Not through URL, which would normalise the path.
      await call(url, { method: 'GET' });
      const { origin, pathname } = new URL(url);
      const answer = await rawGet(origin, pathname + path);
      assert.equal(answer, 200);
      assert.equal(lastRequest()?.target, target.replace('ROUTE', pathname.slice(1)));
    });
  }

  test('method and host are those of the configuration', async () => {
    const url = await forwardRoute({ 'proxy-rewrite': { method: 'PUT', host: 'other.example:81' } });
    await call(`${url}/x`, { body: 'b' });
    assert.equal(lastRequest()?.method, 'PUT');
    assert.equal(fieldOf(lastRequest(), 'host'), 'other.example:81');
    assert.equal(lastRequest()?.body.toString(), 'b');
  });

  test('a GET that becomes a HEAD has an empty answer, which ends', async () => {
    const url = await forwardRoute({ 'proxy-rewrite': { method: 'HEAD' } });
    await answering(
      (_request, response) => response.setHeader('Content-Length', '5').end(),
      async () => {
        const { complete, headers } = await call(`${url}/x`, { method: 'GET' });
        assert.deepEqual([complete, headers['content-length']], [true, '0']);
      },
    );
  });

  const headers = {
    add: { 'X-Add': ['1', '2'], 'X-Both': 'added' },
    remove: ['X-Gone', 'X-Both'],
    set: { 'X-Set': 'v-$arg_a', 'X-Both': 'set', 'X-Number': 5, 'X-Empty': '$arg_none', 'X-Group': '$1' },
  };
  for (const [name, makeRoute] of [
    ['an ordinary upstream', () => forwardRoute({ 'proxy-rewrite': { headers, regex_uri: ['^/(\\w)', '/$1'] } })],
    ['an LLM provider', () => aiRoute({ 'proxy-rewrite': { headers, regex_uri: ['^/(\\w)', '/$1'] } })],
  ] as const) {
    test(`header changes reach ${name}: add, then remove, then set`, async () => {
      const url = await makeRoute();
      const path = url.includes('/f') ? '/x' : '';
      const sent = { 'X-Gone': 'g', 'X-Set': 'client', 'X-Kept': 'k', 'X-Empty': 'e', 'X-Add': '0' };
      const { status } = await callChat(`${url}${path}?a=%0d%0ab`, { headers: sent });
      assert.equal(status, 200);
      const names = ['x-add', 'x-both', 'x-gone', 'x-set', 'x-kept', 'x-empty', 'x-number', 'x-group'];
      assert.deepEqual(
        names.map((header) => fieldOf(lastRequest(), header)),
        ['0, 1, 2', 'set', undefined, 'v-b', 'k', undefined, '5', path === '' ? 'r' : 'f'],
      );
    });
  }

  test('the older form of headers sets, and an empty value removes', async () => {
    const url = await forwardRoute({ 'proxy-rewrite': { headers: { 'X-A': 'a', 'X-B': '' } } });
    await call(`${url}/x`, { headers: { 'X-B': 'b' } });
    assert.deepEqual([fieldOf(lastRequest(), 'x-a'), fieldOf(lastRequest(), 'x-b')], ['a', undefined]);
  });

  test('the credential of an LLM provider cannot be replaced', async () => {
    const url = await stage.route({ auth: { header: { Authorization: 'Bearer right' } } }, {});
    const id = new URL(url).pathname.slice(1);
    const aiProxy = {
      provider: 'openai-compatible',
      auth: { header: { Authorization: 'Bearer right' } },
      override: { endpoint: stage.provider.url },
    };
    const rewrite = {
      headers: { set: { Authorization: 'Bearer wrong', 'X-Api-Key': 'wrong', 'X-Ok': '1' } },
      uri: '/u',
    };
    await stage.gateway.putRoute(id, { uri: `/${id}`, plugins: { 'ai-proxy': aiProxy, 'proxy-rewrite': rewrite } });
    await callChat(url);
    assert.equal(fieldOf(lastRequest(), 'authorization'), 'Bearer right');
    assert.equal(fieldOf(lastRequest(), 'x-api-key'), undefined);
    assert.equal(fieldOf(lastRequest(), 'x-ok'), '1');
    assert.equal(lastRequest()?.target, '/v1/chat/completions');
  });

  for (const [name, conf, reason] of [
    ['an uri without slash', { uri: 'a' }, /uri/],
    ['an odd regex_uri', { regex_uri: ['a', 'b', 'c'] }, /pairs/],
    ['a method that does not exist', { method: 'FOO' }, /method/],
    ['a host with a path', { host: 'a/b' }, /host/],
    ['a bad header name', { headers: { set: { 'a b': 'c' } } }, /valid header name/],
    ['a line break in a value', { headers: { 'X-A': 'a\r\nX-B: b' } }, /X-A.*line breaks/],
    ['verbs and names together', { headers: { set: { a: 'b' }, 'X-A': 'a' } }, /either add, set and remove/],
  ] as const) {
    test(`${name} is refused`, async () => {
      assert.match(await putError({ 'proxy-rewrite': conf }), reason);
    });
  }
});

describe('response-rewrite', () => {
  test('status, header and body of an LLM answer are changed', async () => {
    const url = await aiRoute({
      'response-rewrite': {
        status_code: 201,
        body: 'bmV3',
        body_base64: true,
        headers: {
          add: ['X-Add: a:b', 'X-Add: c'],
          set: { 'X-Model': '$llm_model', 'X-Was': '$status' },
          remove: ['Content-Type'],
        },
      },
    });
    const answer = await callChat(url, { body: { ...chat, model: 'm1' } });
    assert.deepEqual([answer.status, answer.text, answer.complete], [201, 'new', true]);
    const { 'x-add': added, 'x-model': model, 'content-type': type, 'content-length': length } = answer.headers;
    assert.deepEqual([added, model, type, length], ['a:b, c', 'm1', undefined, '3']);
    const [line] = await stage.logged(url);
    assert.equal(line?.status, '201');
    // The tokens were counted all the same.
    assert.equal(line?.llm_total_tokens, '13');
  });

  for (const [name, headers, server] of [
    ['set', { set: { Server: 'mine' } }, 'mine'],
    ['removed', { remove: ['Server'] }, undefined],
    ['left alone', { set: { 'X-A': 'b' } }, 'Weir/'],
  ] as const) {
    test(`the field Server can be ${name}`, async () => {
      const answer = await callChat(await aiRoute({ 'response-rewrite': { headers } }));
      assert.equal(answer.headers.server && String(answer.headers.server).replace(/[\d.]+$/, ''), server);
    });
  }

  test('where an answer ends no configuration can say', async () => {
    const url = await aiRoute({
      'response-rewrite': {
        headers: { set: { 'Content-Length': '3', 'Transfer-Encoding': 'x', Connection: 'y' }, add: ['Upgrade: z'] },
      },
    });
    const { text, complete, headers } = await callChat(url);
    assert.deepEqual([text, complete], [JSON.stringify(chatAnswer), true]);
    const { 'content-length': length, 'transfer-encoding': coding, connection, upgrade } = headers;
    assert.deepEqual([length, coding, upgrade], [String(text.length), undefined, undefined]);
    assert.notEqual(connection, 'y');
  });

  for (const [name, vars, text] of [
    ['that hold', [['status', '==', 200]], 'new'],
    ['that do not hold', [['status', '>=', 400]], undefined],
    ['about a header of the answer', [['sent_http_content_type', '~~', 'json']], 'new'],
  ] as const) {
    test(`conditions ${name} decide`, async () => {
      const url = await aiRoute({ 'response-rewrite': { vars, body: 'new' } });
      const answer = await callChat(url);
      assert.equal(answer.text, text ?? JSON.stringify(chatAnswer));
    });
  }

  test('an error of the gateway is rewritten as well', async () => {
    const url = await aiRoute({ 'response-rewrite': { body: '{"oops":true}', headers: { set: { 'X-A': 'b' } } } });
    const answer = await callChat(url, { body: 'no json' });
    assert.deepEqual([answer.status, answer.text, answer.headers['x-a']], [400, '{"oops":true}', 'b']);
  });

  test('filters replace in the body, the first match or all', async () => {
    const filters = [
      { regex: 'a(.)', replace: '<$1>', scope: 'global' },
      { regex: 'O', replace: 'x', options: 'i' },
      { regex: 'ü', replace: 'ö' },
    ];
    const url = await forwardRoute({ 'response-rewrite': { filters } });
    await answering(
      (_request, response) => {
        response.setHeader('ETag', '"1"');
        response.write('ab oo ');
        response.end('ac ü');
      },
      async () => {
        const answer = await call(`${url}/x`);
        assert.equal(answer.text, '<b> xo <c> ö');
        assert.equal(answer.headers['content-length'], '13');
        assert.equal(answer.headers.etag, undefined);
      },
    );
  });

  for (const [coding, encode] of [
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
  ] as const) {
    test(`a body in ${coding} is decoded for its filters`, async () => {
      const url = await forwardRoute({ 'response-rewrite': { filters: [{ regex: 'old', replace: 'new' }] } });
      const coded = encode(Buffer.from('an old body'));
      await answering(
        (_request, response) => response.setHeader('Content-Encoding', coding).end(coded),
        async () => {
          const answer = await call(`${url}/x`);
          assert.deepEqual([answer.text, answer.headers['content-encoding']], ['an new body', undefined]);
        },
      );
    });
  }

  test('without a match the answer stays as it is, coded', async () => {
    const url = await forwardRoute({ 'response-rewrite': { filters: [{ regex: 'never', replace: 'x' }] } });
    const coded = gzipSync('body');
    await answering(
      (_request, response) => response.setHeader('Content-Encoding', 'gzip').end(coded),
      async () => {
        const answer = await call(`${url}/x`);
        assert.equal(gunzipSync(answer.body).toString(), 'body');
        assert.equal(answer.headers['content-encoding'], 'gzip');
      },
    );
  });

  test('a body above 8 MiB and one whose pattern takes too long pass unchanged', async () => {
    const slow = await forwardRoute({ 'response-rewrite': { filters: [{ regex: '(a+)+b', replace: 'x' }] } });
    const large = await forwardRoute({ 'response-rewrite': { filters: [{ regex: 'a', replace: 'x' }] } });
    await answering(
      (_request, response) => response.end('a'.repeat(50)),
      async () => assert.equal((await call(`${slow}/x`)).text, 'a'.repeat(50)),
    );
    await stage.gateway.untilErrorLog(/an answer passes without its filters/);
    const size = 9 * 1024 * 1024;
    await answering(
      (_request, response) => response.end(Buffer.alloc(size, 'a')),
      async () => {
        const answer = await call(`${large}/x`);
        assert.deepEqual([answer.body.length, answer.body.includes('x'), answer.complete], [size, false, true]);
      },
    );
  });

  test('of a stream the header is changed and the filters have no effect', async () => {
    const conf = { headers: { set: { 'X-A': 'b' } }, filters: [{ regex: 'data', replace: 'x' }] };
    const url = await aiRoute({ 'response-rewrite': conf });
    const stream = 'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n';
    await answering(
      (_request, response) => response.setHeader('Content-Type', 'text/event-stream').end(stream),
      async () => {
        const answer = await callChat(url, { body: { ...chat, stream: true } });
        assert.deepEqual([answer.text, answer.headers['x-a']], [stream, 'b']);
      },
    );
  });

  test('a body in place of a stream of an LLM waits for its end, so that the tokens are counted', async () => {
    const url = await aiRoute({ 'response-rewrite': { body: 'new' } });
    const usage = '{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}';
    await answering(
      (_request, response) => {
        response.setHeader('Content-Type', 'text/event-stream').write('data: {"choices":[]}\n\n');
        setTimeout(() => response.end(`data: {"choices":[],"usage":${usage}}\n\ndata: [DONE]\n\n`), 20);
      },
      async () => {
        // It leaves as soon as it has its answer.
        const { text, complete } = await callChat(url, { body: { ...chat, stream: true } });
        assert.deepEqual([text, complete], ['new', true]);
        const [line] = await stage.logged(url);
        assert.deepEqual([line?.status, line?.llm_total_tokens], ['200', '7']);
      },
    );
  });

  test('a body in place of an answer without end is sent at once', async () => {
    const url = await forwardRoute({ 'response-rewrite': { status_code: 503, body: 'maintenance' } });
    await answering(
      (_request, response) => response.setHeader('Content-Type', 'text/event-stream').write('data: 1\n\n'),
      async () => {
        const { status, text, complete } = await call(`${url}/x`);
        assert.deepEqual([status, text, complete], [503, 'maintenance', true]);
      },
    );
  });

  test('a body takes the place of one that breaks off', async () => {
    const url = await forwardRoute({ 'response-rewrite': { body: 'new' } });
    await answering(
      (_request, response) => {
        response.setHeader('Content-Length', '100').write('old');
        setImmediate(() => response.destroy());
      },
      async () => {
        const { text, complete } = await call(`${url}/x`);
        assert.deepEqual([text, complete], ['new', true]);
      },
    );
  });

  test('HEAD and a status without a body stay without one', async () => {
    const url = await forwardRoute({ 'response-rewrite': { body: 'new' } });
    assert.equal((await call(`${url}/x`, { method: 'HEAD' })).text, '');
    const filtered = await forwardRoute({ 'response-rewrite': { filters: [{ regex: 'a', replace: 'b' }] } });
    assert.equal((await call(`${filtered}/x`, { method: 'HEAD' })).complete, true);
    await answering(
      (_request, response) => response.writeHead(204).end(),
      async () => {
        const answer = await call(`${url}/x`);
        assert.deepEqual([answer.status, answer.text], [204, '']);
      },
    );
  });

  for (const [name, conf, reason] of [
    ['body beside filters', { body: 'a', filters: [{ regex: 'a', replace: 'b' }] }, /response-rewrite/],
    ['base64 that is none', { body: '!', body_base64: true }, /invalid base64 content/],
    ['a bad pattern', { filters: [{ regex: '(', replace: 'b' }] }, /regex \\"\(\\" validation failed/],
    ['unknown options', { filters: [{ regex: 'a', replace: 'b', options: 'x' }] }, /option x is not supported/],
    ['a bad condition', { vars: [['status', 'is', 1]] }, /vars/],
    ['a status that cannot be sent', { status_code: 199 }, /status_code/],
  ] as const) {
    test(`${name} is refused`, async () => {
      assert.match(await putError({ 'response-rewrite': conf }), reason);
    });
  }
});

describe('cors', () => {
  const corsHeaders = ({ headers }: CallResult): object =>
    Object.fromEntries(
      Object.entries(headers)
        .filter(([name]) => /^(access-control-|timing-|vary)/.test(name))
        .map(([name, value]) => [name.replace('access-control-', ''), value]),
    );
  const open = { 'allow-origin': '*', 'allow-methods': '*', 'allow-headers': '*', 'max-age': '5' };

  for (const [name, conf, origin, expected] of [
    ['everybody by default', {}, 'http://a.test', open],
    ['everybody, also without an origin', {}, '', open],
    [
      'one origin, told to all',
      { allow_origins: 'http://a.test', expose_headers: 'X-A', max_age: 9 },
      'http://b.test',
      { ...open, 'allow-origin': 'http://a.test', 'max-age': '9', 'expose-headers': 'X-A', vary: 'Origin' },
    ],
    [
      'one of several',
      { allow_origins: 'http://a.test,http://b.test:81' },
      'http://b.test:81',
      { ...open, 'allow-origin': 'http://b.test:81', vary: 'Origin' },
    ],
    ['none of several', { allow_origins: 'http://a.test,http://b.test' }, 'http://c.test', {}],
    [
      'all with credentials',
      { allow_origins: '**', allow_methods: '**', allow_headers: '**', allow_credential: true },
      'http://c.test',
      {
        'allow-origin': 'http://c.test',
        'allow-methods': 'GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE',
        'allow-headers': 'X-One, X-Two',
        'max-age': '5',
        'allow-credentials': 'true',
        vary: 'Origin',
      },
    ],
    [
      'by a pattern',
      { allow_origins_by_regex: ['^http://\\w+\\.test$'] },
      'http://sub.test',
      { ...open, 'allow-origin': 'http://sub.test', vary: 'Origin' },
    ],
    ['not by a pattern', { allow_origins_by_regex: ['^http://\\w+\\.test$'] }, 'http://sub.test.evil', {}],
    [
      'by metadata',
      { allow_origins: 'http://a.test,http://b.test', allow_origins_by_metadata: ['none', 'PARTNERS'] },
      'http://partner.test',
      { ...open, 'allow-origin': 'http://partner.test', vary: 'Origin' },
    ],
    [
      'for timing as well',
      { timing_allow_origins: 'http://t.test,http://a.test' },
      'http://t.test',
      { ...open, 'timing-allow-origin': 'http://t.test' },
    ],
    [
      'for timing by a pattern',
      { timing_allow_origins_by_regex: ['t\\.test$'] },
      'http://t.test',
      { ...open, 'timing-allow-origin': 'http://t.test' },
    ],
  ] as const) {
    test(`allows ${name}`, async () => {
      const metadata = { allow_origins: { PARTNERS: 'http://partner.test,http://p2.test' } };
      const { status } = await stage.gateway.admin('PUT', '/plugin_metadata/cors', metadata);
      assert.ok(status < 300);
      const url = await aiRoute({ cors: conf });
      const headers = { ...(origin !== '' && { Origin: origin }), 'Access-Control-Request-Headers': 'X-One, X-Two' };
      assert.deepEqual(corsHeaders(await callChat(url, { headers })), expected);
    });
  }

  test('a preflight is answered without the upstream, and an error has the headers too', async () => {
    const url = await aiRoute({ cors: {} });
    const asked = stage.provider.requests.length;
    const preflight = await call(url, { method: 'OPTIONS', headers: { Origin: 'http://a.test' } });
    assert.deepEqual([preflight.status, preflight.text, corsHeaders(preflight)], [200, '', open]);
    assert.equal(stage.provider.requests.length, asked);
    assert.deepEqual(corsHeaders(await callChat(url, { body: '{}' })), open);
  });

  test("the upstream's own headers are replaced, its Vary stays", async () => {
    const url = await forwardRoute({ cors: { allow_origins: 'http://a.test' } });
    await answering(
      (_request, response) => {
        response.setHeader('Access-Control-Allow-Origin', 'http://upstream.test').setHeader('Vary', 'Accept').end();
      },
      async () => {
        const { headers } = await call(`${url}/x`);
        assert.deepEqual([headers['access-control-allow-origin'], headers.vary], ['http://a.test', 'Accept, Origin']);
      },
    );
  });

  for (const [name, conf, reason] of [
    ['a star with credentials', { allow_credential: true }, /you can not set '\*' for other option/],
    ['an origin without scheme', { allow_origins: 'a.test' }, /allow_origins/],
    ['a bad pattern', { allow_origins_by_regex: ['('] }, /allow_origins_by_regex/],
  ] as const) {
    test(`${name} is refused`, async () => {
      assert.match(await putError({ cors: conf }), reason);
    });
  }
});

describe('over HTTP/2', () => {
  for (const [name, rewrite, text, length] of [
    ['of a body that is replaced', { body: 'new' }, 'new', '3'],
    ['of a body that is rewritten', { filters: [{ regex: 'hello', replace: 'bye' }] }, 'bye', '3'],
    ['of a body that stays', {}, 'hello', '5'],
  ] as const) {
    test(`the header ${name} is changed by every plugin`, async () => {
      const headers = {
        set: { 'X-Set': 's', Server: 'mine', Connection: 'x' },
        add: ['Set-Cookie: a', 'Set-Cookie: b'],
      };
      const url = await forwardRoute({
        cors: { allow_origins: 'http://a.test,http://b.test' },
        'request-id': { header_name: 'X-Trace-ID' },
        'response-rewrite': { headers, status_code: 201, ...rewrite },
      });
      await answering(
        (_request, response) => response.setHeader('Content-Length', '5').end('hello'),
        async () => {
          const answer = await callHttp2(`${url}/x`, { origin: 'http://b.test', 'x-trace-id': 'T-1' });
          assert.equal(answer.text, text);
          const names = [':status', 'x-set', 'server', 'set-cookie', 'connection', 'content-length'];
          assert.deepEqual(
            names.map((header) => answer.headers[header]),
            [201, 's', 'mine', ['a', 'b'], undefined, length],
          );
          assert.deepEqual(
            ['access-control-allow-origin', 'vary', 'x-trace-id'].map((header) => answer.headers[header]),
            ['http://b.test', 'Origin', 'T-1'],
          );
        },
      );
    });
  }

  test('an error of the gateway, a redirect and a preflight have theirs as well', async () => {
    const url = await forwardRoute({ cors: {}, 'ip-restriction': { blacklist: ['127.0.0.1'] } });
    const [refused, preflight] = [await callHttp2(`${url}/x`), await callHttp2(`${url}/x`, { ':method': 'OPTIONS' })];
    assert.deepEqual(
      [refused, preflight].map(({ headers }) => [headers[':status'], headers['access-control-allow-origin']]),
      [
        [403, '*'],
        [200, '*'],
      ],
    );
    const redirected = await callHttp2(
      await forwardRoute({ redirect: { http_to_https: true } }).then((at) => `${at}/x`),
    );
    assert.equal(redirected.headers[':status'], 301);
    assert.match(String(redirected.headers['location']), /^https:\/\/127\.0\.0\.1:9444\/f\d+\/x$/);
  });
});

/** One request on a connection of its own, without TLS. */
async function callHttp2(
  url: string,
  headers: OutgoingHttpHeaders = {},
): Promise<{ readonly headers: IncomingHttpHeaders; readonly text: string }> {
  const { origin, pathname } = new URL(url);
  const session = connect(origin);
  try {
    const stream = session.request({ ':path': pathname, ...headers });
    const [answered] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    return { headers: answered, text: await readText(stream) };
  } finally {
    session.destroy();
  }
}

/** With a target that is sent as it is. */
async function rawGet(origin: string, target: string): Promise<number> {
  const { request } = await import('node:http');
  const { hostname, port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const outgoing = request({ hostname, port, path: target, agent: false }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}
