import { WeirError } from '../../base/errors.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import type { StepResult } from '../../pipeline/define-plugin.ts';
import { refusal, type Reply } from '../../pipeline/reply.ts';
import { readLlmRequest, type LlmRequest } from './llm-request.ts';

/** Sets the target of a request that was understood, or refuses it. Made when configuration changes. */
export type ChooseTarget = (ctx: RequestContext, request: LlmRequest) => StepResult;

/** The step `access` of whoever sends LLM calls: reads the request as one, and chooses where it goes. */
export function chooseTarget(ctx: RequestContext, maxBodyBytes: number, choose: ChooseTarget): StepResult {
  try {
    const request = readLlmRequest(ctx, maxBodyBytes);
    if (!(request instanceof Promise)) return choose(ctx, request);
    return request.then(
      (understood) => choose(ctx, understood),
      (error: unknown) => refuse(ctx, error),
    );
  } catch (error) {
    return refuse(ctx, error);
  }
}

/** What is known to go wrong is an answer; anything else is a fault and goes on as one. */
function refuse(ctx: RequestContext, error: unknown): Reply {
  if (!(error instanceof WeirError)) throw error;
  return refusal(ctx, error);
}
