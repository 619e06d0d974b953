import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../../base/log.ts';
import { RepeatedLog } from '../../base/repeated-log.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import { WindowStoreError, type WindowState, type WindowStore } from '../../rate-limit/window-store.ts';
import { noUsage } from '../../llm/usage.ts';
import { createLimitAnswers } from '../limit-answers.ts';
import { RequestQuota } from './request-quota.ts';
import { compileTokenCost } from './token-cost.ts';
import { compileTokenLimits } from './token-limits.ts';

/** A store like a Redis: answers late, and can be away. */
class LateStore implements WindowStore {
  readonly used = new Map<string, number>();
  readonly calls: string[] = [];
  isAway = false;
  /** The end of the keys that cannot be read: one node of a cluster is away. */
  awayKeys: string | null = null;

  async read(key: string, windowMs: number): Promise<WindowState> {
    this.#called('read', key);
    return { used: this.used.get(key) ?? 0, resetMs: windowMs };
  }

  async add(key: string, amount: number, windowMs: number): Promise<WindowState> {
    this.#called('add', key);
    this.used.set(key, (this.used.get(key) ?? 0) + amount);
    return { used: this.used.get(key) ?? 0, resetMs: windowMs };
  }

  take(): never {
    throw new Error('nothing is taken before its cost is known');
  }

  leak(): never {
    throw new Error('tokens do not leak');
  }

  #called(what: string, key: string): void {
    // The part of a key that tells limits apart.
    this.calls.push(`${what} ${key.split(':').slice(3).join(':')}`);
    if (this.isAway || (this.awayKeys !== null && key.endsWith(this.awayKeys)))
      throw new WindowStoreError('redis 127.0.0.1:6379 does not answer');
  }
}

const base = {
  limit_strategy: 'total_tokens',
  show_limit_quota_header: true,
  rejected_code: 503,
  policy: 'local',
  allow_degradation: false,
} as const;

interface Stage {
  readonly store: LateStore;
  readonly quota: RequestQuota;
  readonly ctx: RequestContext;
  /** Fields of the answer. */
  readonly fields: Map<string, string>;
}

/** One request, for which `first` was chosen, and the quota of a configuration. */
function stageOf(conf: object, { isAway = false, target = 'first', log = silentLog } = {}): Stage {
  const store = new LateStore();
  store.isAway = isAway;
  const full = { ...base, ...conf } as Parameters<typeof compileTokenLimits>[0];
  const quota = new RequestQuota({
    limits: compileTokenLimits(full, 'routes/1'),
    cost: compileTokenCost(full),
    store,
    answers: createLimitAnswers(full),
    allowsDegradation: full.allow_degradation,
    showsHeaders: full.show_limit_quota_header,
    log: new RepeatedLog(log),
  });
  const fields = new Map<string, string>();
  const exchange = {
    setField: (name: string, value: string) => fields.set(name, value),
    removeField: (name: string) => fields.delete(name),
  };
  const ctx = { target: { name: target }, attempts: [], llm: null, exchange, errorCode: null };
  return { store, quota, ctx: ctx as unknown as RequestContext, fields };
}

/** The request was answered by an instance, which used so many tokens. */
function answered({ ctx, quota }: Stage, target: string, totalTokens: number): void {
  ctx.attempts.push({ target } as RequestContext['attempts'][number]);
  ctx.llm = { usage: { ...noUsage, totalTokens }, rawUsage: null } as unknown as RequestContext['llm'];
  quota.charge(ctx);
}

const all = { limit: 10, time_window: 60 };
const two = {
  instances: [
    { name: 'first', limit: 10, time_window: 60 },
    { name: 'second', limit: 20, time_window: 30 },
  ],
};

test('what balancing has asked already is not asked again', async () => {
  const { store, quota, ctx } = stageOf(two);
  assert.equal(await quota.hasRoom(ctx, 'first'), true);
  assert.equal(await quota.hasRoom(ctx, 'first'), true);
  assert.equal(await quota.admit(ctx), undefined);
  assert.equal(await quota.hasRoom(ctx, 'second'), true);
  assert.deepEqual(store.calls, ['read instance:first', 'read instance:second']);
});

test('a store that answers late is asked for all instances at once', async () => {
  const { store, quota, ctx } = stageOf({ ...all, ...two });
  const first = quota.hasRoom(ctx, 'first');
  assert.deepEqual(store.calls, ['read instance:first', 'read instance:second', 'read all']);
  assert.equal(await first, true);
  for (const instance of ['second', 'third']) assert.equal(await quota.hasRoom(ctx, instance), true);
  assert.equal(store.calls.length, 3);
});

test('a window that instances share is read once', async () => {
  const { store, quota, ctx } = stageOf(all);
  assert.equal(await quota.hasRoom(ctx, 'first'), true);
  assert.equal(await quota.hasRoom(ctx, 'second'), true);
  assert.deepEqual(store.calls, ['read all']);
});

