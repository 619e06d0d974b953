import type { ErrorCode } from '../base/errors.ts';

/** Nothing of the request had left. */
const beforeSending: ReadonlySet<ErrorCode> = new Set([
  'UPSTREAM_DNS',
  'UPSTREAM_CONNECT',
  'UPSTREAM_CONNECT_TIMEOUT',
  'UPSTREAM_TLS',
]);

/** The upstream had the request, or a part of it, and has not answered. */
const withoutAnswer: ReadonlySet<ErrorCode> = new Set([
  'UPSTREAM_SEND_TIMEOUT',
  'UPSTREAM_READ_TIMEOUT',
  'UPSTREAM_RESET',
]);

/**
 * Methods that may do a thing twice when they are sent twice, as nginx has them.
 * https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_next_upstream
 */
const nonIdempotent: ReadonlySet<string> = new Set(['POST', 'LOCK', 'PATCH']);

/** Whether a request may be sent again that an upstream may have had already. */
export function isRepeatable(method: string): boolean {
  return !nonIdempotent.has(method);
}

/**
 * Whether a request may be sent to another node after this failure: nginx's `proxy_next_upstream error timeout`.
 *
 * @param status - Of the answer's head; 0: none came.
 */
export function mayRetry(code: ErrorCode, status: number, method: string): boolean {
  if (beforeSending.has(code)) return true;
  return status === 0 && withoutAnswer.has(code) && isRepeatable(method);
}
