import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WeirError, type ErrorCode } from '../../base/errors.ts';
import type { RequestContext, TokenQuota } from '../../pipeline/context.ts';
import type { AttemptFailure } from '../../pipeline/target.ts';
import type { PassiveOutcome } from '../../upstream/health/target-health.ts';
import { openaiChat } from '../../llm/protocols/openai-chat.ts';
import { bodyFromJson } from '../../llm/request-body.ts';
import type { LlmInstance } from '../ai-proxy/llm-instance.ts';
import { compileFallbackRules } from './fallback-rules.ts';
import type { GroupMember } from './instance-group.ts';
import { MultiTarget } from './multi-target.ts';
import { Selection } from './selection.ts';

const body = bodyFromJson({ messages: [] });
const request = { protocol: openaiChat, body, client: body.outline };

class Member implements GroupMember {
  readonly llm: LlmInstance;
  readonly outcomes: PassiveOutcome[] = [];
  readonly health = {
    healthy: true,
    isAddressHealthy: () => true,
    report: (outcome: PassiveOutcome) => void this.outcomes.push(outcome),
  };

  constructor(name: string) {
    // Nothing else of an instance is looked at while nothing is sent.
    this.llm = { target: { instanceName: name } } as unknown as LlmInstance;
  }
}

/** Members a, b, c; a picker that goes through them in order. */
function stage(quota: TokenQuota | null = null) {
  const members = ['a', 'b', 'c'].map((name) => new Member(name));
  const picker = { next: (excluded: ReadonlySet<number>) => [0, 1, 2].find((index) => !excluded.has(index)) ?? -1 };
  const exchange = { aborted: false };
  const ctx = { attempts: [], exchange, tokenQuota: quota, errorCode: null } as unknown as RequestContext;
  return { members, ctx, exchange, selection: new Selection(members, picker) };
}

/** A quota that only these instances have room in. It notes the switches. */
function quotaOf(names: string, answer: (hasRoom: boolean) => boolean | Promise<boolean>) {
  const switches: string[] = [];
  return {
    switches,
    hasRoom: (_ctx: RequestContext, name: string) => answer(names.includes(name)),
    switchTo: (_ctx: RequestContext, name: string) => void switches.push(name),
  };
}

const nameOf = (member: GroupMember | null): string | undefined => member?.llm.target.instanceName;

describe('the choice of an instance', () => {
  it('gives each of them once, at once', () => {
    const { selection, ctx } = stage();
    const chosen = Array.from({ length: 4 }, () => selection.next(ctx, null) as GroupMember | null);
    assert.deepEqual(chosen.map(nameOf), ['a', 'b', 'c', undefined]);
  });

  it('passes over what is unhealthy', () => {
    const { selection, members, ctx } = stage();
    if (members[0] !== undefined) members[0].health.healthy = false;
    assert.equal(nameOf(selection.next(ctx, null) as GroupMember), 'b');
    assert.equal(nameOf(selection.next(ctx, null) as GroupMember), 'c');
    assert.equal(selection.next(ctx, null), null);
  });

  it('ignores health when all are unhealthy', () => {
    const { selection, members, ctx } = stage();
    for (const { health } of members) health.healthy = false;
    assert.equal(nameOf(selection.next(ctx, null) as GroupMember), 'a');
  });

  it('passes over what has no quota, without a promise', () => {
    const quota = quotaOf('c', (hasRoom) => hasRoom);
    const { selection, ctx } = stage(quota);
    assert.equal(nameOf(selection.next(ctx, quota) as GroupMember), 'c');
    assert.equal(selection.next(ctx, quota), null);
  });

  it('waits for a quota that has to be asked for', async () => {
    const quota = quotaOf('c', (hasRoom) => Promise.resolve(hasRoom));
    const { selection, ctx } = stage(quota);
    const pending = selection.next(ctx, quota);
    assert.ok(pending instanceof Promise);
    assert.equal(nameOf(await pending), 'c');
    assert.equal(await selection.next(ctx, quota), null);
  });
});

function failed(code: ErrorCode, status = 0): AttemptFailure {
  return { error: new WeirError(code), answer: null, status, address: '127.0.0.1:1', elapsedMs: 0 };
}

function answered(status: number): AttemptFailure {
  const answer = { status, fields: ['Content-Type', 'text/json'], body: 'why' };
  return { error: null, answer, status, address: '127.0.0.1:1', elapsedMs: 0 };
}

function targetOf(quota: TokenQuota | null, conf: object) {
  const { members, ctx, exchange, selection } = stage(quota);
  const first = selection.next(ctx, null) as GroupMember;
  const rules = compileFallbackRules(conf);
  return { members, ctx, exchange, target: new MultiTarget({ request, rules, selection, first, isLone: false }) };
}

