import assert from 'node:assert/strict';
import type { LookupAddress } from 'node:dns';
import { test, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { silentLog, type Log } from '../base/log.ts';
import { createResolver } from './resolver.ts';

function v4(address: string): LookupAddress[] {
  return [{ address, family: 4 }];
}

/** A name server that the test scripts: `answer` is what the next lookups give; `calls` are the names asked for. */
function scriptedLookup(answer: LookupAddress[] | Error) {
  const script = {
    answer,
    calls: [] as string[],
    hold: null as Promise<void> | null,
    lookup: async (host: string) => {
      script.calls.push(host);
      const current = script.answer;
      await script.hold;
      if (current instanceof Error) throw current;
      return current;
    },
  };
  return script;
}

function notFound(): Error {
  return Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' });
}

function recordingLog(): Log & { lines: string[] } {
  const lines: string[] = [];
  return {
    ...silentLog,
    lines,
    warn: (text) => lines.push(`warn ${text}`),
    notice: (text) => lines.push(`notice ${text}`),
  };
}

for (const [host, expected] of [
  ['10.1.2.3', [{ address: '10.1.2.3', family: 4 }]],
  ['::1', [{ address: '::1', family: 6 }]],
  [
    'localhost',
    [
      { address: '127.0.0.1', family: 4 },
      { address: '::1', family: 6 },
    ],
  ],
] as const) {
  test(`${host} needs no lookup`, async () => {
    const dns = scriptedLookup(notFound());
    const resolver = createResolver({ log: silentLog, lookup: dns.lookup });
    assert.deepEqual(await resolver.resolve(host), expected);
    assert.deepEqual(dns.calls, []);
  });
}

test('all addresses of a name come back in the order of the lookup', async () => {
  const all = [...v4('10.0.0.2'), { address: '2001:db8::1', family: 6 }, ...v4('10.0.0.1')];
  const dns = scriptedLookup(all);
  const resolver = createResolver({ log: silentLog, lookup: dns.lookup });
  assert.deepEqual(await resolver.resolve('a.example'), all);
});

test('without a lookup of its own the operating system is asked, which knows /etc/hosts', async () => {
  const resolver = createResolver({ log: silentLog });
  // Only the lower-case form is answered without a lookup, and this one needs no name server.
  const addresses = await resolver.resolve('LOCALHOST');
  assert.ok(addresses.some(({ address }) => address === '127.0.0.1' || address === '::1'));
});

test('calls at the same time share one lookup, later ones its answer', async () => {
  const dns = scriptedLookup(v4('10.0.0.1'));
  const resolver = createResolver({ log: silentLog, lookup: dns.lookup });
  await Promise.all([resolver.resolve('a.example'), resolver.resolve('a.example'), resolver.resolve('a.example')]);
  await resolver.resolve('a.example');
  assert.deepEqual(dns.calls, ['a.example']);
});

/** Time for the test of one name: only `pass` moves it. */
function stoppedClock(t: TestContext): { pass(ms: number): void } {
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  return {
    pass(ms) {
      now += ms;
    },
  };
}

test('a name that changes is followed; the old answer serves while one lookup renews it', async (t) => {
  const clock = stoppedClock(t);
  const dns = scriptedLookup(v4('10.0.0.1'));
  const resolver = createResolver({ log: silentLog, lookup: dns.lookup });
  await resolver.resolve('a.example');
  dns.answer = v4('10.0.0.2');
  clock.pass(29_999);
  assert.deepEqual(await resolver.resolve('a.example'), v4('10.0.0.1'));
  assert.equal(dns.calls.length, 1);

  clock.pass(1);
  const held = Promise.withResolvers<void>();
  dns.hold = held.promise;
  const duringRenewal = await Promise.all([resolver.resolve('a.example'), resolver.resolve('a.example')]);
  assert.deepEqual(duringRenewal, [v4('10.0.0.1'), v4('10.0.0.1')]);
  held.resolve();
  await nextTurn();
  assert.deepEqual(await resolver.resolve('a.example'), v4('10.0.0.2'));
  assert.equal(dns.calls.length, 2);
});

test('an answer older than twice its time is not served: the caller waits for the new one', async (t) => {
  const clock = stoppedClock(t);
  const dns = scriptedLookup(v4('10.0.0.1'));
  const resolver = createResolver({ log: silentLog, lookup: dns.lookup, ttlMs: 10 });
  await resolver.resolve('a.example');
  dns.answer = v4('10.0.0.2');
  clock.pass(20);
  assert.deepEqual(await resolver.resolve('a.example'), v4('10.0.0.2'));
});

test('while the name server fails the last addresses serve; the log says so once, and once that it is over', async (t) => {
  const clock = stoppedClock(t);
  const dns = scriptedLookup(v4('10.0.0.1'));
  const log = recordingLog();
  const resolver = createResolver({ log, lookup: dns.lookup });
  await resolver.resolve('a.example');
  dns.answer = notFound();
  for (let round = 0; round < 4; round += 1) {
    clock.pass(100_000);
    assert.deepEqual(await resolver.resolve('a.example'), v4('10.0.0.1'));
    await nextTurn();
  }
  assert.equal(dns.calls.length, 5);

  // From here on a lookup takes its time; nobody has to wait for it.
  clock.pass(100_000);
  const held = Promise.withResolvers<void>();
  dns.hold = held.promise;
  dns.answer = v4('10.0.0.2');
  assert.deepEqual(await resolver.resolve('a.example'), v4('10.0.0.1'));
  held.resolve();
  await nextTurn();
  assert.deepEqual(await resolver.resolve('a.example'), v4('10.0.0.2'));
  assert.equal(log.lines.length, 2);
  assert.match(log.lines[0] ?? '', /^warn a\.example does not resolve any more/);
  assert.match(log.lines[1] ?? '', /^notice a\.example resolves again/);
});

test('addresses that are too old do not serve, however long the name server fails', async (t) => {
  const clock = stoppedClock(t);
  const dns = scriptedLookup(v4('10.0.0.1'));
  const resolver = createResolver({ log: silentLog, lookup: dns.lookup });
  await resolver.resolve('a.example');
  dns.answer = notFound();
  clock.pass(599_999);
  assert.deepEqual(await resolver.resolve('a.example'), v4('10.0.0.1'));
  clock.pass(1);
  await assert.rejects(resolver.resolve('a.example'), { code: 'ENOTFOUND' });
  clock.pass(1000);
  await assert.rejects(resolver.resolve('a.example'), { code: 'ENOTFOUND' });
});

test('a renewal that fails while nobody waits for it is no unhandled rejection', async (t) => {
  const clock = stoppedClock(t);
  const dns = scriptedLookup(v4('10.0.0.1'));
  const resolver = createResolver({ log: silentLog, lookup: dns.lookup, maxStaleMs: 30_001 });
  await resolver.resolve('a.example');
  clock.pass(30_000);
  const held = Promise.withResolvers<void>();
  dns.hold = held.promise;
  dns.answer = notFound();
  assert.deepEqual(await resolver.resolve('a.example'), v4('10.0.0.1'));
  clock.pass(1);
  held.resolve();
  await nextTurn();
});

test('a name that does not exist is not asked for again at once, but soon', async (t) => {
  const clock = stoppedClock(t);
  const dns = scriptedLookup(notFound());
  const resolver = createResolver({ log: silentLog, lookup: dns.lookup });
  await assert.rejects(resolver.resolve('a.example'), { code: 'ENOTFOUND' });
  clock.pass(999);
  await assert.rejects(resolver.resolve('a.example'), { code: 'ENOTFOUND' });
  assert.equal(dns.calls.length, 1);
  clock.pass(1);
  dns.answer = v4('10.0.0.1');
  assert.deepEqual(await resolver.resolve('a.example'), v4('10.0.0.1'));
});

test('an answer without addresses is a failure', async () => {
  const resolver = createResolver({ log: silentLog, lookup: scriptedLookup([]).lookup });
  await assert.rejects(resolver.resolve('a.example'), { code: 'ENODATA' });
});

test('no more names than maxEntries are remembered', async () => {
  const dns = scriptedLookup(v4('10.0.0.1'));
  const resolver = createResolver({ log: silentLog, lookup: dns.lookup, maxEntries: 2 });
  for (const host of ['a', 'b', 'a', 'c', 'a', 'b']) await resolver.resolve(host);
  assert.deepEqual(dns.calls, ['a', 'b', 'c', 'b']);
});
