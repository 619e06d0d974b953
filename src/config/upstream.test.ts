import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { expiredCertificate, serverCertificate } from '../../test/support/tls-fixtures.ts';
import { upstream } from './upstream.ts';

const context = {
  catalogue: { get: () => undefined, names: () => [] },
  checkVars: () => null,
  exists: (kind: string, id: string) => kind === 'ssls' && id === '1',
};
const invalid = 'invalid configuration: ';
const nodes = { '127.0.0.1:1980': 1 };
const { cert, key } = serverCertificate;

describe('an upstream', () => {
  const rows: readonly [about: string, conf: unknown, expected: string | null][] = [
    ['needs nodes', {}, `${invalid}value should match only one schema, but matches none`],
    ['may have nodes by name', { nodes: { 'a.example:80': 1, 'b.example': 0, '[::1]:80': 2, a_b: 1 } }, null],
    ['may have no node yet', { nodes: {} }, null],
    [
      'may have a list of nodes',
      {
        nodes: [
          { host: 'a', port: 80, weight: 1, priority: -1, metadata: {} },
          { host: '::1', weight: 0 },
        ],
      },
      null,
    ],
    [
      'may have every field',
      {
        id: 1,
        name: 'n',
        desc: 'd',
        labels: { a: 'b' },
        nodes,
        type: 'chash',
        hash_on: 'header',
        key: 'X-User',
        checks: { active: { http_path: '/status', req_headers: ['A: b'] }, passive: {} },
        retries: 0,
        retry_timeout: 0,
        timeout: { connect: 1, send: 1, read: 1 },
        scheme: 'https',
        pass_host: 'rewrite',
        upstream_host: 'a.example',
        tls: { client_cert: cert, client_key: key, verify: true },
        keepalive_pool: { size: 1, idle_timeout: 0, requests: 1 },
      },
      null,
    ],
    [
      'refuses a weight below 0',
      { nodes: { a: -1 } },
      `${invalid}property "nodes" validation failed: object matches none of the required`,
    ],
    ...['a:0', 'a:65536', 'a:b', 'http://a:80', 'a/b', '', 'a b', '__proto__:x'].map(
      (name): [string, unknown, string] => [
        `refuses ${JSON.stringify(name)} as a node`,
        { nodes: { [name]: 1 } },
        `${invalid}property "nodes" validation failed: expected "host:port" as the name of a node, got ${JSON.stringify(name)}`,
      ],
    ),
    [
      'does not repeat the password of a node that is a URL',
      { nodes: { 'http://u:canary@a': 1 } },
      `${invalid}property "nodes" validation failed: expected "host:port" as the name of a node, got "***@a"`,
    ],
    [
      'refuses an unknown algorithm',
      { nodes, type: 'random' },
      `${invalid}property "type" validation failed: matches none of the enum values`,
    ],
    ['needs a key to hash', { nodes, type: 'chash' }, `${invalid}missing key`],
    ['needs no key to hash a consumer', { nodes, type: 'chash', hash_on: 'consumer' }, null],
    ['may hash a text with variables', { nodes, type: 'chash', hash_on: 'vars_combinations', key: '$a$b' }, null],
    [
      'refuses a key that names no variable',
      { nodes, type: 'chash', key: 'nothing' },
      `${invalid}failed to match pattern "^((uri|server_name|server_addr|request_uri|remote_port|remote_addr|query_string|host|hostname|mqtt_client_id)|arg_[0-9a-zA-z_-]+)$" with "nothing"`,
    ],
    [
      'needs the host that it is to pass',
      { nodes, pass_host: 'rewrite' },
      `${invalid}\`upstream_host\` can't be empty when \`pass_host\` is \`rewrite\``,
    ],
    ['refuses gRPC', { nodes, scheme: 'grpc' }, `${invalid}the scheme "grpc" is not supported: expected http or https`],
    [
      'refuses service discovery',
      { service_name: 'a', discovery_type: 'dns' },
      `${invalid}the property "discovery_type" is not supported: Weir has no service discovery; use nodes, with a DNS name for a changing set`,
    ],
    [
      'needs the key of its certificate',
      { nodes, tls: { client_cert: cert } },
      `${invalid}property "tls" validation failed: failed to validate dependent schema for "client_cert": property "client_key" is required`,
    ],
    [
      'refuses a key that belongs to another certificate',
      { nodes, tls: { client_cert: cert, client_key: expiredCertificate.key } },
      `${invalid}property "tls" validation failed: the key does not belong to the cert`,
    ],
    ['may name a certificate', { nodes, tls: { client_cert_id: 1 } }, null],
    [
      'refuses a dangling certificate',
      { nodes, tls: { client_cert_id: 2 } },
      'failed to fetch ssl info by ssl id [2], response code: 404',
    ],
    [
      'refuses a probe that is no request, and does not repeat it',
      { nodes, checks: { active: { req_headers: ['canary\r\n'] } } },
      `${invalid}checks.active.req_headers[1] must be a header line such as "Name: value"`,
    ],
  ];
  for (const [about, conf, expected] of rows) {
    it(about, () => assert.equal(upstream.check(conf, context), expected));
  }

  it('has a type with the defaults filled in', () => {
    const { type, scheme, pass_host: passHost, hash_on: hashOn } = upstream.withDefaults({ nodes });
    assert.deepEqual(
      { type, scheme, passHost, hashOn },
      {
        type: 'roundrobin',
        scheme: 'http',
        passHost: 'pass',
        hashOn: 'vars',
      },
    );
  });
});
