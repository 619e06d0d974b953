import { isJsonObject, type JsonObject } from '../json.ts';
import { tokenCount, type UsageReport } from '../usage.ts';

/**
 * Reads the `usage` member of OpenAI's chat and embeddings formats, answers and stream events alike.
 *
 * @returns null when there is none or it is null, as in all but the last event of a stream.
 * @see https://platform.openai.com/docs/api-reference/chat/object
 * @see https://api-docs.deepseek.com/api/create-chat-completion for prompt_cache_hit_tokens
 */
export function readOpenaiUsage(answer: JsonObject): UsageReport | null {
  const raw = answer['usage'];
  if (!isJsonObject(raw)) return null;
  const promptDetails = isJsonObject(raw['prompt_tokens_details']) ? raw['prompt_tokens_details'] : {};
  const completionDetails = isJsonObject(raw['completion_tokens_details']) ? raw['completion_tokens_details'] : {};
  const promptTokens = tokenCount(raw['prompt_tokens']);
  const completionTokens = tokenCount(raw['completion_tokens']);
  return {
    usage: {
      promptTokens,
      completionTokens,
      totalTokens: tokenCount(raw['total_tokens']) || promptTokens + completionTokens,
      cacheReadInputTokens: tokenCount(promptDetails['cached_tokens']) || tokenCount(raw['prompt_cache_hit_tokens']),
      cacheCreationInputTokens:
        tokenCount(promptDetails['cache_creation_input_tokens']) || tokenCount(promptDetails['cache_write_tokens']),
      reasoningTokens: tokenCount(completionDetails['reasoning_tokens']),
    },
    raw,
  };
}
