import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import { silentLog, type Log } from '../src/base/log.ts';
import { policyFields, type PolicyConf } from '../src/rate-limit/policy-schema.ts';
import { WindowStores } from '../src/rate-limit/window-stores.ts';
import { WindowStoreError, type WindowStore } from '../src/rate-limit/window-store.ts';
import { createSharedRegion, SharedMemory } from '../src/shared-memory/shared-memory.ts';
import { fillDefaults } from '../src/schema/defaults.ts';
import { serverCertificate, testCa } from './support/tls-fixtures.ts';
import { startRedisCluster, startRedisSentinel, TestRedis } from './services/redis.ts';

const minute = 60_000;

/** As a plugin gets it. */
function policy(conf: Partial<PolicyConf>): PolicyConf {
  return fillDefaults({ type: 'object', properties: policyFields }, conf, () => false) as PolicyConf;
}

function openStores(t: TestContext | null, log: Log = silentLog, ca?: string): WindowStores {
  const local = new SharedMemory(createSharedRegion()).counters;
  const stores = new WindowStores({ local, trustedCa: () => ca, log });
  t?.after(() => stores.close());
  return stores;
}

/** Keeps what is logged as lines of JSON. */
function recordingLog(): { readonly log: Log; readonly lines: string[] } {
  const lines: string[] = [];
  const write =
    (level: string) =>
    (message: string, fields = {}): void =>
      void lines.push(JSON.stringify({ level, message, ...fields }));
  const log = {
    error: write('error'),
    warn: write('warn'),
    notice: write('notice'),
    info: write('info'),
    debug: write('debug'),
  };
  return { log, lines };
}

