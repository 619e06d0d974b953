import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestContext } from '../../pipeline/context.ts';
import { WindowStoreError, type Take, type TakenWindow, type WindowStore } from '../../rate-limit/window-store.ts';
import { createLimitAnswers } from '../limit-answers.ts';
import { countBy, type CountLimit } from './claim.ts';

/** A store like a Redis, which answers when it is told to. */
class LateStore implements Pick<WindowStore, 'take' | 'add'> {
  readonly used = new Map<string, number>();
  readonly asked: string[] = [];
  readonly #gate = Promise.withResolvers<void>();
  /** The key that cannot be reached. */
  awayKey = '';
  resetMs = 60_000;

  async take(key: string, { amount, limit }: Take): Promise<TakenWindow> {
    this.asked.push(key);
    await this.#gate.promise;
    if (key === this.awayKey) throw new WindowStoreError('no answer');
    const used = this.used.get(key) ?? 0;
    const taken = used + amount <= limit;
    if (taken) this.used.set(key, used + amount);
    return { taken, used: taken ? used + amount : used, resetMs: this.resetMs };
  }

  async add(key: string, amount: number): Promise<{ used: number; resetMs: number }> {
    const used = (this.used.get(key) ?? 0) + amount;
    this.used.set(key, used);
    return { used, resetMs: this.resetMs };
  }

  answer(): void {
    this.#gate.resolve();
  }
}

interface Stage {
  readonly store: LateStore;
  /** Fields of the answer. */
  readonly fields: Map<string, string>;
  /** @returns The status; undefined: the request passes. */
  readonly ask: () => Promise<number | undefined>;
}

/** Limits of which each has one counter, by their names, with what they allow. */
function stageOf(limits: Readonly<Record<string, number>>): Stage {
  const store = new LateStore();
  const answers = createLimitAnswers({ rejected_code: 429, allow_degradation: false });
  const compiled = Object.entries(limits).map(([name, limit]): CountLimit => {
    const constant = { limit, windowMs: 60_000 };
    return {
      scope: name,
      keyOf: () => 'key',
      quota: { constant, resolve: () => constant },
      store: store as unknown as WindowStore,
      answers,
      headers: { limit: `${name}-limit`, remaining: `${name}-remaining`, reset: `${name}-reset` },
    };
  });
  const fields = new Map<string, string>();
  const exchange = { setField: (name: string, value: string) => fields.set(name, value) };
  const ask = async (): Promise<number | undefined> => {
    const ctx = { exchange, errorCode: null } as unknown as RequestContext;
    return (await countBy(compiled, ctx))?.status;
  };
  return { store, fields, ask };
}

test('a store that answers late is asked for all limits at once', async () => {
  const { store, ask } = stageOf({ a: 1, b: 1, c: 1 });
  const asked = ask();
  assert.deepEqual(store.asked, ['a:key', 'b:key', 'c:key']);
  store.answer();
  assert.equal(await asked, undefined);
});

test('what is behind the limit that refuses has not counted the request, and is not shown', async () => {
  const { store, ask, fields } = stageOf({ a: 9, b: 1, c: 9 });
  store.answer();
  assert.equal(await ask(), undefined);
  fields.clear();
  assert.equal(await ask(), 429);
  assert.deepEqual(
    [...store.used],
    [
      ['a:key', 2],
      ['b:key', 1],
      ['c:key', 1],
    ],
  );
  assert.deepEqual(
    [...fields.keys()].filter((name) => name.endsWith('limit')),
    ['a-limit', 'b-limit'],
  );
});

test('the first limit that cannot be told refuses in its turn', async () => {
  const { store, ask } = stageOf({ a: 9, b: 9, c: 9 });
  store.awayKey = 'b:key';
  store.answer();
  assert.equal(await ask(), 500);
  assert.deepEqual([store.used.get('a:key'), store.used.get('c:key')], [1, 0]);
});

test('a window that is about to end is not written to again: it might be the next one', async () => {
  const { store, ask } = stageOf({ a: 0, b: 9 });
  store.resetMs = 999;
  store.answer();
  assert.equal(await ask(), 429);
  assert.equal(store.used.get('b:key'), 1);
});
