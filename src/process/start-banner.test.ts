import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { formatStartBanner, type StartBanner } from './start-banner.ts';

const banner: StartBanner = {
  version: '1.2.3',
  dataPlane: [
    { ip: '0.0.0.0', port: 9080 },
    { ip: '::', port: 9081 },
  ],
  workers: 4,
  admin: { ip: '127.0.0.1', port: 9180, allowed: ['127.0.0.0/24', '10.0.0.1'] },
  control: { ip: '127.0.0.1', port: 9090 },
  status: null,
  metrics: null,
  logs: ['/dev/stdout', '/srv/logs/error.log'],
};

const plain = `weir 1.2.3  data plane http://0.0.0.0:9080, http://[::]:9081  (4 workers)
            Admin API  http://127.0.0.1:9180  (allowed: 127.0.0.0/24, 10.0.0.1)
            control    http://127.0.0.1:9090
            logs       /dev/stdout, /srv/logs/error.log`;

test('the banner names listeners, Admin API, control API and logs in four lines', () => {
  assert.equal(formatStartBanner(banner, false), plain);
});

test('colour changes nothing but the colour', () => {
  const coloured = formatStartBanner(banner, true);
  assert.notEqual(coloured, plain);
  assert.equal(stripVTControlCharacters(coloured), plain);
});

test('a status server has a line of its own', () => {
  const lines = formatStartBanner({ ...banner, status: { ip: '127.0.0.1', port: 7085 } }, false).split('\n');
  assert.equal(lines.at(-2)?.trim(), 'status     http://127.0.0.1:7085');
});

test('a control plane says that it has no data plane', () => {
  const [first] = formatStartBanner({ ...banner, dataPlane: [] }, false).split('\n');
  assert.match(first ?? '', /data plane +off \(deployment.role is control_plane\)$/);
});

test('a control API that is off is called so', () => {
  const [, , line] = formatStartBanner({ ...banner, control: null }, false).split('\n');
  assert.equal(line?.trim(), 'control    off (apisix.enable_control is false)');
});

for (const [what, admin, expected] of [
  ['off', null, 'Admin API  off (apisix.enable_admin is false, or deployment.role is data_plane)'],
  ['open to everybody', { ip: '::1', port: 1, allowed: null }, 'Admin API  http://[::1]:1  (allowed: everybody)'],
  ['closed to all', { ip: '::1', port: 1, allowed: [] }, 'Admin API  http://[::1]:1  (allowed: nobody)'],
] as const) {
  test(`an Admin API that is ${what} is called so`, () => {
    assert.equal(
      formatStartBanner({ ...banner, admin }, false)
        .split('\n')[1]
        ?.trim(),
      expected,
    );
  });
}
