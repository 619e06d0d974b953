import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { silentLog } from '../base/log.ts';
import type { RedisClient, RedisServer } from './redis-client.ts';
import { RedisLink } from './redis-link.ts';
import { readWindow } from './redis-script.ts';

const call = { script: readWindow, key: 'weir:test', args: [] };

/** A Redis without a network, which connects only once it is told to be there. */
class FakeRedis extends EventEmitter {
  status = 'connecting';
  connects = 0;
  readonly #whenConnecting: (redis: FakeRedis) => void;

  constructor(whenConnecting: (redis: FakeRedis) => void = () => {}) {
    super();
    this.#whenConnecting = whenConnecting;
  }

  serverWith(times: Pick<RedisServer, 'timeoutMs' | 'idleMs'>): RedisServer {
    return { name: 'fake', ...times, connect: () => this.#connect() };
  }

  isThere(): void {
    this.status = 'ready';
    this.emit('ready');
  }

  evalsha(): Promise<readonly unknown[]> {
    return Promise.resolve(['7', 1000]);
  }

  disconnect(): void {
    this.removeAllListeners();
  }

  async #connect(): Promise<RedisClient> {
    this.connects++;
    this.#whenConnecting(this);
    if (this.status === 'ready') setImmediate(() => this.emit('ready'));
    return {
      commands: this as unknown as RedisClient['commands'],
      serverOf: () => '',
      selectDatabase: async () => {},
    };
  }
}

function open(t: TestContext, server: RedisServer): RedisLink {
  const link = new RedisLink(server, silentLog);
  t.after(() => link.close());
  return link;
}

async function untilItAnswers(link: RedisLink): Promise<void> {
  const end = performance.now() + 5000;
  for (;;) {
    const reply = await link.run(call).catch((error: Error) => error);
    if (!(reply instanceof Error)) return assert.deepEqual(reply, ['7', 1000]);
    assert.ok(performance.now() < end, `still away: ${reply.message}`);
    await setTimeout(5);
  }
}

test('a connection is not idle while a call waits for it, however long that may', async (t) => {
  const redis = new FakeRedis();
  const link = open(t, redis.serverWith({ timeoutMs: 100, idleMs: 20 }));
  await assert.rejects(link.run(call), { message: 'fake: no answer within 100 ms' });
  redis.isThere();
  await untilItAnswers(link);
});

test('a connection that could not even be begun is begun again', async (t) => {
  const redis = new FakeRedis(({ connects }) => {
    if (connects === 1) throw new Error('the certificate cannot be read');
  });
  redis.status = 'ready';
  const link = open(t, redis.serverWith({ timeoutMs: 1000, idleMs: 10_000 }));
  await assert.rejects(link.run(call), { message: 'fake: the certificate cannot be read' });
  await untilItAnswers(link);
});
