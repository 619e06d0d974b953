import { WeirError } from '../../base/errors.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import type { StepResult } from '../../pipeline/define-plugin.ts';
import type { Reply } from '../../pipeline/reply.ts';
import type { CompiledQuota } from '../../rate-limit/limit-quota.ts';
import { setQuotaHeaders, type QuotaHeaders } from '../../rate-limit/quota-headers.ts';
import type { TakenWindow, WindowStore } from '../../rate-limit/window-store.ts';
import type { LimitAnswers } from '../limit-answers.ts';

/** One limit of a configuration, compiled. */
export interface CountLimit {
  /** The beginning of the keys of its counters. */
  readonly scope: string;
  /** What a request is counted by; null: it is not subject to this limit. */
  readonly keyOf: (ctx: RequestContext) => string | null;
  readonly quota: CompiledQuota<RequestContext>;
  readonly store: WindowStore;
  readonly answers: LimitAnswers;
  /** How clients are told; null: they are not. */
  readonly headers: QuotaHeaders | null;
}

/** What a limit has said to a request, which does not know of it yet. */
interface Claim {
  /** Tells the client, and refuses the request if the limit does. */
  settle(): Reply | undefined;
  /** The request is refused by another limit and does not count for this one. */
  withdraw(): void;
}

/** A window that ends so soon may be another one when it is written to again. */
const shortestRestMs = 1000;

/**
 * Counts a request by several limits, in order: the first that is used up refuses it, and those behind it have not counted
 * it. A store that answers late is asked for all of them at once, so that a request waits for it once.
 */
export function countBy(limits: readonly CountLimit[], ctx: RequestContext): StepResult {
  for (const [index, limit] of limits.entries()) {
    const claim = claimOf(limit, ctx);
    if (claim instanceof Promise) {
      return settleInOrder([claim, ...limits.slice(index + 1).map((other) => claimOf(other, ctx))]);
    }
    const reply = claim?.settle();
    if (reply !== undefined) return reply;
  }
  return undefined;
}

async function settleInOrder(pending: readonly (Claim | null | Promise<Claim>)[]): Promise<Reply | undefined> {
  const claims = await Promise.all(pending.map((claim) => Promise.resolve(claim)));
  for (const [index, claim] of claims.entries()) {
    const reply = claim?.settle();
    if (reply === undefined) continue;
    for (const other of claims.slice(index + 1)) other?.withdraw();
    return reply;
  }
  return undefined;
}

/** @returns Null: the request is not subject to the limit. */
function claimOf(limit: CountLimit, ctx: RequestContext): Claim | null | Promise<Claim> {
  const key = limit.keyOf(ctx);
  if (key === null) return null;
  const quota = limit.quota.resolve(ctx);
  if (typeof quota === 'string') return undecided(limit, ctx, new WeirError('RATE_LIMIT_VALUE', [quota]));
  const counter = `${limit.scope}:${key}`;
  const { limit: max, windowMs } = quota;
  const window = limit.store.take(counter, { amount: 1, limit: max, windowMs });
  const decided = (taken: TakenWindow): Claim => ({
    settle: () => decide(limit, ctx, { max, window: taken }),
    withdraw: () => giveBack(limit.store, counter, taken),
  });
  if (!(window instanceof Promise)) return decided(window);
  return window.then(decided, (error: unknown) => undecided(limit, ctx, error));
}

interface Decision {
  readonly max: number;
  readonly window: TakenWindow;
}

function decide({ headers, answers }: CountLimit, ctx: RequestContext, { max, window }: Decision): Reply | undefined {
  if (headers !== null) {
    const remaining = window.taken ? max - window.used : 0;
    setQuotaHeaders(ctx.exchange, headers, { limit: max, remaining, resetSeconds: Math.ceil(window.resetMs / 1000) });
  }
  return window.taken ? undefined : answers.rejected(ctx);
}

function undecided({ answers }: CountLimit, ctx: RequestContext, error: unknown): Claim {
  return { settle: () => answers.undecided(ctx, error), withdraw: () => {} };
}

function giveBack(store: WindowStore, counter: string, { taken, resetMs }: TakenWindow): void {
  if (!taken || resetMs < shortestRestMs) return;
  const given = store.add(counter, -1, resetMs);
  // Nobody waits for it. A store that is away has logged that itself, and what it has counted too much ends with the window.
  if (given instanceof Promise) given.catch(() => {});
}
