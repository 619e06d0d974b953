import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkVars, compileVars } from './expression.ts';
import { fakeRequest } from './request-view.fixture.ts';

const request = fakeRequest({
  queryString: 'x=1&f=1.0&name=json&neg=-2&empty=&text=abc&hex=0x10&inf=Infinity&space=%201%20&version=V2',
  remoteAddress: '::ffff:10.1.2.3',
  serverPort: 9080,
  headers: { 'content-type': 'application/json', 'x-forwarded-for': '10.0.0.1, 10.0.0.2' },
  body: JSON.stringify({ model: 'gpt-4o', n: 2, stream: true, nothing: null, tags: ['a', 'b', 3], meta: {} }),
});

const conditions: readonly [condition: readonly unknown[], expected: boolean][] = [
  [['arg_name', '==', 'json'], true],
  [['arg_name', '==', 'JSON'], false],
  [['arg_name', 'json'], true],
  [['arg_version', 'V2'], true],
  [['arg_x', 1], true],
  [['arg_x', '==', 1], true],
  [['arg_x', '==', '1'], true],
  [['arg_f', '==', 1], true],
  [['arg_f', '==', '1'], false],
  [['arg_space', '==', 1], true],
  [['arg_hex', '==', 16], true],
  [['arg_text', '==', 1], false],
  [['arg_empty', '==', 0], false],
  [['arg_empty', '==', ''], true],
  [['arg_missing', '==', ''], false],
  [['arg_missing', '==', null], true],
  [['arg_missing', '=='], true],
  [['arg_name', '==', null], false],
  [['post_arg.nothing', '==', null], true],
  [['server_port', '==', '9080'], true],
  [['server_port', '==', 9080], true],
  [['arg_name', '~=', 'json'], false],
  [['arg_name', '~=', 'xml'], true],
  [['arg_text', '~=', 1], true],
  [['arg_missing', '~=', 1], true],
  [['arg_missing', '~=', 'x'], true],
  [['arg_missing', '~=', null], false],
  [['arg_name', '~=', null], true],
  [['post_arg.meta', '~=', null], true],
  [['arg_x', '>', 0], true],
  [['arg_x', '>', 1], false],
  [['arg_x', '>=', '1'], true],
  [['arg_neg', '<', 0], true],
  [['arg_neg', '<=', -2], true],
  [['arg_text', '>', 0], false],
  [['arg_text', '<', 0], false],
  [['arg_hex', '>', 15], true],
  [['arg_inf', '>', 1], false],
  [['arg_empty', '<', 1], false],
  [['arg_missing', '<=', 1], false],
  [['arg_x', '<', 'many'], false],
  [['arg_name', '~~', '^[a-z]+$'], true],
  [['arg_name', '~~', '^[A-Z]+$'], false],
  [['arg_name', '~*', '^[A-Z]+$'], true],
  [['arg_x', '~~', 1], true],
  [['server_port', '~~', '^90'], true],
  [['arg_missing', '~~', '.*'], false],
  [['post_arg.tags', '~~', 'a'], false],
  [['arg_name', 'in', ['xml', 'json']], true],
  [['arg_name', 'IN', ['xml', 'json']], true],
  [['arg_name', 'in', ['xml']], false],
  [['arg_x', 'in', [1, 2]], true],
  [['arg_name', 'in', 'json'], false],
  [['arg_name', 'in', []], false],
  [['arg_missing', 'in', ['']], false],
  [['arg_name', '!', 'in', ['xml']], true],
  [['arg_name', '!', 'in', ['json']], false],
  [['arg_missing', '!', '==', 'x'], true],
  [['arg_missing', '!', '>', 1], true],
  [['arg_name', '!', '~~', '^j'], false],
  [['post_arg.tags', 'has', 'a'], true],
  [['post_arg.tags', 'has', 'c'], false],
  [['post_arg.tags', 'has', 3], true],
  [['post_arg.tags[*]', 'has', 'b'], true],
  [['post_arg.tags[0]', 'has', 'a'], true],
  [['post_arg.missing', 'has', 'a'], false],
  [['post_arg.tags', '==', 'a'], false],
  [['post_arg.model', '==', 'gpt-4o'], true],
  [['post_arg.n', '==', 2], true],
  [['post_arg.n', '==', '2'], true],
  [['post_arg.stream', '==', true], true],
  [['post_arg.stream', '==', 'true'], false],
  [['remote_addr', 'ipmatch', ['127.0.0.1', '10.0.0.0/8']], true],
  [['remote_addr', 'ipmatch', '10.1.2.3'], true],
  [['remote_addr', 'ipmatch', ['192.168.0.0/16', '::1']], false],
  [['remote_addr', '!', 'ipmatch', ['192.168.0.0/16']], true],
  [['http_x_forwarded_for', 'ipmatch', ['0.0.0.0/0']], false],
  [['arg_missing', 'ipmatch', ['0.0.0.0/0']], false],
];

