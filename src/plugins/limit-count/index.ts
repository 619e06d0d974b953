import { definePlugin, type PluginEnv, type Step } from '../../pipeline/define-plugin.ts';
import { resolvePluginVariable } from '../../pipeline/variables.ts';
import { counterScope } from '../../rate-limit/counter-scope.ts';
import { compileLimitKey } from '../../rate-limit/limit-key.ts';
import { compileLimitQuota } from '../../rate-limit/limit-quota.ts';
import { toFieldName, type QuotaHeaders } from '../../rate-limit/quota-headers.ts';
import { compileTemplate } from '../../router/template.ts';
import { createLimitAnswers } from '../limit-answers.ts';
import { countBy, type CountLimit } from './claim.ts';
import { warnOfDifferentLimits } from './group.ts';
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
    const limits = compileLimits(conf, env);
    const access: Step = (ctx) => countBy(limits, ctx);
    const { group } = conf;
    if (group !== undefined) {
      warnOfDifferentLimits(group, { owner: env.owner, conf, user: access }, env.configurationLog);
    }
    return { access };
  },
});

function compileLimits(conf: LimitCountConf, env: PluginEnv): readonly CountLimit[] {
  const scope = scopeOf(conf, env);
  const shared = { store: env.windowStores.get(conf), answers: createLimitAnswers(conf) };
  const shown = (headers: QuotaHeaders): QuotaHeaders | null => (conf.show_limit_quota_header ? headers : null);
  const { rules, count = 0, time_window = 0, key, key_type } = conf;
  if (rules === undefined) {
    const quota = compileLimitQuota(['count', count], ['time_window', time_window], resolvePluginVariable);
    const keyOf = compileLimitKey(key, key_type, resolvePluginVariable);
    return [{ ...shared, scope, keyOf, quota, headers: shown(headersOf('X-RateLimit')) }];
  }
  return rules.map(({ count, time_window, key, header_prefix = '' }, index) => {
    const template = compileTemplate(key, resolvePluginVariable);
    return {
      ...shared,
      scope: `${scope}:${index + 1}`,
      keyOf(ctx) {
        const { text, resolvedCount } = template.resolve(ctx);
        return resolvedCount === 0 ? null : text;
      },
      quota: compileLimitQuota(
        [`rules[${index}].count`, count],
        [`rules[${index}].time_window`, time_window],
        resolvePluginVariable,
      ),
      headers: shown(headersOf(`X-${toFieldName(header_prefix) || index + 1}-RateLimit`)),
    };
  });
}

/** A group's counters are those of the group whatever becomes of its routes. */
function scopeOf(conf: LimitCountConf, { owner }: PluginEnv): string {
  return conf.group === undefined ? counterScope('limit-count', owner, conf) : `limit-count:groups/${conf.group}`;
}

function headersOf(prefix: string): QuotaHeaders {
  return { limit: `${prefix}-Limit`, remaining: `${prefix}-Remaining`, reset: `${prefix}-Reset` };
}