describe('a request to several instances', () => {
  const strategy = { fallback_strategy: 'http_5xx' } as const;

  it('goes on to an instance with quota, whatever the strategy, and the quota hears of it', () => {
    const quota = quotaOf('ac', (hasRoom) => hasRoom);
    const { target, ctx } = targetOf(quota, strategy);
    assert.equal(target.answerFailure(ctx, answered(500)), null);
    assert.equal(target.name, 'c');
    assert.deepEqual(quota.switches, ['c']);
    assert.equal(ctx.errorCode, null);
  });

  it('ends with 502 when no instance has quota', async () => {
    const quota = quotaOf('a', (hasRoom) => Promise.resolve(hasRoom));
    const { target, ctx } = targetOf(quota, strategy);
    assert.deepEqual(await target.answerFailure(ctx, answered(500)), {
      status: 502,
      fields: ['Content-Type', 'text/json'],
      body: 'why',
    });
    assert.deepEqual([ctx.errorCode, quota.switches], ['ALL_INSTANCES_FAILED', []]);
  });

  it('is given up when its client leaves while the quota is asked for', async () => {
    const quota = quotaOf('abc', (hasRoom) => Promise.resolve(hasRoom));
    const { target, ctx, exchange } = targetOf(quota, strategy);
    const pending = target.answerFailure(ctx, answered(500));
    exchange.aborted = true;
    assert.notEqual(await pending, null);
    assert.deepEqual([target.name, quota.switches], ['a', []]);
  });

  it('is not repeated when the gateway itself ends or is at fault, whatever statuses are listed', () => {
    for (const code of ['SHUTTING_DOWN', 'INTERNAL'] as const) {
      for (const status of [0, 500]) {
        const { target, ctx } = targetOf(null, { ...strategy, fallback_http_statuses: [500, 503] });
        assert.notEqual(target.answerFailure(ctx, failed(code, status)), null, `${code} after status ${status}`);
      }
    }
  });

  it('tells the health of each instance how its attempt ended, once', () => {
    const { target, ctx, members } = targetOf(null, strategy);
    target.answerFailure(ctx, failed('UPSTREAM_CONNECT'));
    target.answerFailure(ctx, answered(500));
    ctx.attempts.push(
      { ...record, target: 'a', status: 0 },
      { ...record, target: 'b', status: 500 },
      { ...record, target: 'c', address: '127.0.0.1:3', status: 200 },
    );
    target.finish(ctx);
    target.finish(ctx);
    const address = '127.0.0.1:1';
    assert.deepEqual(
      members.map(({ outcomes }) => outcomes),
      [[{ address, result: 'tcp_failure' }], [{ address, result: 500 }], [{ address: '127.0.0.1:3', result: 200 }]],
    );
  });

  it('tells nobody of an attempt that the client did not wait for', () => {
    const { target, ctx, members } = targetOf(null, strategy);
    ctx.attempts.push({ ...record, status: 500 });
    target.answerFailure(ctx, answered(500));
    target.finish(ctx);
    assert.deepEqual(
      members.map(({ outcomes }) => outcomes.length),
      [1, 0, 0],
    );
  });

  const record = {
    target: 'a',
    address: '127.0.0.1:1',
    connectMs: undefined,
    headerMs: undefined,
    responseMs: undefined,
    bytes: 0,
  };
  const rows: { name: string; code: ErrorCode | null; status: number; result: PassiveOutcome['result'] | null }[] = [
    { name: 'an answer', code: null, status: 200, result: 200 },
    { name: 'a stream that broke', code: 'UPSTREAM_RESET', status: 200, result: 'tcp_failure' },
    { name: 'a stream that stalled', code: 'UPSTREAM_READ_TIMEOUT', status: 200, result: 'timeout' },
    { name: 'a stream with an error', code: 'UPSTREAM_ERROR_EVENT', status: 200, result: 'http_failure' },
    { name: 'a stream cut by our own limit', code: 'UPSTREAM_STREAM_TOO_LONG', status: 200, result: 200 },
    { name: 'a client that left early', code: 'CLIENT_CLOSED_REQUEST', status: 0, result: null },
    { name: 'a client that left late', code: 'CLIENT_CLOSED_REQUEST', status: 200, result: 200 },
  ];
  for (const { name, code, status, result } of rows) {
    it(`tells the health of its instance of ${name}`, () => {
      const { target, ctx, members } = targetOf(null, strategy);
      ctx.attempts.push({ ...record, status });
      ctx.errorCode = code;
      target.finish(ctx);
      assert.deepEqual(members[0]?.outcomes, result === null ? [] : [{ address: record.address, result }]);
    });
  }
});
