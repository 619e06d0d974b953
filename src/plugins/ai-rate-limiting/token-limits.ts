import type { RequestContext } from '../../pipeline/context.ts';
import { resolvePluginVariable } from '../../pipeline/variables.ts';
import { counterScope } from '../../rate-limit/counter-scope.ts';
import { compileLimitNumber } from '../../rate-limit/limit-number.ts';
import { compileTemplate } from '../../router/template.ts';
import { instanceHeaders, ruleHeaders, type QuotaHeaders } from './quota-headers.ts';
import type { AiRateLimitingConf } from './schema.ts';

/** How much may be used, and in which time. */
interface Quota {
  /** In tokens. */
  readonly limit: number;
  readonly windowMs: number;
}

/** A limit as it applies to one request. */
export interface AppliedLimit extends Quota {
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
}

/** A number of the configuration with the name of its field, for errors. */
type NamedNumber = readonly [field: string, value: number | string];

const noLimits: readonly AppliedLimit[] = [];
// No client waits for it, and Redis knows none that is longer.
const longestWindowMs = Number.MAX_SAFE_INTEGER;
const maxShownLength = 64;

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
      : compileQuota(['limit', limit], ['time_window', timeWindow]);
  const byName = new Map(
    instances.map(({ name, limit, time_window: timeWindow }, index) => {
      const at = `instances[${index}]`;
      const quota = compileQuota([`${at}.limit`, limit], [`${at}.time_window`, timeWindow]);
      return [name, applied(quota, `${scope}:instance:${name}`, instanceHeaders(name))];
    }),
  );
  return {
    areByInstance: true,
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
    quota: compileQuota([`rules[${index}].count`, rule.count], [`rules[${index}].time_window`, rule.time_window]),
    headers: ruleHeaders(rule.header_prefix ?? String(index + 1)),
  }));
  return {
    areByInstance: false,
    of(ctx) {
      const limits: AppliedLimit[] = [];
      for (const { scope, key, quota, headers } of compiled) {
        const { text, resolvedCount } = key.resolve(ctx);
        if (resolvedCount === 0) continue;
        const resolved = quota.resolve(ctx);
        if (typeof resolved === 'string') return resolved;
        limits.push({ ...resolved, key: `${scope}|${text}`, headers });
      }
      return limits.length > 0 || compiled.length === 0
        ? limits
        : 'no rule applies: none of the variables in their keys has a value';
    },
  };
}

/** The one limit of an instance. */
function applied({ constant, resolve }: CompiledQuota, key: string, headers: QuotaHeaders): LimitsOf {
  if (constant !== null) {
    const limits = [{ ...constant, key, headers }];
    return () => limits;
  }
  return (ctx) => {
    const quota = resolve(ctx);
    return typeof quota === 'string' ? quota : [{ ...quota, key, headers }];
  };
}

interface CompiledQuota {
  /** The quota if it is the same for every request. */
  readonly constant: Quota | null;
  /** @returns A text: it cannot be told, and why. */
  readonly resolve: (ctx: RequestContext) => Quota | string;
}

function compileQuota([limitField, givenLimit]: NamedNumber, [windowField, givenWindow]: NamedNumber): CompiledQuota {
  const limit = compileLimitNumber(givenLimit, resolvePluginVariable);
  const seconds = compileLimitNumber(givenWindow, resolvePluginVariable);
  if (limit.constant !== null && seconds.constant !== null) {
    const constant = { limit: limit.constant, windowMs: toMilliseconds(seconds.constant) };
    return { constant, resolve: () => constant };
  }
  return {
    constant: null,
    resolve(ctx) {
      const tokens = limit.resolve(ctx);
      if (typeof tokens === 'string') return notNumber(limitField, tokens);
      const time = seconds.resolve(ctx);
      return typeof time === 'string'
        ? notNumber(windowField, time)
        : { limit: tokens, windowMs: toMilliseconds(time) };
    },
  };
}

function toMilliseconds(seconds: number): number {
  return Math.min(seconds * 1000, longestWindowMs);
}

function notNumber(field: string, text: string): string {
  return `${field} is no whole number above 0 but ${JSON.stringify(text.slice(0, maxShownLength))}`;
}
