import type { Log } from '../base/log.ts';
import type { AnswerFilter } from '../http/answer-head.ts';
import type { RequestContext } from './context.ts';
import type { HeaderFilter, Step, StepResult } from './define-plugin.ts';
import type { Reply } from './reply.ts';

/**
 * Runs steps in order until one replies. Stays synchronous as long as the steps do, so that what does not wait costs no
 * promise.
 */
export function runSteps(steps: readonly Step[], ctx: RequestContext): StepResult {
  for (let i = 0; i < steps.length; i++) {
    const result = steps[i]?.(ctx);
    if (result === undefined) continue;
    return result instanceof Promise ? continueAfter(result, steps.slice(i + 1), ctx) : result;
  }
  return undefined;
}

async function continueAfter(
  pending: Promise<Reply | undefined>,
  rest: readonly Step[],
  ctx: RequestContext,
): Promise<Reply | undefined> {
  return (await pending) ?? runSteps(rest, ctx);
}

/** Runs header filters in order. One that fails changes nothing, and the others still run. */
export function answerFilter(filters: readonly HeaderFilter[], ctx: RequestContext, log: Log): AnswerFilter {
  return (answer) => {
    for (const filter of filters) {
      try {
        filter(ctx, answer);
      } catch (error) {
        log.error('an answer could not be changed', { request_id: ctx.id, route_id: ctx.route?.id, error });
      }
    }
  };
}
