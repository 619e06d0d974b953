import { randomUUID } from 'node:crypto';
import type { JsonObject } from '../../json.ts';
import type { Usage } from '../../usage.ts';

interface MessageOptions {
  /** The provider's answer, or the first event of one: its `id` and `model` are read. */
  readonly answer: JsonObject;
  /** The effective model; `''`: that of the answer. */
  readonly model: string;
  readonly content: readonly JsonObject[];
  /** null: not known yet, as at the start of a stream. */
  readonly stopReason: string | null;
  readonly usage: JsonObject;
}

/** Anthropic's Message object. https://docs.anthropic.com/en/api/messages#response-id */
export function anthropicMessage({ answer, model, content, stopReason, usage }: MessageOptions): JsonObject {
  const { id, model: answeringModel } = answer;
  return {
    id: typeof id === 'string' && id !== '' ? messageId(id) : messageId(randomUUID().replaceAll('-', '')),
    type: 'message',
    role: 'assistant',
    model: model === '' && typeof answeringModel === 'string' ? answeringModel : model,
    content,
    stop_reason: stopReason,
    stop_sequence: null,
    usage,
  };
}

/** Clients expect the prefix; the rest lets the answer be found again at the provider. */
function messageId(id: string): string {
  return id.startsWith('msg_') ? id : `msg_${id}`;
}

/** Anthropic counts what was read from the cache beside the other input, OpenAI within it. */
export function toAnthropicUsage(usage: Usage): JsonObject {
  return {
    input_tokens: Math.max(0, usage.promptTokens - usage.cacheReadInputTokens),
    output_tokens: usage.completionTokens,
    cache_read_input_tokens: usage.cacheReadInputTokens,
    cache_creation_input_tokens: usage.cacheCreationInputTokens,
  };
}

/**
 * Why the model stopped, in Anthropic's words; `end_turn` for whatever has no other word.
 *
 * @param finishReason - null: the provider did not say.
 * @param calledTool - OpenAI says `stop` when the client had chosen the tool, others always do. Anthropic's clients run
 *   the tool only for `tool_use`.
 */
export function toStopReason(finishReason: string | null, calledTool: boolean): string {
  switch (finishReason) {
    case 'length':
      return 'max_tokens';
    case 'tool_calls':
    case 'function_call':
      return 'tool_use';
    case 'content_filter':
      return 'end_turn';
    default:
      return calledTool ? 'tool_use' : 'end_turn';
  }
}
