import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ResourceContext } from './resource.ts';
import { type Route, route } from './route.ts';

const context: ResourceContext = {
  catalogue: { get: () => undefined, names: () => [] },
  checkVars: (vars) => (JSON.stringify(vars) === '[["a","=","b"]]' ? "invalid operator '='" : null),
  exists: (kind, id) => kind === 'services' && id === '1',
};

const minimal = { uri: '/a', plugins: {} };
const invalid = 'invalid configuration: ';
const noPath = `${invalid}allOf 1 failed: value should match only one schema, but matches`;

describe('a route', () => {
  const rows: readonly [about: string, conf: unknown, expected: string | null][] = [
    ['needs a path and something that handles it', minimal, null],
    ['may have parameters in its path', { uri: '/blog/:name/*rest', plugins: {} }, null],
    [
      'may have every field',
      {
        id: 'r-1',
        create_time: 1,
        update_time: 2,
        name: 'n',
        desc: '',
        labels: { team: 'ai' },
        uris: ['/a', '/b*'],
        priority: -3,
        methods: ['GET', 'PURGE'],
        hosts: ['*.example.com', 'example.com', '[::1]'],
        remote_addrs: ['10.0.0.0/8', '127.0.0.1', '::1', 'fe80::/10'],
        timeout: { connect: 1, send: 0.5, read: 60 },
        vars: [['arg_a', '==', 'b']],
        plugins: {},
        service_id: 1,
        enable_websocket: false,
        status: 0,
      },
      null,
    ],
    ['must be an object', 5, `${invalid}wrong type: expected object, got number`],
    ['needs a path', { plugins: {} }, `${noPath} none`],
    ['takes uri or uris', { uri: '/a', uris: ['/b'], plugins: {} }, `${noPath} both schemas 1 and 2`],
    [
      'needs something that handles the request',
      { uri: '/a' },
      `${invalid}object matches none of the required: ["plugins","uri"] or ["upstream","uri"] or ["upstream_id","uri"] or ["service_id","uri"] or ["script","uri"] or ["plugins","uris"] or ["upstream","uris"] or ["upstream_id","uris"] or ["service_id","uris"] or ["script","uris"]`,
    ],
    ['has no unknown keys', { ...minimal, upstreams: 1 }, `${invalid}additional properties forbidden, found upstreams`],
    ['takes host or hosts', { ...minimal, host: 'a', hosts: ['b'] }, 'only one of host or hosts is allowed'],
    [
      'takes remote_addr or remote_addrs',
      { ...minimal, remote_addr: '::1', remote_addrs: ['::1'] },
      'only one of remote_addr or remote_addrs is allowed',
    ],
    [
      'refuses an address that is none',
      { ...minimal, remote_addr: '10.0.0.0/33' },
      `${invalid}property "remote_addr" validation failed: object matches none of the required`,
    ],
    [
      'refuses an unknown method',
      { ...minimal, methods: ['GET', 'get'] },
      `${invalid}property "methods" validation failed: failed to validate item 2: matches none of the enum values`,
    ],
    [
      'refuses an empty path',
      { uri: '', plugins: {} },
      `${invalid}property "uri" validation failed: string too short, expected at least 1, got 0`,
    ],
    [
      'refuses an id with a slash',
      { ...minimal, id: '../x' },
      `${invalid}property "id" validation failed: object matches none of the required`,
    ],
    [
      'needs all timeouts, above 0',
      { ...minimal, timeout: { connect: 0, send: 1, read: 1 } },
      `${invalid}property "timeout" validation failed: property "connect" validation failed: expected 0 to be greater than 0`,
    ],
    [
      'has status 0 or 1',
      { ...minimal, status: 2 },
      `${invalid}property "status" validation failed: matches none of the enum values`,
    ],
    [
      'refuses a dangling upstream',
      { uri: '/a', upstream_id: 9 },
      'failed to fetch upstream info by upstream id [9], response code: 404',
    ],
    [
      'refuses a dangling service',
      { uri: '/a', service_id: 's' },
      'failed to fetch service info by service id [s], response code: 404',
    ],
    [
      'refuses a dangling plugin config',
      { ...minimal, plugin_config_id: 'p' },
      'failed to fetch plugin config info by plugin config id [p], response code: 404',
    ],
    ['may name a service that exists', { uri: '/a', service_id: '1' }, null],
    ['names an unknown plugin', { uri: '/a', plugins: { xyz: {} } }, 'unknown plugin [xyz]'],
    [
      'checks its vars',
      { ...minimal, vars: [['a', '=', 'b']] },
      "failed to validate the 'vars' expression: invalid operator '='",
    ],
    ['may have an upstream of its own', { uri: '/a', upstream: { nodes: { 'a:1': 1 } }, enable_websocket: true }, null],
    [
      'checks the schema of its own upstream',
      { uri: '/a', upstream: { type: 'roundrobin' } },
      `${invalid}property "upstream" validation failed: value should match only one schema, but matches none`,
    ],
    [
      'checks the rules of its own upstream',
      { uri: '/a', upstream: { nodes: [], type: 'chash' } },
      `${invalid}missing key`,
    ],
    [
      'refuses a dangling client certificate of its own upstream',
      { uri: '/a', upstream: { nodes: [], tls: { client_cert_id: 'c' } } },
      'failed to fetch ssl info by ssl id [c], response code: 404',
    ],
    [
      'refuses Lua code',
      { ...minimal, filter_func: 'function(vars) return true end' },
      'the property "filter_func" is not supported: Weir runs no Lua code; use vars',
    ],
    [
      'refuses a script',
      { uri: '/a', script: 'local _M = {} return _M' },
      'the property "script" is not supported: Weir runs no Lua code; use plugins',
    ],
  ];
  for (const [about, conf, expected] of rows) {
    it(about, () => assert.equal(route.check(conf, context), expected));
  }

  it('has a type with the defaults filled in', () => {
    const conf: Route = { uri: '/a', priority: 0, status: 1, service_id: 5 };
    const priority: number = conf.priority;
    assert.equal(priority, 0);
  });
});
