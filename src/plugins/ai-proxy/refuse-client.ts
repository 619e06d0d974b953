import { WeirError } from '../../base/errors.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import { refusal, type Reply } from '../../pipeline/reply.ts';

/** What is known to go wrong is an answer; anything else is a fault and goes on as one. */
export function refuseClient(ctx: RequestContext, error: unknown): Reply {
  if (!(error instanceof WeirError)) throw error;
  return refusal(ctx, error);
}
