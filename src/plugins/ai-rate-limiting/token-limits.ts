import type { RequestContext } from '../../pipeline/context.ts';
import { resolvePluginVariable } from '../../pipeline/variables.ts';
import { counterScope } from '../../rate-limit/counter-scope.ts';
import { compileLimitQuota, type CompiledQuota, type LimitQuota } from '../../rate-limit/limit-quota.ts';
import type { QuotaHeaders } from '../../rate-limit/quota-headers.ts';
import { compileTemplate } from '../../router/template.ts';
import { instanceHeaders, ruleHeaders } from './quota-headers.ts';
import type { AiRateLimitingConf } from './schema.ts';

/** A limit as it applies to one request, in tokens. */
export interface AppliedLimit extends LimitQuota {
  /** Of its counter. What a request has brought comes behind a `|`. */
  readonly key: string;
  readonly headers: QuotaHeaders;
}

/** The limits of one request; a text: they cannot be told, and why. */
type LimitsOf = (ctx: RequestContext) => readonly AppliedLimit[] | string;

/** The limits of a configuration, compiled. */
export interface TokenLimits {
  /** False: those of a request are the same for every instance. */
  readonly areByInstance: boolean;
  /** @returns Those of a request to an instance, which may be none; a text: they cannot be told, and why. */
  of(ctx: RequestContext, instance: string): ReturnType<LimitsOf>;
  /** Those of a request to whatever instance, as far as they can be told. */
  ofAny(ctx: RequestContext): readonly AppliedLimit[];
}

const noLimits: readonly AppliedLimit[] = [];

/** @param owner - The resource in whose `plugins` the configuration stands: its counters are its own. */
export function compileTokenLimits(conf: AiRateLimitingConf, owner: string): TokenLimits {
  const scope = counterScope('ai-rate-limiting', owner, conf);
  return conf.rules === undefined ? limitsByInstance(conf, scope) : limitsByRule(conf.rules, scope);
}

function limitsByInstance(conf: AiRateLimitingConf, scope: string): TokenLimits {
  const { limit, time_window: timeWindow, instances = [] } = conf;
  const ofAll =
    limit === undefined || timeWindow === undefined
      ? null
      : compileLimitQuota(['limit', limit], ['time_window', timeWindow], resolvePluginVariable);
  const byName = new Map(
    instances.map(({ name, limit, time_window: timeWindow }, index) => {
      const at = `instances[${index}]`;
      const quota = compileLimitQuota([`${at}.limit`, limit], [`${at}.time_window`, timeWindow], resolvePluginVariable);
      return [name, applied(quota, `${scope}:instance:${name}`, instanceHeaders(name))];
    }),
  );
  const every = [...byName.values()];
  if (ofAll !== null) every.push(applied(ofAll, `${scope}:all`, instanceHeaders('')));
  return {
    areByInstance: true,
    ofAny: (ctx) => every.flatMap((limitsOf) => toldLimits(limitsOf(ctx))),
    of(ctx, instance) {
      let limitsOf = byName.get(instance);
      if (limitsOf === undefined) {
        // One counter for all, of which clients are told under the name of the instance that serves them.
        limitsOf = ofAll === null ? () => noLimits : applied(ofAll, `${scope}:all`, instanceHeaders(instance));
        byName.set(instance, limitsOf);
      }
      return limitsOf(ctx);
    },
  };
}

function limitsByRule(rules: NonNullable<AiRateLimitingConf['rules']>, scope: string): TokenLimits {
  const compiled = rules.map((rule, index) => ({
    // Two rules may have the same key: so many tokens a minute, and so many a day.
    scope: `${scope}:rule:${index + 1}`,
    key: compileTemplate(rule.key, resolvePluginVariable),
    quota: compileLimitQuota(
      [`rules[${index}].count`, rule.count],
      [`rules[${index}].time_window`, rule.time_window],
      resolvePluginVariable,
    ),
    headers: ruleHeaders(rule.header_prefix ?? String(index + 1)),
  }));
  const limitsOf: LimitsOf = (ctx) => {
    const limits: AppliedLimit[] = [];
    for (const { scope, key, quota, headers } of compiled) {
      const { text, resolvedCount } = key.resolve(ctx);
      if (resolvedCount === 0) continue;
      const resolved = quota.resolve(ctx);
      if (typeof resolved === 'string') return resolved;
      limits.push({ ...resolved, key: `${scope}|${text}`, headers });
    }
    return limits;
  };
  return { areByInstance: false, of: limitsOf, ofAny: (ctx) => toldLimits(limitsOf(ctx)) };
}

function toldLimits(limits: ReturnType<LimitsOf>): readonly AppliedLimit[] {
  return typeof limits === 'string' ? noLimits : limits;
}

/** The one limit of an instance. */
function applied({ constant, resolve }: CompiledQuota<RequestContext>, key: string, headers: QuotaHeaders): LimitsOf {
  if (constant !== null) {
    const limits = [{ ...constant, key, headers }];
    return () => limits;
  }
  return (ctx) => {
    const quota = resolve(ctx);
    return typeof quota === 'string' ? quota : [{ ...quota, key, headers }];
  };
}
