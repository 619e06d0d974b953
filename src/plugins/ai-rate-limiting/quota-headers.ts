import type { Exchange } from '../../http/exchange.ts';
import type { WindowState } from '../../rate-limit/window-store.ts';

/** Names of the fields that tell clients about one limit. */
export interface QuotaHeaders {
  readonly limit: string;
  readonly remaining: string;
  readonly reset: string;
}

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

/** Names may hold anything, fields of HTTP only this: https://www.rfc-editor.org/rfc/rfc9110#name-tokens */
function toFieldName(name: string): string {
  return name.replaceAll(/[^\w!#$%&'*+.^`|~-]/g, '-');
}

/** Tells the client about a limit; the answer must not have begun yet. */
export function setQuotaHeaders(
  exchange: Exchange,
  { headers, limit }: { readonly headers: QuotaHeaders; readonly limit: number },
  { used, resetMs }: WindowState,
): void {
  exchange.setField(headers.limit, String(limit));
  exchange.setField(headers.remaining, String(Math.max(0, limit - used)));
  // Rounded up: who waits as long as it says comes after the end of the window.
  exchange.setField(headers.reset, String(Math.ceil(resetMs / 10) / 100));
}

/** Takes back what {@link setQuotaHeaders} has told. */
export function removeQuotaHeaders(exchange: Exchange, headers: QuotaHeaders): void {
  exchange.removeField(headers.limit);
  exchange.removeField(headers.remaining);
  exchange.removeField(headers.reset);
}
