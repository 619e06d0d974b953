import type { RequestContext } from './context.ts';
import type { Step, StepResult } from './define-plugin.ts';
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
