import type { Exchange } from '../http/exchange.ts';

/** Names of the fields that tell a client about one limit. */
export interface QuotaHeaders {
  readonly limit: string;
  readonly remaining: string;
  readonly reset: string;
}

/** How a request stands to a limit. */
interface QuotaStanding {
  readonly limit: number;
  readonly remaining: number;
  /** Until the window ends. */
  readonly resetSeconds: number;
}

/** Tells the client about a limit. No effect once the answer has begun. */
export function setQuotaHeaders(exchange: Exchange, headers: QuotaHeaders, standing: QuotaStanding): void {
  exchange.setField(headers.limit, String(standing.limit));
  exchange.setField(headers.remaining, String(standing.remaining));
  exchange.setField(headers.reset, String(standing.resetSeconds));
}

/** Takes back what {@link setQuotaHeaders} has told. */
export function removeQuotaHeaders(exchange: Exchange, headers: QuotaHeaders): void {
  exchange.removeField(headers.limit);
  exchange.removeField(headers.remaining);
  exchange.removeField(headers.reset);
}

/**
 * A text of the configuration as a part of a field's name: names of rules and instances may hold anything, fields of HTTP
 * only this, https://www.rfc-editor.org/rfc/rfc9110#name-tokens
 */
export function toFieldName(text: string): string {
  return text.replaceAll(/[^\w!#$%&'*+.^`|~-]/g, '-');
}
