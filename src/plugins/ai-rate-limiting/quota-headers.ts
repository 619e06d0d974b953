import { toFieldName, type QuotaHeaders } from '../../rate-limit/quota-headers.ts';

/** Those of an instance: `X-AI-RateLimit-Limit-ai-proxy-openai`. */
export function instanceHeaders(instance: string): QuotaHeaders {
  const suffix = toFieldName(instance);
  return {
    limit: `X-AI-RateLimit-Limit-${suffix}`,
    remaining: `X-AI-RateLimit-Remaining-${suffix}`,
    reset: `X-AI-RateLimit-Reset-${suffix}`,
  };
}

/** Those of a rule: `X-AI-1-RateLimit-Limit`. */
export function ruleHeaders(prefix: string): QuotaHeaders {
  const name = toFieldName(prefix);
  return {
    limit: `X-AI-${name}-RateLimit-Limit`,
    remaining: `X-AI-${name}-RateLimit-Remaining`,
    reset: `X-AI-${name}-RateLimit-Reset`,
  };
}
