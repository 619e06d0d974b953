import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listensCollide, toNodeListens, toTlsListens } from './listen.ts';

test('node_listen in each of its forms is a list of addresses and ports', () => {
  assert.deepEqual(toNodeListens(9080), [{ ip: '0.0.0.0', port: 9080 }]);
  assert.deepEqual(toNodeListens([9080, { ip: '::1', port: 9081, enable_http2: true }]), [
    { ip: '0.0.0.0', port: 9080 },
    { ip: '::1', port: 9081, cleartextHttp2: true },
  ]);
});

test('TLS is listened for only where it is enabled', () => {
  const ssl = { ip: '::1', port: 9443, enable_http3: false } as const;
  const more = { ssl_protocols: '', ssl_ciphers: '', ssl_session_tickets: false, ssl_trusted_certificate: 'system' };
  assert.deepEqual(toTlsListens({ enable: false, listen: [ssl], ...more }), []);
  assert.deepEqual(toTlsListens({ enable: true, listen: [ssl], ...more }), [{ ip: '::1', port: 9443, tls: true }]);
});

const collisions: [string, number, string, number, boolean][] = [
  ['127.0.0.1', 80, '127.0.0.1', 80, true],
  ['127.0.0.1', 80, '127.0.0.1', 81, false],
  ['127.0.0.1', 80, '127.0.0.2', 80, false],
  ['127.0.0.1', 80, '0.0.0.0', 80, true],
  ['::', 80, '127.0.0.1', 80, true],
  ['0.0.0.0', 0, '0.0.0.0', 0, false],
];
for (const [ip, port, otherIp, otherPort, expected] of collisions) {
  test(`${ip}:${port} and ${otherIp}:${otherPort} ${expected ? 'collide' : 'can both be opened'}`, () => {
    assert.equal(listensCollide({ ip, port }, { ip: otherIp, port: otherPort }), expected);
  });
}
