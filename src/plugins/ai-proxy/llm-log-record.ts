import type { LlmLog, LlmLogParts } from '../../observability/llm-log.ts';
import { toLlmSummary } from '../../observability/llm-summary.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import type { LlmAttemptTarget } from './llm-attempt-target.ts';

/**
 * Hands what `logging.summaries` and `logging.payloads` ask for to the loggers of the route, or writes it to the log of
 * LLM calls. A request that reached no provider has nothing to tell.
 *
 * @param served - Who served the request; null: nobody.
 * @param log - Null: the route has loggers.
 */
export function writeLlmLog(
  ctx: RequestContext,
  served: LlmAttemptTarget | null,
  log: Pick<LlmLog, 'write'> | null,
): void {
  ctx.llmLog = served === null ? null : toLlmLogParts(ctx, served);
  if (log === null || ctx.llmLog === null) return;
  log.write({
    timestamp: new Date(Date.now() - (performance.now() - ctx.exchange.startedAt)).toISOString(),
    request_id: ctx.id,
    route_id: ctx.route?.id ?? '',
    status: ctx.loggedStatus,
    ...ctx.llmLog,
  });
}

function toLlmLogParts(ctx: RequestContext, served: LlmAttemptTarget): LlmLogParts | null {
  const call = ctx.llm;
  if (call === null) return null;
  const { logsSummaries, logsPayloads } = served.instance.target;
  const stream = call.requestType === 'ai_stream';
  return {
    ...(logsSummaries && {
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
    ...(logsPayloads && {
      llm_request: { messages: served.requestMessages, stream },
      ...(call.responseText !== null && { llm_response_text: { content: call.responseText } }),
    }),
  };
}

function responseTimeMs(ctx: RequestContext): number | undefined {
  const milliseconds = ctx.attempts.at(-1)?.responseMs;
  return milliseconds === undefined ? undefined : Math.floor(milliseconds);
}
