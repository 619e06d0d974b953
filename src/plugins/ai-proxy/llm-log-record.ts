import type { LlmTarget } from '../../llm/target.ts';
import type { LlmLog, LlmLogParts } from '../../observability/llm-log.ts';
import { toLlmSummary } from '../../observability/llm-summary.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import { LlmAttemptTarget } from './llm-attempt-target.ts';

/**
 * Hands what `logging.summaries` and `logging.payloads` ask for to the loggers of the route, or writes it to the log of
 * LLM calls. A request that reached no provider has nothing to tell.
 *
 * @param log - Null: the route has loggers.
 */
export function writeLlmLog(ctx: RequestContext, target: LlmTarget, log: Pick<LlmLog, 'write'> | null): void {
  ctx.llmLog = toLlmLogParts(ctx, target);
  if (log === null || ctx.llmLog === null) return;
  log.write({
    timestamp: new Date(Date.now() - (performance.now() - ctx.exchange.startedAt)).toISOString(),
    request_id: ctx.id,
    route_id: ctx.route?.id ?? '',
    status: ctx.loggedStatus,
    ...ctx.llmLog,
  });
}

function toLlmLogParts(ctx: RequestContext, target: LlmTarget): LlmLogParts | null {
  const call = ctx.llm;
  if (call === null || !(ctx.target instanceof LlmAttemptTarget)) return null;
  const stream = call.requestType === 'ai_stream';
  return {
    ...(target.logsSummaries && {
      llm_summary: toLlmSummary({
        requestModel: call.requestModel,
        model: call.model,
        timeToFirstTokenMs: call.timeToFirstTokenMs,
        upstreamResponseTimeMs: responseTimeMs(ctx),
        ...call.usage,
        stream,
        toolCount: call.toolCount,
        hasToolCalls: call.hasToolCalls,
        endUserId: call.endUserId,
        contentRiskLevel: '',
      }),
    }),
    ...(target.logsPayloads && {
      llm_request: { messages: ctx.target.requestMessages, stream },
      ...(call.responseText !== null && { llm_response_text: { content: call.responseText } }),
    }),
  };
}

function responseTimeMs(ctx: RequestContext): number | undefined {
  const milliseconds = ctx.attempts.at(-1)?.responseMs;
  return milliseconds === undefined ? undefined : Math.floor(milliseconds);
}
