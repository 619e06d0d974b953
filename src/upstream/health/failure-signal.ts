import type { ErrorCode } from '../../base/errors.ts';
import type { HealthSignal } from './health-state.ts';

/** A signal that speaks against an address. */
export type FailureSignal = Exclude<HealthSignal, 'success'>;

const signals: Readonly<Partial<Record<ErrorCode, FailureSignal>>> = {
  UPSTREAM_DNS: 'tcp_failure',
  UPSTREAM_CONNECT: 'tcp_failure',
  UPSTREAM_TLS: 'tcp_failure',
  UPSTREAM_RESET: 'tcp_failure',
  UPSTREAM_CONNECT_TIMEOUT: 'timeout',
  UPSTREAM_SEND_TIMEOUT: 'timeout',
  UPSTREAM_READ_TIMEOUT: 'timeout',
  UPSTREAM_INVALID_RESPONSE: 'http_failure',
  UPSTREAM_ANSWER: 'http_failure',
  UPSTREAM_EMPTY_STREAM: 'http_failure',
  UPSTREAM_UNEXPECTED_STREAM: 'http_failure',
  UPSTREAM_INCOMPLETE_STREAM: 'http_failure',
  UPSTREAM_ERROR_EVENT: 'http_failure',
};

/** What an error says about the health of the upstream; null: nothing, such as limits of our own. */
export function failureSignalOf(code: ErrorCode): FailureSignal | null {
  return signals[code] ?? null;
}
