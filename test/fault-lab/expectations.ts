import assert from 'node:assert/strict';
import type { ErrorCode } from '../../src/base/errors.ts';
import type { LoggedCall } from '../support/ai-stage.ts';
import type { CallResult } from '../support/http-call.ts';
import { judge, type Dialect } from './dialects.ts';
import type { FaultCall } from './fault-provider.ts';
import { said, type ErrorAnswer, type Outcome } from './faults.ts';

/** An error of the gateway's own. */
export interface Expected {
  readonly status: number;
  readonly code: ErrorCode;
  /** What the log has of the provider's answer. */
  readonly upstreamStatus: string;
}

/** The client has an error in its own protocol and nothing else, and the log tells the same. */
export function expectError(
  dialect: Dialect,
  answer: CallResult,
  logged: LoggedCall | undefined,
  expected: Expected,
): void {
  const { status, code, upstreamStatus } = expected;
  assert.equal(answer.headers['content-type'], 'application/json', answer.text);
  assert.deepEqual([answer.status, judge(dialect, answer)], [status, { kind: 'error', code, text: '' }]);
  expectLine(logged, { status, code, upstreamStatus });
}

export function expectLine(
  logged: LoggedCall | undefined,
  { status, code, upstreamStatus }: { status: number; code: string; upstreamStatus: string },
): void {
  assert.deepEqual(
    [logged?.status, logged?.weir_error, logged?.upstream_status],
    [String(status), code, upstreamStatus],
  );
}

/** The client has the whole answer of {@link goodAnswer}. */
export function expectGoodAnswer(dialect: Dialect, answer: CallResult): void {
  assert.deepEqual([answer.status, judge(dialect, answer)], [200, { kind: 'answer', text: said }], answer.text);
}

/** What a faulty answer of the only provider leads to. */
export function expectOutcome(
  dialect: Dialect,
  { outcome, answer, logged }: { outcome: Outcome; answer: CallResult; logged: LoggedCall | undefined },
): void {
  const { error, upstreamStatus = '200' } = outcome;
  if (error !== undefined) {
    const { status = 502 } = outcome;
    return expectError(dialect, answer, logged, { status, code: error, upstreamStatus });
  }
  assert.deepEqual([answer.status, answer.complete], [200, true], answer.text);
  expectLine(logged, { status: 200, code: outcome.logged ?? '', upstreamStatus });
  if (outcome.body !== undefined) assert.equal(answer.text, outcome.body);
  else if (outcome.logged !== undefined) assert.equal(judge(dialect, answer).kind, 'error', answer.text);
  else expectGoodAnswer(dialect, answer);
}

/** The calls are of two requests, and the second came on the connection of the first, or on another one. */
export function expectReuse(calls: readonly FaultCall[], kept: boolean): void {
  const [first, second] = calls;
  assert.deepEqual([calls.length, second?.turn], [2, kept ? 2 : 1]);
  if (!kept) assert.notEqual(first?.closedBy, null, 'the connection of the fault is still open');
}

/** The client has the error that a provider gave, with its Retry-After; where it is converted, in its own protocol. */
export function expectErrorAnswer(
  dialect: Dialect,
  answer: CallResult,
  { status, contentType, body }: ErrorAnswer,
): void {
  assert.deepEqual([answer.status, answer.headers['retry-after'], answer.complete], [status, '7', true]);
  if (dialect.isRelayed) {
    assert.equal(answer.headers['content-type'], contentType);
    assert.ok(answer.text === body, answer.text.slice(0, 200));
  } else {
    assert.deepEqual(judge(dialect, answer), { kind: 'error', code: '', text: '' }, answer.text.slice(0, 200));
  }
}
