import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { test } from 'node:test';
import { fakeRequest } from './request-view.fixture.ts';
import { compileVariable, variableNeedsBody, type VariableValue } from './variables.ts';

const get = fakeRequest({
  method: 'DELETE',
  path: '/a b',
  requestUri: '/a%20b?x=1',
  queryString: 'x=1&flag&two=1&two=2&enc%6Fded=%C3%A9+%2B&bad=%zz+1&Case=up&empty=&=noname',
  host: 'example.com',
  scheme: 'https',
  httpVersion: '1.0',
  remoteAddress: '10.0.0.9',
  remotePort: 1234,
  pathParams: { name: 'dog' },
  headers: {
    host: 'Example.com:9080',
    'content-type': 'text/plain',
    'content-length': '3',
    'x-my-header': 'value',
    cookie: 'a=1; session=s=2 ;b="q"; A=3',
  },
});

const values: readonly [name: string, value: VariableValue][] = [
  ['uri', '/a b'],
  ['request_uri', '/a%20b?x=1'],
  ['host', 'example.com'],
  ['http_host', 'Example.com:9080'],
  ['hostname', hostname()],
  ['scheme', 'https'],
  ['method', 'DELETE'],
  ['request_method', 'DELETE'],
  ['args', get.queryString],
  ['query_string', get.queryString],
  ['is_args', '?'],
  ['remote_addr', '10.0.0.9'],
  ['remote_port', 1234],
  ['server_addr', '127.0.0.2'],
  ['server_port', 9080],
  ['server_name', '_'],
  ['server_protocol', 'HTTP/1.0'],
  ['content_type', 'text/plain'],
  ['content_length', '3'],
  ['http_x_my_header', 'value'],
  ['http_X-My-Header', 'value'],
  ['http_missing', undefined],
  ['arg_x', '1'],
  ['arg_flag', ''],
  ['arg_two', '1'],
  ['arg_encoded', 'é +'],
  ['arg_bad', '%zz 1'],
  ['arg_Case', 'up'],
  ['arg_case', undefined],
  ['arg_empty', ''],
  ['arg_missing', undefined],
  ['cookie_a', '1'],
  ['cookie_session', 's=2'],
  ['cookie_b', '"q"'],
  ['cookie_A', '3'],
  ['cookie_missing', undefined],
  ['uri_param_name', 'dog'],
  ['uri_param_constructor', undefined],
  ['post_arg_a', undefined],
  ['post_arg.a', undefined],
];

for (const [name, value] of values) {
  test(`$${name} is ${JSON.stringify(value)}`, () => {
    assert.deepEqual(compileVariable(name)?.(get), value);
  });
}

test('raw arguments are not decoded and found without case', () => {
  const raw = (name: string): VariableValue => compileVariable(name, { arguments: 'raw' })?.(get);
  assert.equal(raw('arg_CASE'), 'up');
  assert.equal(raw('arg_enc%6Fded'), '%C3%A9+%2B');
  assert.equal(raw('arg_encoded'), undefined);
});

test('a request without query and cookies has neither', () => {
  for (const name of ['arg_x', 'cookie_a']) assert.equal(compileVariable(name)?.(fakeRequest()), undefined);
  assert.equal(compileVariable('is_args')?.(fakeRequest()), '');
});

test('an unknown name is refused unless the caller knows it', () => {
  for (const name of [
    '',
    'nonsense',
    'URI',
    'toString',
    'post_arg.',
    'post_arg.a..b',
    'post_arg.a[',
    'post_arg.a[1:2]',
  ]) {
    assert.equal(compileVariable(name), null, name);
  }
  const extend = (name: string) => (name === 'llm_model' || name === 'uri' ? () => 'jack' : null);
  assert.equal(compileVariable('llm_model', { extend })?.(get), 'jack');
  assert.equal(compileVariable('uri', { extend })?.(get), '/a b');
  assert.equal(compileVariable('nonsense', { extend }), null);
});

test('only post_arg variables need the body', () => {
  assert.deepEqual(['post_arg_a', 'post_arg.a', 'post_args', 'uri', 'arg_post_arg'].map(variableNeedsBody), [
    true,
    true,
    false,
    false,
    false,
  ]);
});

