import assert from 'node:assert/strict';
import type { LoggedCall } from '../support/ai-stage.ts';
import type { CallResult } from '../support/http-call.ts';
import { judge, type Dialect } from './dialects.ts';
import { expectError, expectGoodAnswer, expectLine, type Expected } from './expectations.ts';
import type { Stop } from './fault-provider.ts';
import { goodEvents, said } from './faults.ts';
import type { WireAnswer } from './wire-answer.ts';

/** A good answer of which a provider sends so many bytes. */
export interface StoppedAnswer {
  readonly dialect: Dialect;
  readonly stream: boolean;
  readonly wire: WireAnswer;
  readonly count: number;
  readonly stop: Stop;
}

/** Places in an answer at which something ends, and those beside them. */
export function joints({ bytes }: WireAnswer): number[] {
  const found = new Set([0, 1, 5, 9, 12, bytes.length - 1, bytes.length]);
  for (let at = bytes.indexOf('\n'); at !== -1; at = bytes.indexOf('\n', at + 1)) {
    for (const near of [at, at + 1, at + 2]) if (near <= bytes.length) found.add(near);
  }
  return Array.from(found);
}

/** The client of this provider has, or could have, a part of the answer. */
export function hasBegun({ dialect, stream, wire, count }: StoppedAnswer): boolean {
  if (!stream) return count === wire.bytes.length;
  const received = wire.bodyBytesIn(count);
  // What is converted is so once an event is whole.
  return dialect.isRelayed ? received > 0 : received >= Buffer.byteLength(goodEvents(dialect)[0] ?? '');
}

/** What the gateway makes of the stop. */
export function failureOf({ stop, count, wire }: StoppedAnswer): Expected {
  const upstreamStatus = count < wire.headBytes ? '-' : '200';
  return stop === 'stall'
    ? { status: 504, code: 'UPSTREAM_READ_TIMEOUT', upstreamStatus }
    : { status: 502, code: 'UPSTREAM_RESET', upstreamStatus };
}

/** The client has an error, or what came of the stream and an error behind it, or all that there is to say. */
export function expectStopped(stopped: StoppedAnswer, answer: CallResult, logged: LoggedCall | undefined): void {
  const { dialect, stream, wire, count } = stopped;
  const failure = failureOf(stopped);
  if (!hasBegun(stopped)) return expectError(dialect, answer, logged, failure);
  const isWhole = count === wire.bytes.length;
  expectLine(logged, { status: 200, code: isWhole ? '' : failure.code, upstreamStatus: '200' });
  if (isWhole) return expectGoodAnswer(dialect, answer);
  assert.ok(stream);
  assert.deepEqual([answer.status, answer.complete], [200, true], 'cut without a word');
  const relayed = wire.body.subarray(0, wire.bodyBytesIn(count));
  const tail = answer.body.subarray(relayed.length).toString();
  if (dialect.isRelayed) assert.ok(answer.body.subarray(0, relayed.length).equals(relayed), 'other bytes');
  const verdict = judge(dialect, answer);
  if (verdict.kind === 'answer') {
    // The provider has said all that this client is told: the last event lacks no more than its blank line.
    const told = goodEvents(dialect).slice(0, dialect.isRelayed ? undefined : -1);
    assert.ok(relayed.toString().length >= told.join('').trimEnd().length, 'looks complete and is not');
    if (dialect.isRelayed) assert.equal(tail, '');
    assert.equal(verdict.text, said);
  } else {
    assert.ok(verdict.kind === 'error' && verdict.code === failure.code, JSON.stringify(verdict));
    assert.ok(said.startsWith(verdict.text));
  }
}