async function eventually(done: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 10_000;
  while (!(await done())) {
    assert.ok(performance.now() < end, 'waited 10 s in vain');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

type RedisChange = (redis: TestRedis) => Promise<string>;

async function untilItAnswers(store: WindowStore, timeoutMs = 10_000): Promise<number> {
  const start = performance.now();
  for (;;) {
    try {
      await store.read('test:any:key', minute);
      return performance.now() - start;
    } catch (error) {
      assert.ok(error instanceof WindowStoreError);
      assert.ok(performance.now() < start + timeoutMs, `still away: ${error.message}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

let redis: TestRedis;
before(async () => {
  redis = await TestRedis.start();
});
after(() => redis[Symbol.asyncDispose]());

const local = { policy: 'local' } as const;
const onRedis = (conf: Partial<PolicyConf> = {}): Partial<PolicyConf> => ({
  policy: 'redis',
  redis_host: '127.0.0.1',
  redis_port: redis.port,
  ...conf,
});

for (const [name, conf] of [
  ['local', () => local],
  ['redis', onRedis],
] as const) {
  describe(`a store with the policy ${name}`, () => {
    test('a window begins with what is added first', async (t) => {
      const store = openStores(t).get(policy(conf()));
      assert.deepEqual(await store.read('t:begin:a', minute), { used: 0, resetMs: minute });
      const first = await store.add('t:begin:a', 5, minute);
      assert.equal(first.used, 5);
      const second = await store.add('t:begin:a', 2, 10 * minute);
      assert.equal(second.used, 7);
      assert.ok(second.resetMs < minute + 1, 'a later amount does not move its end');
    });

    test('a window ends', async (t) => {
      const store = openStores(t).get(policy(conf()));
      const { resetMs } = await store.add('t:end:a', 5, 50);
      assert.ok(resetMs < 51);
      await eventually(async () => (await store.read('t:end:a', minute)).used === 0);
    });

    test('what is taken fits in the limit', async (t) => {
      const store = openStores(t).get(policy(conf()));
      const take = (amount: number) => store.take('t:take:a', { amount, limit: 10, windowMs: minute });
      assert.deepEqual(pick(await take(6)), [true, 6]);
      assert.deepEqual(pick(await take(5)), [false, 6]);
      assert.deepEqual(pick(await take(4)), [true, 10]);
      assert.deepEqual(pick(await take(0.001)), [false, 10]);
    });

    test('amounts may be fractions', async (t) => {
      const store = openStores(t).get(policy(conf()));
      await store.add('t:fraction:a', 0.1, minute);
      assert.ok(Math.abs((await store.add('t:fraction:a', 0.2, minute)).used - 0.3) < 1e-9);
      assert.ok(Math.abs((await store.read('t:fraction:a', minute)).used - 0.3) < 1e-9);
    });

    test('a larger amount than the limit is not taken from a fresh window', async (t) => {
      const store = openStores(t).get(policy(conf()));
      const refused = await store.take('t:large:a', { amount: 2, limit: 1, windowMs: minute });
      assert.deepEqual(pick(refused), [false, 0]);
      assert.equal(Math.round(refused.resetMs), minute);
    });

    test('a bucket leaks at its rate', async (t) => {
      const store = openStores(t).get(policy(conf()));
      const leak = () => store.leak('t:leak:a', { ratePerSecond: 0.001, burst: 1 });
      const first = await leak();
      assert.deepEqual([first.accepted, first.delayMs, first.excess], [true, 0, 0]);
      const second = await leak();
      assert.ok(second.accepted && second.excess > 0.99 && second.excess < 1.001, JSON.stringify(second));
      assert.ok(second.delayMs > 990_000 && second.delayMs < 1_000_001);
      assert.equal((await leak()).accepted, false);
    });

    test('windows and buckets of one key do not meet', async (t) => {
      const store = openStores(t).get(policy(conf()));
      await store.add('t:both:a', 3, minute);
      assert.equal((await store.leak('t:both:a', { ratePerSecond: 1, burst: 0 })).accepted, true);
      assert.equal((await store.read('t:both:a', minute)).used, 3);
    });
  });
}

function pick({ taken, used }: { readonly taken: boolean; readonly used: number }): readonly [boolean, number] {
  return [taken, used];
}

test('two gateways never let more pass than the limit, however many ask at once', async (t) => {
  const stores = [openStores(t), openStores(t)].map((each) => each.get(policy(onRedis())));
  const take = { amount: 1, limit: 50, windowMs: minute };
  const taken = await Promise.all(Array.from({ length: 400 }, async (_, i) => stores[i % 2]?.take('t:exact:a', take)));
  assert.equal(taken.filter((each) => each?.taken === true).length, 50);
  assert.equal(redis.command('--raw', 'get', keyOf('t:exact:')), '50');
});

test('what a request brought is not written to Redis', async (t) => {
  const store = openStores(t).get(policy(onRedis()));
  await store.add('limit-count:routes/1:0f:Bearer sk-secret', 1, minute);
  assert.match(keyOf('limit-count:routes/1:'), /^weir:limit-count:routes\/1:[\w-]{43}$/);
  assert.doesNotMatch(redis.command('--raw', 'keys', '*'), /secret/);
});

function keyOf(start: string): string {
  return redis.command('--raw', 'keys', `weir:${start}*`);
}

test('the same settings share one connection, others have their own', async (t) => {
  await using own = await TestRedis.start();
  const stores = openStores(t);
  const conf = onRedis({ redis_port: own.port });
  await stores.get(policy(conf)).read('t:a:b', minute);
  await stores.get(policy({ ...conf, allow_degradation: true })).read('t:a:b', minute);
  assert.equal(connectionsTo(own), 1);
  await stores.get(policy({ ...conf, redis_database: 3 })).read('t:a:b', minute);
  assert.equal(connectionsTo(own), 2);
});

test('a connection that is not used is closed, and made anew when it is', async (t) => {
  await using own = await TestRedis.start();
  // Shorter than the schema allows, for the test's sake.
  const conf = policy(onRedis({ redis_port: own.port, redis_keepalive_timeout: 50 }));
  const store = openStores(t).get(conf);
  await store.add('t:a:b', 1, minute);
  await eventually(() => connectionsTo(own) === 0);
  assert.equal((await store.add('t:a:b', 1, minute)).used, 2);
});

/** Without the one that asks. */
function connectionsTo(server: TestRedis): number {
  return server.command('client', 'list', 'type', 'normal').split('\n').length - 1;
}

test('scripts that Redis has forgotten are sent again', async (t) => {
  const store = openStores(t).get(policy(onRedis()));
  await store.add('t:script:a', 1, minute);
  redis.command('script', 'flush');
  assert.equal((await store.add('t:script:a', 1, minute)).used, 2);
});

describe('a Redis with TLS', () => {
  let own: TestRedis;
  before(async () => {
    const { certFile, keyFile } = serverCertificate;
    own = await TestRedis.start({
      settings: { 'tls-cert-file': certFile, 'tls-key-file': keyFile, 'tls-auth-clients': 'no' },
      tls: true,
    });
  });
  after(() => own[Symbol.asyncDispose]());

  for (const [name, verify, ca, reason] of [
    ['is not verified unless that is asked for', false, undefined, null],
    ['is verified', true, testCa, null],
    ['is refused with a certificate that nobody trusts', true, undefined, /unable to verify|self-signed/],
  ] as const) {
    test(name, async (t) => {
      const conf = policy(onRedis({ redis_port: own.tlsPort, redis_ssl: true, redis_ssl_verify: verify }));
      const store = openStores(t, silentLog, ca).get(conf);
      if (reason === null) assert.equal((await store.read('t:a:b', minute)).used, 0);
      else await assert.rejects(async () => store.read('t:a:b', minute), reason);
    });
  }
});

// Each has servers of its own, and waits for them most of the time.
describe('servers that fail', { concurrency: true }, () => {
  test('a Redis that hangs costs a call its timeout, the next ones nothing, and recovers by itself', async (t) => {
    await using own = await TestRedis.start();
    const { log, lines } = recordingLog();
    const store = openStores(t, log).get(policy(onRedis({ redis_port: own.port, redis_timeout: 1000 })));
    await store.add('t:a:b', 1, minute);
    own.pause();
    await assert.rejects(
      async () => store.add('t:a:b', 1, minute),
      /^WindowStoreError: redis:\/\/127.*: no answer within 1000 ms$/,
    );
    const start = performance.now();
    for (let i = 0; i < 1000; i++) await assert.rejects(async () => store.add('t:a:b', 1, minute), WindowStoreError);
    assert.ok(performance.now() - start < 20_000, 'a thousand calls would have waited 1000 s');
    own.resume();
    assert.ok((await untilItAnswers(store)) < 3000);
    assert.deepEqual(
      lines.map((line) => (JSON.parse(line) as { level: string }).level),
      ['error', 'warn'],
    );
  });

  test('a Redis that hangs for longer than a connection is kept is found again', async (t) => {
    await using own = await TestRedis.start();
    const store = openStores(t).get(policy(onRedis({ redis_port: own.port, redis_timeout: 1000 })));
    await store.add('t:a:b', 1, minute);
    own.pause();
    await assert.rejects(async () => store.add('t:a:b', 1, minute), WindowStoreError);
    await new Promise((resolve) => setTimeout(resolve, 2500));
    own.resume();
    await untilItAnswers(store);
  });

  for (const [name, reason, refuse, accept] of [
    [
      'has become a replica',
      'READONLY',
      (own) => own.ask('replicaof', '127.0.0.1', '1'),
      (own) => own.ask('replicaof', 'no', 'one'),
    ],
    [
      'has no memory left',
      'OOM',
      (own) => own.ask('config', 'set', 'maxmemory', '1'),
      (own) => own.ask('config', 'set', 'maxmemory', '0'),
    ],
    [
      'lacks replicas',
      'NOREPLICAS',
      (own) => own.ask('config', 'set', 'min-replicas-to-write', '1'),
      (own) => own.ask('config', 'set', 'min-replicas-to-write', '0'),
    ],
    [
      'forbids to count',
      "can't run this command",
      (own) => own.ask('acl', 'setuser', 'default', '-incrbyfloat'),
      (own) => own.ask('acl', 'setuser', 'default', '+incrbyfloat'),
    ],
  ] as readonly (readonly [string, string, RedisChange, RedisChange])[]) {
    test(`a Redis that ${name} is not read either until it counts again`, async (t) => {
      await using own = await TestRedis.start();
      const { log, lines } = recordingLog();
      const store = openStores(t, log).get(policy(onRedis({ redis_port: own.port })));
      await store.add('t:a:b', 1, minute);
      await refuse(own);
      assert.equal((await store.read('t:a:b', minute)).used, 1, 'nobody knows yet');
      await assert.rejects(async () => store.add('t:a:b', 1, minute), new RegExp(reason));
      for (let i = 0; i < 20; i++) {
        await assert.rejects(async () => store.read('t:a:b', minute), new RegExp(reason));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      assert.equal(lines.length, 1, lines.join('\n'));
      await accept(own);
      await untilItAnswers(store);
      assert.equal((await store.add('t:a:b', 1, minute)).used, 2);
      assert.deepEqual(
        lines.map((line) => (JSON.parse(line) as { level: string }).level),
        ['error', 'warn'],
      );
      assert.equal(await own.ask('dbsize'), '1', 'trying leaves nothing behind');
    });
  }

  test('a key that somebody else has written to harms no other, and is not logged with every call', async (t) => {
    await using own = await TestRedis.start();
    const { log, lines } = recordingLog();
    const store = openStores(t, log).get(policy(onRedis({ redis_port: own.port })));
    await store.add('t:a:b', 1, minute);
    await own.ask('rename', await own.ask('keys', '*'), 'old');
    await store.add('t:a:c', 1, minute);
    const key = (await own.ask('keys', 'weir:*')).trim();
    await own.ask('del', key);
    await own.ask('lpush', key, 'x');
    for (let i = 0; i < 10; i++) {
      await assert.rejects(async () => store.add('t:a:c', 1, minute), /WRONGTYPE/);
      await store.add('t:a:b', 1, minute);
    }
    assert.equal(lines.length, 1, lines.join('\n'));
  });

  for (const [name, settings, database] of [
    ['that Redis does not have', { databases: '4' }, 99],
    ['that the user may not select', { user: 'default on nopass ~* +@all -select' }, 3],
  ] as const) {
    test(`a database ${name} is never replaced by another one`, async (t) => {
      await using own = await TestRedis.start({ settings });
      const { log, lines } = recordingLog();
      const conf = policy(onRedis({ redis_port: own.port, redis_database: database }));
      const store = openStores(t, log).get(conf);
      for (let i = 0; i < 20; i++) {
        await assert.rejects(async () => store.add('t:a:b', 1, minute), /\/\d+: the database cannot be selected: /);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      assert.equal(lines.length, 1, lines.join('\n'));
      assert.doesNotMatch(await own.ask('info', 'keyspace'), /keys=/);
    });
  }

  test('a database that may be selected later is used then', async (t) => {
    await using own = await TestRedis.start({ settings: { user: 'default on nopass ~* +@all -select' } });
    const store = openStores(t).get(policy(onRedis({ redis_port: own.port, redis_database: 3 })));
    await assert.rejects(async () => store.add('t:a:b', 1, minute), WindowStoreError);
    await own.ask('acl', 'setuser', 'default', '+select');
    await untilItAnswers(store);
    await store.add('t:a:b', 1, minute);
    await own.restart();
    await own.ask('acl', 'setuser', 'default', '+select');
    await untilItAnswers(store);
    await store.add('t:a:b', 1, minute);
    assert.match(await own.ask('info', 'keyspace'), /^db3:keys=1,/m);
    assert.doesNotMatch(await own.ask('info', 'keyspace'), /^db0:/m);
  });

  test('a Redis that was killed fails calls at once, and recovers by itself', async (t) => {
    await using own = await TestRedis.start();
    const { log, lines } = recordingLog();
    const store = openStores(t, log).get(policy(onRedis({ redis_port: own.port })));
    await store.add('t:a:b', 1, minute);
    await own.kill();
    await assert.rejects(async () => store.add('t:a:b', 1, minute), WindowStoreError);
    await own.restart();
    await untilItAnswers(store);
    assert.equal((await store.read('t:a:b', minute)).used, 0, 'it has begun anew');
    assert.equal(lines.length, 2, lines.join('\n'));
  });

  test('a Redis that is not there yet is found when it comes', async (t) => {
    await using own = await TestRedis.start();
    await own.kill();
    const store = openStores(t).get(policy(onRedis({ redis_port: own.port })));
    await assert.rejects(async () => store.add('t:a:b', 1, minute), /ECONNREFUSED/);
    await own.restart();
    await untilItAnswers(store);
  });

  test('a connection that Redis closes is made anew', async (t) => {
    await using own = await TestRedis.start();
    const { log, lines } = recordingLog();
    const store = openStores(t, log).get(policy(onRedis({ redis_port: own.port })));
    await store.add('t:a:b', 1, minute);
    await own.ask('client', 'kill', 'type', 'normal', 'skipme', 'yes');
    await untilItAnswers(store);
    assert.ok(!lines.some((line) => line.includes('ECONN')), lines.join('\n'));
  });

  describe('a Redis cluster', { concurrency: 1 }, () => {
    let cluster: Awaited<ReturnType<typeof startRedisCluster>>;
    before(async () => {
      cluster = await startRedisCluster();
    });
    after(() => cluster[Symbol.asyncDispose]());

    const onCluster = (conf: Partial<PolicyConf> = {}): PolicyConf =>
      policy({
        policy: 'redis-cluster',
        redis_cluster_nodes: cluster.nodes.slice(0, 2).map(({ port }) => `127.0.0.1:${port}`),
        redis_cluster_name: 'counters',
        ...conf,
      });

    test('every key is counted on its node', async (t) => {
      const store = openStores(t).get(onCluster());
      await Promise.all(Array.from({ length: 60 }, async (_, i) => store.add(`t:c:${i % 30}`, 1, minute)));
      for (let i = 0; i < 30; i++) assert.equal((await store.read(`t:c:${i}`, minute)).used, 2);
      for (const node of cluster.nodes) assert.notEqual(await node.ask('dbsize'), '0');
    });

    test('a node that hangs does not keep those from counting that answer', async (t) => {
      const { log, lines } = recordingLog();
      const store = openStores(t, log).get(onCluster({ redis_timeout: 1000 }));
      const add = (i: number) =>
        Promise.resolve(store.add(`t:h:${i}`, 1, minute)).then(
          () => true,
          () => false,
        );
      const all = (): Promise<boolean[]> => Promise.all(Array.from({ length: 30 }, (_, i) => add(i)));
      assert.ok((await all()).every(Boolean));
      const [paused] = cluster.nodes;
      paused?.pause();
      await all();
      const answers = await all();
      assert.ok(answers.some(Boolean) && !answers.every(Boolean), String(answers));
      paused?.resume();
      await eventually(async () => (await all()).every(Boolean));
      assert.match(lines[0] ?? '', /redis-cluster counters.*127\.0\.0\.1/);
    });
  });

  test('behind sentinels the replica takes over when the master is lost', async (t) => {
    await using setUp = await startRedisSentinel();
    const store = openStores(t).get(
      policy({
        policy: 'redis-sentinel',
        redis_sentinels: [{ host: '127.0.0.1', port: setUp.sentinel.port }],
        redis_master_name: setUp.name,
      }),
    );
    await store.add('t:s:a', 7, minute);
    await eventually(async () => (await setUp.replica.ask('dbsize')) === '1');
    await setUp.master.kill();
    await untilItAnswers(store, 10_000);
    assert.equal((await store.add('t:s:a', 1, minute)).used, 8);
  });
});

describe('a Redis with a password', () => {
  let own: TestRedis;
  before(async () => {
    own = await TestRedis.start({ settings: { requirepass: 'right-password', user: 'app on >app-password ~* +@all' } });
  });
  after(() => own[Symbol.asyncDispose]());

  for (const [name, credentials] of [
    ['the password', { redis_password: 'right-password' }],
    ['a user of the ACL', { redis_username: 'app', redis_password: 'app-password' }],
  ] as const) {
    test(`${name} opens it`, async (t) => {
      const store = openStores(t).get(policy(onRedis({ redis_port: own.port, ...credentials })));
      assert.equal((await store.add(`t:a:${name}`, 1, minute)).used, 1);
    });
  }

  for (const [name, credentials, reason] of [
    ['a wrong password', { redis_password: 'wrong-password' }, 'WRONGPASS'],
    ['no password', {}, 'NOAUTH'],
  ] as const) {
    test(`${name} is told in the log, without a password`, async (t) => {
      const { log, lines } = recordingLog();
      const store = openStores(t, log).get(policy(onRedis({ redis_port: own.port, ...credentials })));
      await assert.rejects(async () => store.add('t:a:b', 1, minute), new RegExp(reason));
      await assert.rejects(async () => store.add('t:a:b', 1, minute), WindowStoreError);
      assert.equal(lines.length, 1);
      assert.match(lines[0] ?? '', new RegExp(`"error".*redis://127.0.0.1:${own.port}/0.*${reason}`));
      assert.doesNotMatch(lines.join('\n'), /(right|wrong|app)-password/);
    });
  }
});