test('a store that is away is asked once', async () => {
  const { store, quota, ctx } = stageOf(two, { isAway: true });
  await quota.hasRoom(ctx, 'first');
  await quota.hasRoom(ctx, 'second');
  assert.deepEqual(await quota.admit(ctx), { ...jsonError, body: '{"error_msg":"failed to limit count"}\n' });
  assert.equal(ctx.errorCode, 'RATE_LIMIT_STORE');
  assert.deepEqual(store.calls, ['read instance:first', 'read instance:second']);
});

const jsonError = { status: 500, fields: ['Content-Type', 'application/json'] };

test('while the store is away a first choice is left to be refused with the reason, and a later one has no room', async () => {
  const { quota, ctx, store } = stageOf(two);
  store.awayKeys = ':second';
  assert.equal(await quota.admit(ctx), undefined);
  assert.equal(await quota.hasRoom(ctx, 'second'), false);
  const early = stageOf(two, { isAway: true });
  assert.equal(await early.quota.hasRoom(early.ctx, 'first'), true);
});

test('with allow_degradation there is room as long as the store is away, and what is used is still reported to it', async () => {
  const stage = stageOf({ ...two, allow_degradation: true }, { isAway: true });
  const { quota, ctx, store, fields } = stage;
  assert.equal(await quota.admit(ctx), undefined);
  assert.equal(await quota.hasRoom(ctx, 'second'), true);
  assert.equal(fields.size, 0);
  store.isAway = false;
  answered(stage, 'first', 7);
  assert.deepEqual([...store.used.values()], [7]);
});

test('a charge that cannot be made harms nobody', async () => {
  const stage = stageOf(all);
  assert.equal(await stage.quota.admit(stage.ctx), undefined);
  stage.store.isAway = true;
  answered(stage, 'first', 7);
  await new Promise(setImmediate);
  assert.deepEqual(stage.store.calls, ['read all', 'add all']);
});

test('the client is told the limit of the instance that was tried last', async () => {
  const stage = stageOf(two);
  const { quota, ctx, fields } = stage;
  await quota.admit(ctx);
  assert.deepEqual(
    [...fields],
    [
      ['X-AI-RateLimit-Limit-first', '10'],
      ['X-AI-RateLimit-Remaining-first', '10'],
      ['X-AI-RateLimit-Reset-first', '60'],
    ],
  );
  await quota.hasRoom(ctx, 'second');
  quota.switchTo(ctx, 'second');
  assert.deepEqual(
    [...fields],
    [
      ['X-AI-RateLimit-Limit-second', '20'],
      ['X-AI-RateLimit-Remaining-second', '20'],
      ['X-AI-RateLimit-Reset-second', '30'],
    ],
  );
  answered(stage, 'second', 5);
  assert.deepEqual([...stage.store.used.values()], [5]);
  assert.equal(stage.store.calls.at(-1), 'add instance:second');
});

test('an instance that has no limit has room, and nothing is told of it', async () => {
  const { quota, ctx, fields } = stageOf(two);
  await quota.admit(ctx);
  assert.equal(quota.hasRoom(ctx, 'third'), true);
  quota.switchTo(ctx, 'third');
  assert.equal(fields.size, 0);
});

test('an instance that has no limit serves while the store is away', async () => {
  const { quota, ctx } = stageOf(two, { isAway: true, target: 'third' });
  assert.equal(await quota.hasRoom(ctx, 'first'), true);
  assert.equal(await quota.admit(ctx), undefined);
});

test('names of instances become names of fields', async () => {
  const name = 'größe 1:\r\nSet-Cookie: a=b';
  const { quota, ctx, fields } = stageOf(all, { target: name });
  await quota.admit(ctx);
  for (const field of fields.keys()) assert.match(field, /^X-AI-RateLimit-\w+-gr--e-1---Set-Cookie--a-b$/);
  assert.equal(fields.size, 3);
});

test('nothing is charged for a request that reached no instance', () => {
  const { quota, ctx, store } = stageOf(all);
  quota.charge(ctx);
  assert.deepEqual(store.calls, []);
});

test('a cost that is no number is not logged with every request', () => {
  const lines: string[] = [];
  const log = { ...silentLog, warn: (message: string) => void lines.push(message) };
  const { quota, ctx } = stageOf({ ...all, limit_strategy: 'expression', cost_expr: '0 / 0' }, { log });
  ctx.attempts.push({ target: 'first' } as RequestContext['attempts'][number]);
  ctx.llm = { usage: noUsage, rawUsage: {} } as unknown as RequestContext['llm'];
  for (let i = 0; i < 50; i++) quota.charge(ctx);
  assert.deepEqual(lines, ['ai-rate-limiting: cost_expr gives no finite number, so nothing is counted']);
});
