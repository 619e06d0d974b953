import { isJsonObject, parseJson, type JsonObject } from '../../json.ts';
import { readOpenaiUsage } from '../../protocols/openai-usage.ts';
import { noUsage } from '../../usage.ts';
import { toAnthropicError, unexpectedAnswerError } from './anthropic-error.ts';
import { anthropicMessage, toAnthropicUsage, toStopReason } from './anthropic-message.ts';
import { newToolUseId, readChatPart, type ChatPart } from './chat-part.ts';
import type { ToolNames } from './tool-names.ts';

interface AnswerFacts {
  /** The effective model; `''`: that of the answer. */
  readonly model: string;
  readonly status: number;
  readonly toolNames: ToolNames;
}

/**
 * Turns a whole chat answer into a Messages one.
 *
 * @returns Anthropic's error envelope for an error, and for what is no chat answer at all.
 */
export function toAnthropicAnswer(answer: JsonObject, { model, status, toolNames }: AnswerFacts): JsonObject {
  const error = toAnthropicError(answer, status);
  if (error !== null) return error;
  const choice: unknown = Array.isArray(answer['choices']) ? answer['choices'][0] : undefined;
  if (!isJsonObject(choice)) return unexpectedAnswerError(answer, status);

  const part = readChatPart(isJsonObject(choice['message']) ? choice['message'] : {});
  const content = toContent(part, toolNames);
  const finishReason = typeof choice['finish_reason'] === 'string' ? choice['finish_reason'] : null;
  const calledTool = content.some((block) => block['type'] === 'tool_use');
  return anthropicMessage({
    answer,
    model,
    content,
    stopReason: toStopReason(finishReason, calledTool),
    usage: toAnthropicUsage(readOpenaiUsage(answer)?.usage ?? noUsage),
  });
}

function toContent({ thinking, text, toolCalls }: ChatPart, toolNames: ToolNames): JsonObject[] {
  const content: JsonObject[] = [];
  if (thinking !== '') content.push({ type: 'thinking', thinking, signature: '' });
  if (text !== '') content.push({ type: 'text', text });
  for (const call of toolCalls) {
    // A call of nothing cannot be carried out.
    if (call.name === '') continue;
    content.push({
      type: 'tool_use',
      id: call.id || newToolUseId(),
      name: toolNames.toClient(call.name),
      input: readArguments(call.arguments),
    });
  }
  return content.length === 0 ? [{ type: 'text', text: '' }] : content;
}

/** Models make mistakes in their JSON: such a call has no arguments, and the client says what it misses. */
function readArguments(text: string): JsonObject {
  try {
    const input = parseJson(text);
    return isJsonObject(input) ? input : {};
  } catch {
    return {};
  }
}