for (const [condition, expected] of conditions) {
  test(`${JSON.stringify(condition)} is ${expected}`, () => {
    assert.equal(compileVars([condition]).matches(request), expected);
  });
}

const yes = ['arg_name', '==', 'json'];
const no = ['arg_name', '==', 'xml'];

const lists: readonly [vars: readonly unknown[], expected: boolean][] = [
  [[], true],
  [[yes, yes], true],
  [[yes, no], false],
  [['AND', yes, no], false],
  [['AND', yes, yes], true],
  [['or', no, yes], true],
  [['OR', no, no], false],
  [['!AND', yes, yes], false],
  [['!AND', yes, no], true],
  [['!OR', no, no], true],
  [['!OR', no, yes], false],
  [[yes, ['OR', no, yes]], true],
  [[yes, ['!OR', no, yes]], false],
  [['OR', no, ['AND', yes, ['!AND', yes, no]]], true],
  [['OR', [no, yes], [yes, yes]], true],
  [['OR', [no, yes], [yes, no]], false],
  [[[yes, no]], false],
  [[[yes, yes]], true],
  [['!AND', ['OR', no, yes], yes], false],
];

for (const [vars, expected] of lists) {
  test(`${JSON.stringify(vars)} is ${expected}`, () => {
    assert.equal(compileVars(vars).matches(request), expected);
  });
}

let deep: unknown = yes;
for (let depth = 0; depth < 1000; depth++) deep = [deep];

const errors: readonly [vars: unknown, error: string | RegExp][] = [
  [[['arg_x', '=', '1']], "invalid operator '='"],
  [[['arg_x', '!=', '1']], "invalid operator '!='"],
  [[['arg_x', '=', null]], "invalid operator '='"],
  [[['arg_x', '!', '=', '1']], "invalid operator '='"],
  [[['arg_x', '!', '1']], "invalid operator '!'"],
  [[['arg_x', 5, '1']], "invalid operator '5'"],
  [['arg_x', '==', '1'], 'rule should be wrapped inside brackets'],
  ['arg_x', 'expected an array'],
  [undefined, 'expected an array'],
  [{}, 'expected an array'],
  [[5], 'rule should be wrapped inside brackets'],
  [['OR', yes], 'rule too short'],
  [['OR'], 'rule too short'],
  [[[]], 'rule too short'],
  [['OR', 'x', yes], 'invalid expression'],
  [[yes, 'x'], 'invalid expression'],
  [[['arg_x']], 'invalid expression'],
  [[[5, '==', 5]], 'invalid expression'],
  [[['arg_x', '==', 1, 2, 3]], 'invalid expression'],
  [[['arg_x', 'not', '==', '1']], "bad 'not' expression"],
  [[['nonsense', '==', '1']], "unknown variable 'nonsense'"],
  [[['post_arg.a[', '==', '1']], "unknown variable 'post_arg.a['"],
  [[['arg_x', '~~', '(']], /^invalid regular expression '\(': /],
  [[['arg_x', '~*', ['a']]], 'invalid regular expression: expected a string'],
  [[['remote_addr', 'ipmatch', []]], 'invalid ip address'],
  [[['remote_addr', 'ipmatch', '']], 'invalid ip address'],
  [[['remote_addr', 'ipmatch', null]], 'invalid ip address'],
  [[['remote_addr', 'ipmatch', ['10.0.0.0/33']]], /^invalid IP address "10\.0\.0\.0\/33"/],
  [deep, 'rules are nested deeper than 64'],
];

for (const [vars, error] of errors) {
  test(`${JSON.stringify(vars)?.slice(0, 60)} is refused: ${error}`, () => {
    const text = checkVars(vars) ?? 'no error';
    if (typeof error === 'string') assert.equal(text, error);
    else assert.match(text, error);
    assert.throws(() => compileVars(vars), { message: text });
  });
}

test('a list that can be compiled has no error', () => {
  for (const [vars] of lists) assert.equal(checkVars(vars), null);
});

test('it is known whether the body is needed', () => {
  const needsBody = (vars: unknown): boolean => compileVars(vars).needsBody;
  assert.equal(needsBody([]), false);
  assert.equal(needsBody([yes, no]), false);
  assert.equal(needsBody([['post_arg.model', '==', 'x']]), true);
  assert.equal(needsBody([yes, ['OR', no, ['post_arg_x', '!', 'in', ['x']]]]), true);
});

test('names from the caller are used', () => {
  const extend = (name: string) => (name === 'llm_model' ? () => 'jack' : null);
  assert.equal(compileVars([['llm_model', '==', 'jack']], { extend }).matches(request), true);
  assert.equal(checkVars([['llm_model', '==', 'jack']], { extend }), null);
  assert.equal(checkVars([['llm_model', '==', 'jack']]), "unknown variable 'llm_model'");
});
