import { RepeatedLog } from '../../base/repeated-log.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import { definePlugin } from '../../pipeline/define-plugin.ts';
import { createLimitAnswers } from '../limit-answers.ts';
import { RequestQuota, type QuotaPolicy } from './request-quota.ts';
import { aiRateLimitingSchema, checkAiRateLimiting } from './schema.ts';
import { compileTokenCost } from './token-cost.ts';
import { compileTokenLimits } from './token-limits.ts';

/** Limits the tokens that LLM calls of a route may use. */
export const aiRateLimiting = definePlugin({
  name: 'ai-rate-limiting',
  priority: 1030,
  version: 0.1,
  summary: 'Limits the tokens that requests to LLMs may use in a time.',
  schema: aiRateLimitingSchema,
  check: checkAiRateLimiting,
  create(conf, env) {
    const policy: QuotaPolicy = {
      limits: compileTokenLimits(conf, env.owner),
      cost: compileTokenCost(conf),
      store: env.windowStores.get(conf),
      allowsDegradation: conf.allow_degradation,
      showsHeaders: conf.show_limit_quota_header,
      answers: createLimitAnswers(conf),
      log: new RepeatedLog(env.log),
    };
    /** Null: that of another configuration of the plugin belongs to the request, or none. */
    const quotaOf = ({ tokenQuota }: RequestContext): RequestQuota | null =>
      tokenQuota instanceof RequestQuota && tokenQuota.policy === policy ? tokenQuota : null;
    const begin = (ctx: RequestContext): RequestQuota => {
      const quota = new RequestQuota(policy);
      ctx.tokenQuota = quota;
      return quota;
    };
    return {
      rewrite(ctx) {
        begin(ctx);
        return undefined;
      },
      // Where authentication comes late, the phase `rewrite` was that of the route, and this is the plugin of the consumer.
      access: (ctx) => (quotaOf(ctx) ?? begin(ctx)).admit(ctx),
      // Of a global rule and a route, both with the plugin, only the route's charges.
      log: (ctx) => quotaOf(ctx)?.charge(ctx),
    };
  },
});
