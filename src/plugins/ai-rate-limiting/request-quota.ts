import type { RequestContext, TokenQuota } from '../../pipeline/context.ts';
import type { StepResult } from '../../pipeline/define-plugin.ts';
import type { Reply } from '../../pipeline/reply.ts';
import { removeQuotaHeaders, setQuotaHeaders } from '../../rate-limit/quota-headers.ts';
import type { LimitAnswers } from '../limit-answers.ts';
import { Standings, type LimitSource, type Standing } from './standings.ts';
import type { TokenCost } from './token-cost.ts';
import type { AppliedLimit } from './token-limits.ts';

/** A configuration of `ai-rate-limiting`, compiled. */
export interface QuotaPolicy extends LimitSource {
  readonly cost: TokenCost;
  readonly answers: LimitAnswers;
  /** Requests pass when their limits, or how much is used, are not known. */
  readonly allowsDegradation: boolean;
  readonly showsHeaders: boolean;
}

/**
 * The limits of one request: looked at before it is sent, and charged when its answer has ended. So the request that uses
 * up a limit still gets its answer, and requests that run at the same time may together exceed it.
 */
export class RequestQuota implements TokenQuota {
  readonly policy: QuotaPolicy;
  readonly #standings: Standings;
  #isDecided = false;
  /** The limits that the client is told. */
  #shown: readonly AppliedLimit[] = [];

  constructor(policy: QuotaPolicy) {
    this.policy = policy;
    this.#standings = new Standings(policy);
  }

  /** Lets the request pass to the instance that was chosen, or refuses it. */
  admit(ctx: RequestContext): StepResult {
    if (ctx.target === null) return undefined;
    const standing = this.#standings.of(ctx, ctx.target.name);
    return standing instanceof Promise ? standing.then((late) => this.#decide(ctx, late)) : this.#decide(ctx, standing);
  }

  hasRoom(ctx: RequestContext, instance: string): boolean | Promise<boolean> {
    // Where the limits are not about instances, another one would not help.
    if (!this.policy.limits.areByInstance) return true;
    const standing = this.#standings.of(ctx, instance);
    return standing instanceof Promise ? standing.then((late) => this.#isOpen(late)) : this.#isOpen(standing);
  }

  switchTo(ctx: RequestContext, instance: string): void {
    const standing = this.#standings.known(instance);
    if (this.policy.limits.areByInstance && standing !== undefined) this.#show(ctx, standing);
  }

  /** Charges what an answer has used to the limits of the instance that gave it. */
  charge(ctx: RequestContext): void {
    const instance = ctx.attempts.at(-1)?.target;
    if (instance === undefined || ctx.llm === null) return;
    const tokens = this.policy.cost(ctx.llm);
    if (tokens === null) {
      this.policy.log.write('cost_expr', {
        level: 'warn',
        message: 'ai-rate-limiting: cost_expr gives no finite number, so nothing is counted',
        fields: { request_id: ctx.id, route_id: ctx.route?.id },
      });
    } else if (tokens > 0) {
      for (const limit of this.#limitsOf(ctx, instance)) this.#add(limit, tokens);
    }
  }

  #decide(ctx: RequestContext, standing: Standing): Reply | undefined {
    this.#isDecided = true;
    const { answers } = this.policy;
    if (standing.failure !== null) return answers.undecided(ctx, standing.failure);
    this.#show(ctx, standing);
    return isExhausted(standing) ? answers.rejected(ctx) : undefined;
  }

  #isOpen(standing: Standing): boolean {
    if (standing.failure === null) return !isExhausted(standing);
    // `admit` refuses the first choice, and tells the reason. It does not see those after it.
    return this.policy.allowsDegradation || !this.#isDecided;
  }

  #show({ exchange }: RequestContext, { limits, windows }: Standing): void {
    if (!this.policy.showsHeaders) return;
    for (const { headers } of this.#shown) removeQuotaHeaders(exchange, headers);
    this.#shown = limits;
    for (const [index, window] of windows.entries()) {
      const shown = limits[index];
      if (shown === undefined) continue;
      const { limit, headers } = shown;
      const remaining = Math.max(0, limit - window.used);
      // Rounded up: who waits as long as it says comes after the end of the window.
      setQuotaHeaders(exchange, headers, { limit, remaining, resetSeconds: Math.ceil(window.resetMs / 10) / 100 });
    }
  }

  #limitsOf(ctx: RequestContext, instance: string): readonly AppliedLimit[] {
    const known = this.#standings.known(instance);
    if (known !== undefined) return known.limits;
    const limits = this.policy.limits.of(ctx, instance);
    return typeof limits === 'string' ? [] : limits;
  }

  #add({ key, windowMs }: AppliedLimit, tokens: number): void {
    const added = this.policy.store.add(key, tokens, windowMs);
    // Nobody waits for it, for the client has its answer. A store that is away has logged that itself.
    if (added instanceof Promise) added.catch(() => {});
  }
}

function isExhausted({ limits, windows }: Standing): boolean {
  return windows.some(({ used }, index) => used >= (limits[index]?.limit ?? Infinity));
}
