import type { ErrorCode, WeirError } from '../../base/errors.ts';
import type { ResponseHead } from '../../http/response-head.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import type { Reply } from '../../pipeline/reply.ts';
import type { AttemptFailure, OutgoingRequest, Reception, Target } from '../../pipeline/target.ts';
import { LlmAttemptTarget } from '../ai-proxy/llm-attempt-target.ts';
import type { LlmRequest } from '../ai-proxy/llm-request.ts';
import { allowsRetry, type FallbackRules } from './fallback-rules.ts';
import type { GroupMember } from './instance-group.ts';
import { passiveResult } from '../../upstream/health/passive-outcome.ts';
import type { Selection } from './selection.ts';

interface MultiTargetParts {
  readonly request: LlmRequest;
  readonly rules: FallbackRules;
  readonly selection: Selection;
  /** What `selection` chose first. */
  readonly first: GroupMember;
  /** There is one instance only: what it answers is what the client gets. */
  readonly isLone: boolean;
}

/**
 * One client's LLM call, addressed to one instance after the other until one has answered. Each attempt is made from the
 * client's own request and knows nothing of the one before.
 */
export class MultiTarget implements Target {
  #parts: MultiTargetParts;
  #member: GroupMember;
  #attempt: LlmAttemptTarget;
  #startedAt = 0;
  #retries = 0;
  /** The health of the instance has heard of the attempt. */
  #isReported = false;

  constructor(parts: MultiTargetParts) {
    this.#parts = parts;
    this.#member = parts.first;
    this.#attempt = new LlmAttemptTarget(parts.first.llm, parts.request);
  }

  /** Of the instance whose turn it is. */
  get name(): string {
    return this.#attempt.name;
  }

  get address(): string {
    return this.#attempt.address;
  }

  /** The latest attempt: the one that served, if any did. */
  get attempt(): LlmAttemptTarget {
    return this.#attempt;
  }

  prepare(ctx: RequestContext): OutgoingRequest | WeirError | Promise<OutgoingRequest | WeirError> {
    this.#startedAt = performance.now();
    return this.#attempt.prepare(ctx);
  }

  /** An answer that may lead to another attempt is held back until that is decided; all others go to the client. */
  receive(ctx: RequestContext, head: ResponseHead): Reception {
    const reception = this.#attempt.receive(ctx, head);
    if (!this.#parts.rules.statuses.has(head.status) || !this.#hasRetryLeft()) return reception;
    // An upstream that drips an error must not keep the next one waiting for ever.
    const maxDurationMs = this.#elapsedMs() + this.#member.llm.target.timeoutMs;
    return { ...reception, gear: 'held', limits: { ...reception.limits, maxDurationMs } };
  }

  answerFailure(ctx: RequestContext, failure: AttemptFailure): Reply | null | Promise<Reply | null> {
    this.#reportOutcome(failure.error?.code ?? null, failure);
    if (!allowsRetry(this.#parts.rules, failure) || !this.#hasRetryLeft()) {
      return this.#attempt.answerFailure(ctx, failure);
    }
    this.#retries++;
    const next = this.#parts.selection.next(ctx, ctx.tokenQuota);
    return next instanceof Promise
      ? next.then((late) => this.#goOn(ctx, failure, late))
      : this.#goOn(ctx, failure, next);
  }

  /** The request has ended: what is known now of the attempt that served it counts for the health of its instance. */
  finish(ctx: RequestContext): void {
    const last = ctx.attempts.at(-1);
    // Another one's: what should follow it was not sent any more.
    if (this.#isReported || last?.target !== this.name) return;
    this.#reportOutcome(ctx.errorCode, last);
  }

  #goOn(ctx: RequestContext, failure: AttemptFailure, next: GroupMember | null): Reply | null {
    if (next === null || ctx.exchange.aborted) return this.#answerLast(ctx, failure);
    this.#member = next;
    this.#attempt = new LlmAttemptTarget(next.llm, this.#parts.request);
    this.#isReported = false;
    ctx.tokenQuota?.switchTo(ctx, this.name);
    return null;
  }

  /** None is left: whatever the last one said, the gateway as a whole has failed. */
  #answerLast(ctx: RequestContext, failure: AttemptFailure): Reply {
    const reply = this.#attempt.answerFailure(ctx, failure);
    if (failure.error === null) ctx.errorCode = 'ALL_INSTANCES_FAILED';
    return { ...reply, status: 502 };
  }

  #hasRetryLeft(): boolean {
    const { isLone, rules } = this.#parts;
    return !isLone && this.#retries < rules.maxRetries && this.#elapsedMs() <= rules.retryWithinMs;
  }

  #elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  #reportOutcome(code: ErrorCode | null, { address, status }: { address: string; status: number }): void {
    this.#isReported = true;
    const result = passiveResult(code, status);
    if (result !== null) this.#member.health.report({ address, result });
  }
}