const json = JSON.stringify({
  model: 'gpt-4o',
  stream: true,
  n: 2,
  nothing: null,
  empty: '',
  nested: { version: 'v1', 'a.b': 1 },
  messages: [{ role: 'system', content: [{ type: 'text' }] }, { role: 'user', content: [{ type: 'image_url' }] }, {}],
});

const jsonValues: readonly [path: string, value: VariableValue][] = [
  ['model', 'gpt-4o'],
  ['stream', true],
  ['n', 2],
  ['nothing', undefined],
  ['empty', ''],
  ['missing', undefined],
  ['missing.deeper', undefined],
  ['model.length', undefined],
  ['nested.version', 'v1'],
  ['nested["a.b"]', 1],
  ["nested['a.b']", 1],
  ['nested.*', ['v1', 1]],
  ['nested', { version: 'v1', 'a.b': 1 }],
  ['constructor', undefined],
  ['__proto__', undefined],
  ['messages.length', undefined],
  ['messages[1].role', 'user'],
  ['messages[9].role', undefined],
  ['messages[*].role', ['system', 'user']],
  ['messages[*].content[*].type', ['text', 'image_url']],
  ['messages[*].missing', undefined],
  ['model[*]', undefined],
];

for (const [path, value] of jsonValues) {
  test(`post_arg.${path} of a JSON body is ${JSON.stringify(value)}`, () => {
    const request = fakeRequest({ body: json, headers: { 'content-type': 'Application/JSON; charset=utf-8' } });
    assert.deepEqual(compileVariable(`post_arg.${path}`)?.(request), value);
  });
}

for (const [contentType, body] of [
  ['application/json', 'not json'],
  ['application/json', '3'],
  ['application/json', 'null'],
  ['text/plain', json],
  ['', json],
] as const) {
  test(`post_arg.model of ${JSON.stringify(body.slice(0, 10))} sent as ${JSON.stringify(contentType)} is absent`, () => {
    const request = fakeRequest({ body, headers: { 'content-type': contentType } });
    assert.equal(compileVariable('post_arg.model')?.(request), undefined);
  });
}

test('fields of an urlencoded form are found by both families', () => {
  const request = fakeRequest({
    body: 'name=a+b%21&name=second&empty=&x.y=dot',
    headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
  });
  for (const family of ['post_arg_', 'post_arg.']) {
    assert.equal(compileVariable(`${family}name`)?.(request), 'a b!');
    assert.equal(compileVariable(`${family}empty`)?.(request), '');
    assert.equal(compileVariable(`${family}x.y`)?.(request), 'dot');
    assert.equal(compileVariable(`${family}missing`)?.(request), undefined);
  }
});

test('fields of a multipart form are found by post_arg. only, files are skipped', () => {
  const body = [
    'preamble',
    '--B',
    'Content-Disposition: form-data; name="file"; filename="a.mp3"',
    'Content-Type: audio/mpeg',
    '',
    'ID3 --B',
    '--B',
    'content-disposition: form-data; name="model"',
    '',
    'whisper-1\r\nsecond line',
    '--B',
    'Content-Disposition: form-data; name=token',
    '',
    '',
    '--B',
    'no head end',
    '--B--',
    '',
  ].join('\r\n');
  for (const boundary of ['B', '"B"']) {
    const request = fakeRequest({ body, headers: { 'content-type': `multipart/form-data; boundary=${boundary}` } });
    assert.equal(compileVariable('post_arg.model')?.(request), 'whisper-1\r\nsecond line');
    assert.equal(compileVariable('post_arg.token')?.(request), '');
    assert.equal(compileVariable('post_arg.file')?.(request), undefined);
    assert.equal(compileVariable('post_arg_model')?.(request), undefined);
  }
  const unbounded = fakeRequest({ body, headers: { 'content-type': 'multipart/form-data' } });
  assert.equal(compileVariable('post_arg.model')?.(unbounded), undefined);
});

test('long queries and cookies are read once', () => {
  const request = fakeRequest({
    queryString: '&a'.repeat(16384),
    headers: { cookie: '; '.repeat(16384) },
  });
  const start = performance.now();
  for (let round = 0; round < 20; round++) {
    assert.equal(compileVariable('arg_x')?.(request), undefined);
    assert.equal(compileVariable('cookie_x')?.(request), undefined);
  }
  assert.ok(performance.now() - start < 1000);
});
