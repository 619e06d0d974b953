import { WeirError } from '../../base/errors.ts';
import { definePlugin, type PluginEnv, type Step } from '../../pipeline/define-plugin.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import type { Reply } from '../../pipeline/reply.ts';
import { runSteps } from '../../pipeline/run.ts';
import { resolvePluginVariable } from '../../pipeline/variables.ts';
import { counterScope } from '../../rate-limit/counter-scope.ts';
import { compileLimitKey } from '../../rate-limit/limit-key.ts';
import { compileLimitQuota } from '../../rate-limit/limit-quota.ts';
import { setQuotaHeaders, toFieldName, type QuotaHeaders } from '../../rate-limit/quota-headers.ts';
import type { TakenWindow } from '../../rate-limit/window-store.ts';
import { compileTemplate } from '../../router/template.ts';
import { createLimitAnswers } from '../limit-answers.ts';
import { warnOfDifferentGroup } from './group.ts';
import { checkLimitCount, limitCountSchema, type LimitCountConf } from './schema.ts';

/** Lets so many requests pass in a window of time. */
export const limitCount = definePlugin({
  name: 'limit-count',
  priority: 1002,
  version: 0.4,
  summary: 'Lets a number of requests pass in a window of time, and refuses the others.',
  schema: limitCountSchema,
  check: checkLimitCount,
  create(conf, env) {
    const scope = scopeOf(conf, env);
    const { rules } = conf;
    if (rules === undefined) {
      const { count = 0, time_window = 0, key, key_type } = conf;
      const keyOf = compileLimitKey(key, key_type, resolvePluginVariable);
      return {
        access: compileLimit(
          { field: '', count, time_window, keyOf, headers: headersOf('X-RateLimit') },
          { conf, env, scope },
        ),
      };
    }
    const limits = rules.map(({ count, time_window, key, header_prefix = '' }, index) => {
      const template = compileTemplate(key, resolvePluginVariable);
      const headers = headersOf(`X-${toFieldName(header_prefix) || index + 1}-RateLimit`);
      return compileLimit(
        {
          field: `rules[${index}].`,
          count,
          time_window,
          headers,
          keyOf(ctx) {
            const { text, resolvedCount } = template.resolve(ctx);
            return resolvedCount === 0 ? null : text;
          },
        },
        { conf, env, scope: `${scope}:${index + 1}` },
      );
    });
    return { access: (ctx) => runSteps(limits, ctx) };
  },
});

interface Limit {
  /** What stands in front of the names of its fields: `rules[0].`. */
  readonly field: string;
  readonly count: number | string;
  readonly time_window: number | string;
  /** What a request is counted by; null: it is not subject to this limit. */
  readonly keyOf: (ctx: RequestContext) => string | null;
  readonly headers: QuotaHeaders;
}

interface LimitParts {
  readonly conf: LimitCountConf;
  readonly env: PluginEnv;
  readonly scope: string;
}

function compileLimit(limit: Limit, { conf, env, scope }: LimitParts): Step {
  const { field, keyOf, headers } = limit;
  const quota = compileLimitQuota(
    [`${field}count`, limit.count],
    [`${field}time_window`, limit.time_window],
    resolvePluginVariable,
  );
  const store = env.windowStores.get(conf);
  const answers = createLimitAnswers(conf);
  const show = conf.show_limit_quota_header;

  function decide(ctx: RequestContext, max: number, window: TakenWindow): Reply | undefined {
    if (show) {
      const remaining = window.taken ? max - window.used : 0;
      setQuotaHeaders(ctx.exchange, headers, { limit: max, remaining, resetSeconds: Math.ceil(window.resetMs / 1000) });
    }
    return window.taken ? undefined : answers.rejected(ctx);
  }

  return (ctx) => {
    const key = keyOf(ctx);
    if (key === null) return undefined;
    const resolved = quota.resolve(ctx);
    if (typeof resolved === 'string') return answers.undecided(ctx, new WeirError('RATE_LIMIT_VALUE', [resolved]));
    const { limit: max, windowMs } = resolved;
    const window = store.take(`${scope}:${key}`, { amount: 1, limit: max, windowMs });
    return window instanceof Promise
      ? window.then(
          (taken) => decide(ctx, max, taken),
          (error: unknown) => answers.undecided(ctx, error),
        )
      : decide(ctx, max, window);
  };
}

/** A group's counters are those of the group whatever becomes of its routes. */
function scopeOf(conf: LimitCountConf, { owner, configurationLog }: PluginEnv): string {
  const scope = counterScope('limit-count', owner, conf);
  if (conf.group === undefined) return scope;
  warnOfDifferentGroup(conf.group, { owner, conf, log: configurationLog });
  return `limit-count:groups/${conf.group}`;
}

function headersOf(prefix: string): QuotaHeaders {
  return { limit: `${prefix}-Limit`, remaining: `${prefix}-Remaining`, reset: `${prefix}-Reset` };
}
