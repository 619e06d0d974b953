import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromEtcdKey, toEtcdKey } from './etcd-keys.ts';

const rows: [key: string, kind: string, id: string][] = [
  ['/apisix/routes/1', 'routes', '1'],
  ['/apisix/secrets/vault/1', 'secrets', 'vault/1'],
  ['/apisix/consumers/jack', 'consumers', 'jack'],
  ['/apisix/consumers/jack/credentials/one', 'credentials', 'jack/one'],
  ['/apisix/plugin_metadata/http-logger', 'plugin_metadata', 'http-logger'],
];
for (const [key, kind, id] of rows) {
  test(`${key} is ${kind} ${id}, and back`, () => {
    assert.deepEqual(fromEtcdKey('/apisix', key), { kind, id });
    assert.equal(toEtcdKey('/apisix', kind, id), key);
  });
}

for (const key of [
  '/apisix/routes/',
  '/apisix/routes',
  '/apisix/gen_id',
  '/apisix/plugins',
  '/apisix/data_plane/server_info/1',
  '/apisix/credentials/jack/one',
  '/apisixx/routes/1',
  '/other/routes/1',
]) {
  test(`${key} is no resource`, () => assert.equal(fromEtcdKey('/apisix', key), null));
}
