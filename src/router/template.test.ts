import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeRequest } from './request-view.fixture.ts';
import type { RequestView } from './request-view.ts';
import { compileTemplate } from './template.ts';

const request = fakeRequest({
  remoteAddress: '10.0.0.7',
  queryString: 'limit=5&empty',
  headers: { 'x-user': 'anna', 'content-type': 'application/json' },
  body: '{"model":"m1","n":3,"yes":true,"options":{"a":{}},"list":[{"role":"user"}]}',
});

const cases: readonly (readonly [what: string, template: string, text: string, resolvedCount: number])[] = [
  ['no variable', 'per route', 'per route', 0],
  ['nothing', '', '', 0],
  ['one variable', '$http_x_user', 'anna', 1],
  ['two, one behind the other', '$http_x_user$remote_addr', 'anna10.0.0.7', 2],
  ['text around variables', 'a-$http_x_user-${remote_addr}-z', 'a-anna-10.0.0.7-z', 2],
  ['spaces in braces', '${ http_x_user }', 'anna', 1],
  ['an absent one', '[$http_x_team]', '[]', 0],
  ['one of two absent', '$http_x_team/$http_x_user', '/anna', 1],
  ['a name that does not exist', '$nobody_knows', '', 0],
  ['a default that is not needed', '${arg_limit ?? 100}', '5', 1],
  ['a default that is', '${http_x_limit ?? 100}', '100', 1],
  ['a default without spaces', '${http_x_limit??100}', '100', 1],
  ['an empty default', '${http_x_limit ??}', '', 1],
  ['a default of an unknown name', '${nobody_knows ?? x}', 'x', 1],
  ['what stands behind a second ??', '${http_x_limit ?? a ?? b}', 'a', 1],
  ['an empty value, which is one', '[${arg_empty ?? x}]', '[]', 1],
  ['a member of the body', '$post_arg.model', 'm1', 1],
  ['a number of the body', '$post_arg.n', '3', 1],
  ['a boolean of the body', '$post_arg.yes', 'true', 1],
  ['a path with an index', '${post_arg.list[0].role}', 'user', 1],
  ['an object, which is no text', '[$post_arg.options]', '[]', 0],
  ['an object with a default', '${post_arg.options ?? none}', 'none', 1],
  ['a $ behind a backslash', String.raw`\$http_x_user`, String.raw`\$http_x_user`, 0],
  ['a $ alone', 'cost $ and ${', 'cost $ and ${', 0],
  ['a $ in front of a variable', '$$http_x_user', '$anna', 1],
];

for (const [what, template, text, resolvedCount] of cases) {
  test(`a template resolves ${what}`, () => {
    assert.deepEqual(compileTemplate(template).resolve(request), { text, resolvedCount });
  });
}

test('a text without variables is known to be the same for every request', () => {
  assert.equal(compileTemplate('per route').constant, 'per route');
  assert.equal(compileTemplate(String.raw`\$uri`).constant, String.raw`\$uri`);
  assert.equal(compileTemplate('$uri').constant, null);
});

test('a value is never read as a template again', () => {
  const view = fakeRequest({ headers: { 'x-user': '$remote_addr${uri}' } });
  assert.equal(compileTemplate('$http_x_user').resolve(view).text, '$remote_addr${uri}');
});

test('a caller may bring variables of its own', () => {
  const find = (name: string): ((view: RequestView) => string) | null =>
    name === 'consumer_name' ? () => 'jack' : null;
  assert.deepEqual(compileTemplate('$consumer_name:$remote_addr', find).resolve(request), {
    text: 'jack:',
    resolvedCount: 1,
  });
});
