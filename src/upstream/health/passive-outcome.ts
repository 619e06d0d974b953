import type { ErrorCode } from '../../base/errors.ts';
import { failureSignalOf } from './failure-signal.ts';
import type { PassiveOutcome } from './target-health.ts';

/**
 * What an attempt says about the health of its instance: how it failed, else the status of its answer.
 *
 * @param status - 0: no answer came.
 * @returns Null: nothing, for the instance has no part in how it ended.
 */
export function passiveResult(code: ErrorCode | null, status: number): PassiveOutcome['result'] | null {
  const failure = code === null ? null : failureSignalOf(code);
  return failure ?? (status === 0 ? null : status);
}
