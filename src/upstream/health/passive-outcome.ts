import type { ErrorCode } from '../../base/errors.ts';
import type { PassiveOutcome } from './target-health.ts';

const failures: Readonly<Partial<Record<ErrorCode, PassiveOutcome['result']>>> = {
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

/**
 * What an attempt says about the health of its instance: how it failed, else the status of its answer.
 *
 * @param status - 0: no answer came.
 * @returns Null: nothing, for the instance has no part in how it ended.
 */
export function passiveResult(code: ErrorCode | null, status: number): PassiveOutcome['result'] | null {
  const failure = code === null ? undefined : failures[code];
  return failure ?? (status === 0 ? null : status);
}
