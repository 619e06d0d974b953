import type { WeirError } from '../../base/errors.ts';
import type { AttemptFailure } from '../../pipeline/target.ts';
import type { AiProxyMultiConf } from './schema.ts';

/** When another instance is asked than the one whose turn it is. Compiled when configuration changes. */
export interface FallbackRules {
  /** An instance without quota is passed over at the first choice already. */
  readonly passesOverExhausted: boolean;
  /** Attempts beyond the first; Infinity: as many as there are instances. */
  readonly maxRetries: number;
  /** An attempt that took longer, in ms, is the last; Infinity: however long it took. */
  readonly retryWithinMs: number;
  /** Statuses of upstreams after which another instance is asked; empty: there are no retries. */
  readonly statuses: ReadonlySet<number>;
}

/** The part of a configuration that says when to fall back. */
type FallbackConf = Pick<
  AiProxyMultiConf,
  'fallback_strategy' | 'fallback_http_statuses' | 'max_retries' | 'retry_on_failure_within_ms'
>;

const serverErrors: readonly number[] = Array.from({ length: 100 }, (_, index) => 500 + index);

/** What `instance_health_and_rate_limiting` stands for, as the published guide describes it. */
const wholeStrategy: readonly string[] = ['rate_limiting', 'http_429', 'http_5xx'];

/** Reads `fallback_strategy` in all its forms, and the fields around it. */
export function compileFallbackRules(conf: FallbackConf): FallbackRules {
  const strategies = strategiesOf(conf.fallback_strategy);
  return {
    passesOverExhausted: strategies.includes('rate_limiting'),
    maxRetries: conf.max_retries ?? Infinity,
    retryWithinMs: conf.retry_on_failure_within_ms ?? Infinity,
    statuses: new Set([
      ...(strategies.includes('http_429') ? [429] : []),
      ...(strategies.includes('http_5xx') ? serverErrors : []),
      ...(conf.fallback_http_statuses ?? []),
    ]),
  };
}

function strategiesOf(strategy: FallbackConf['fallback_strategy']): readonly string[] {
  if (strategy === undefined) return [];
  if (typeof strategy !== 'string') return strategy;
  return strategy === 'instance_health_and_rate_limiting' ? wholeStrategy : [strategy];
}

/**
 * Whether a failure is of a kind after which another instance is asked. An answer that was held back and broke counts by
 * the status in its head as well as by what broke it.
 */
export function allowsRetry({ statuses }: FallbackRules, { status, error }: AttemptFailure): boolean {
  if (error === null) return statuses.has(status);
  return isElsewhereDifferent(error) && (statuses.has(status) || statuses.has(error.status));
}

/** Not what is wrong with the gateway itself, such as its end. */
function isElsewhereDifferent({ blame, retryable }: WeirError): boolean {
  return retryable || blame !== 'gateway';
}
