import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Log, silentLog } from '../../base/log.ts';
import type { PluginCatalogue } from '../plugin-catalogue.ts';
import { resources } from '../resources.ts';
import { createResourceCheck } from './resource-check.ts';
import { readDocument } from './standalone-document.ts';

const catalogue: PluginCatalogue = { get: () => undefined, names: () => [] };

function checkWith(log: Log = silentLog): ReturnType<typeof createResourceCheck> {
  return createResourceCheck({ resources, catalogue, checkVars: () => null, log });
}

describe('a document of resources', () => {
  test('items are named by id, username or position, and lose the index of another store', () => {
    const document = {
      routes: [
        { id: 7, uri: '/7', plugins: {}, modifiedIndex: 12 },
        { uri: '/2', plugins: {} },
      ],
      consumers: [{ username: 'jack' }, { id: 'jack/credentials/one', plugins: {} }],
      secrets: [{ id: 'vault/1', uri: 'http://v', prefix: 'kv/x', token: 't' }],
      services: null,
      upstreams: {},
      routes_conf_version: 4,
      'X-Digest': 'd',
      'x-anchors': { plugins: {} },
    };
    assert.deepEqual(readDocument(document, checkWith(), true), {
      items: [
        { kind: 'routes', id: '7', value: { id: '7', uri: '/7', plugins: {} } },
        { kind: 'routes', id: 'arr_2', value: { id: 'arr_2', uri: '/2', plugins: {} } },
        { kind: 'consumers', id: 'jack', value: { username: 'jack' } },
        { kind: 'credentials', id: 'jack/one', value: { id: 'one', plugins: {} } },
        {
          kind: 'secrets',
          id: 'vault/1',
          value: { id: 'vault/1', uri: 'http://v', prefix: 'kv/x', token: 't' },
        },
      ],
      problems: [],
    });
  });

  const bad: [name: string, document: Record<string, unknown>, problem: object][] = [
    ['an unknown key', { routs: [] }, { resource: 'routs', id: '', index: -1, reason: /^unknown key/ }],
    ['no list', { routes: 'x' }, { resource: 'routes', id: '', index: -1, reason: /^expected a list$/ }],
    ['no mapping', { routes: ['x'] }, { resource: 'routes', id: 'arr_1', index: 0, reason: /^expected a mapping/ }],
    ['an id of no use', { routes: [{ id: {} }] }, { resource: 'routes', id: 'arr_1', index: 0, reason: /as its id$/ }],
    ['an invalid item', { routes: [{ id: 'a' }] }, { resource: 'routes', id: 'a', index: 0, reason: /^invalid conf/ }],
    [
      'the same id again',
      { upstreams: [{ id: 1, nodes: {} }, { id: '1' }] },
      { resource: 'upstreams', id: '1', index: 1, reason: /twice/ },
    ],
    [
      'a reference to nothing',
      { routes: [{ id: 'a', uri: '/a', service_id: 's' }] },
      { resource: 'routes', id: 'a', index: 0, reason: /service id \[s\]/ },
    ],
  ];
  for (const [name, document, expected] of bad) {
    test(`${name} is a problem, the rest is taken`, () => {
      const { items, problems } = readDocument({ services: [{ id: 'good' }], ...document }, checkWith(), true);
      assert.ok(items.some(({ id }) => id === 'good'));
      assert.equal(problems.length, 1);
      assert.partialDeepStrictEqual({ ...problems[0], reason: '' }, { ...expected, reason: '' });
      assert.match(problems[0]?.reason ?? '', Reflect.get(expected, 'reason') as RegExp);
    });
  }

  test('a reference is not checked when the document may be a part', () => {
    const document = { routes: [{ id: 'a', uri: '/a', service_id: 's' }] };
    assert.equal(readDocument(document, checkWith(), false).items.length, 1);
  });

  test('a kind without a definition passes, with one warning', () => {
    const warnings: string[] = [];
    const check = checkWith({ ...silentLog, warn: (message) => warnings.push(message) });
    const { items } = readDocument({ plugins: [{ name: 'a' }, { name: 'b' }] }, check, true);
    assert.equal(items.length, 2);
    assert.deepEqual(warnings, ['this version of Weir does not know plugins: they are kept, and have no effect']);
  });
});
