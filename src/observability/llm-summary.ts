/** What is known of an LLM call when it has ended. */
export interface LlmFacts {
  /** Model that the client asked for, empty when it named none. */
  readonly requestModel: string;
  /** Model that the provider was asked for. */
  readonly model: string;
  /** Milliseconds until the first token, 0 when none came. */
  readonly timeToFirstTokenMs: number;
  /** Milliseconds until the provider's answer was complete; `undefined` when there was none. */
  readonly upstreamResponseTimeMs: number | undefined;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly totalTokens: number;
  readonly stream: boolean;
  /** Number of tools in the request. */
  readonly toolCount: number;
  /** True when the answer calls a tool. */
  readonly hasToolCalls: boolean;
  readonly endUserId: string;
  readonly cacheReadInputTokens: number;
  readonly cacheCreationInputTokens: number;
  readonly reasoningTokens: number;
  /** Verdict of content moderation, empty when there was none. */
  readonly contentRiskLevel: string;
}

/** The `llm_summary` object of APISIX's loggers. Texts where one would expect numbers and booleans are theirs. */
export interface LlmSummary {
  readonly request_model: string;
  readonly model: string;
  /** Time to first token in milliseconds, not the whole duration. */
  readonly duration: string;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly upstream_response_time?: number;
  readonly stream: 'true' | 'false';
  readonly tool_count: number;
  readonly has_tool_calls: 'true' | 'false';
  readonly end_user_id: string;
  readonly cache_read_input_tokens: number;
  readonly cache_creation_input_tokens: number;
  readonly reasoning_tokens: number;
  readonly content_risk_level: string;
}

/** Writes the facts of a call as APISIX's loggers do. */
export function toLlmSummary(facts: LlmFacts): LlmSummary {
  return {
    request_model: facts.requestModel,
    model: facts.model,
    duration: String(facts.timeToFirstTokenMs),
    prompt_tokens: facts.promptTokens,
    completion_tokens: facts.completionTokens,
    total_tokens: facts.totalTokens,
    ...(facts.upstreamResponseTimeMs !== undefined && { upstream_response_time: facts.upstreamResponseTimeMs }),
    stream: facts.stream ? 'true' : 'false',
    tool_count: facts.toolCount,
    has_tool_calls: facts.hasToolCalls ? 'true' : 'false',
    end_user_id: facts.endUserId,
    cache_read_input_tokens: facts.cacheReadInputTokens,
    cache_creation_input_tokens: facts.cacheCreationInputTokens,
    reasoning_tokens: facts.reasoningTokens,
    content_risk_level: facts.contentRiskLevel,
  };
}
