import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { silentLog } from '../../base/log.ts';
import { fakeRequest } from '../../router/request-view.fixture.ts';
import { compileHashKey, type HashKeyConf } from './hash-key.ts';

const request = fakeRequest({
  remoteAddress: '192.0.2.7',
  queryString: 'user=ann&empty=',
  host: 'api.example',
  path: '/v1/chat',
  consumer: { name: 'jack', groupId: undefined, credentialId: undefined },
  headers: { 'x-user': 'bob', 'x-empty': '', cookie: 'sid=s1; other=o' },
});

const rows: readonly (readonly [conf: HashKeyConf, key: string])[] = [
  [{ hash_on: 'vars', key: 'arg_user' }, 'ann'],
  [{ hash_on: 'vars', key: 'remote_addr' }, '192.0.2.7'],
  [{ hash_on: 'vars', key: 'remote_port' }, '40000'],
  [{ hash_on: 'vars', key: 'uri' }, '/v1/chat'],
  [{ hash_on: 'vars', key: 'host' }, 'api.example'],
  [{ hash_on: 'vars', key: 'mqtt_client_id' }, '192.0.2.7'],
  [{ hash_on: 'vars', key: 'arg_absent' }, '192.0.2.7'],
  [{ hash_on: 'vars', key: 'arg_empty' }, '192.0.2.7'],
  [{ hash_on: 'header', key: 'X-User' }, 'bob'],
  [{ hash_on: 'header', key: 'x_user' }, 'bob'],
  [{ hash_on: 'header', key: 'x-absent' }, '192.0.2.7'],
  [{ hash_on: 'header', key: 'x-empty' }, '192.0.2.7'],
  [{ hash_on: 'cookie', key: 'sid' }, 's1'],
  [{ hash_on: 'cookie', key: 'SID' }, '192.0.2.7'],
  [{ hash_on: 'consumer' }, 'jack'],
  [{ hash_on: 'vars_combinations', key: '$http_x_user$remote_addr' }, 'bob192.0.2.7'],
  [{ hash_on: 'vars_combinations', key: '${arg_user}/${http_x_absent}' }, 'ann/'],
  [{ hash_on: 'vars_combinations', key: '$http_x_absent-$arg_absent' }, '192.0.2.7'],
  [{ hash_on: 'vars_combinations', key: '$consumer_name' }, 'jack'],
  [{ hash_on: 'vars_combinations', key: 'no variable' }, '192.0.2.7'],
];

describe('the key of a request', () => {
  for (const [conf, key] of rows) {
    test(`${conf.hash_on} ${conf.key ?? ''} is ${key}`, () => {
      assert.equal(compileHashKey(conf, { log: silentLog })(request), key);
    });
  }

  test('of a consumer that nobody knows is the address', () => {
    assert.equal(
      compileHashKey({ hash_on: 'consumer' }, { log: silentLog })({ ...request, consumer: null }),
      '192.0.2.7',
    );
  });

  test('that is missing is told once, with the field and without the request', () => {
    const told: unknown[] = [];
    const log = { ...silentLog, warn: (message: string, fields?: object) => told.push(message, fields) };
    const keyOf = compileHashKey({ hash_on: 'header', key: 'x-absent' }, { log });
    for (let i = 0; i < 3; i++) keyOf(request);
    assert.deepEqual(told, [
      'a request has no key to be balanced by: it, and others like it, are balanced by remote_addr',
      { hash_on: 'header', key: 'x-absent' },
    ]);
  });
});
