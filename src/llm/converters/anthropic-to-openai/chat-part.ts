import { randomUUID } from 'node:crypto';
import { isJsonObject, type JsonObject } from '../../json.ts';

/** What the `message` of a chat answer, or the `delta` of one event, says. `''`: nothing. */
export interface ChatPart {
  readonly thinking: string;
  readonly text: string;
  readonly toolCalls: readonly ChatToolCall[];
}

/** One call of a tool, or a piece of one. */
export interface ChatToolCall {
  /** Which call of the answer a piece belongs to; null: the provider did not say. */
  readonly index: number | null;
  readonly id: string;
  readonly name: string;
  /** JSON text, or a piece of it. */
  readonly arguments: string;
}

/**
 * Reads a part of an answer, whoever wrote it.
 *
 * @see https://api-docs.deepseek.com/guides/reasoning_model for reasoning_content
 * @see https://openrouter.ai/docs/use-cases/reasoning-tokens for reasoning
 */
export function readChatPart(part: JsonObject): ChatPart {
  const { tool_calls: toolCalls } = part;
  return {
    thinking: textOrEmpty(part['reasoning_content']) || textOrEmpty(part['reasoning']),
    text: contentText(part['content']) || textOrEmpty(part['refusal']),
    toolCalls: Array.isArray(toolCalls) ? toolCalls.filter(isJsonObject).map(readToolCall) : [],
  };
}

/** An identifier for a call that the provider left without one: the client has to name it when it sends the result. */
export function newToolUseId(): string {
  return `toolu_${randomUUID().replaceAll('-', '')}`;
}

function readToolCall(call: JsonObject): ChatToolCall {
  const { index } = call;
  const called = isJsonObject(call['function']) ? call['function'] : {};
  const { arguments: given } = called;
  return {
    index: typeof index === 'number' ? index : null,
    id: textOrEmpty(call['id']),
    name: textOrEmpty(called['name']),
    arguments: isJsonObject(given) ? jsonText(given) : textOrEmpty(given),
  };
}

/** Some servers write the object where OpenAI writes its text. */
function jsonText(value: JsonObject): string {
  try {
    return JSON.stringify(value);
  } catch {
    // Nested deeper than the stack allows.
    return '';
  }
}

/** Some providers write parts where OpenAI writes a text. */
function contentText(content: unknown): string {
  if (!Array.isArray(content)) return textOrEmpty(content);
  return content.map((part: unknown) => (isJsonObject(part) ? textOrEmpty(part['text']) : '')).join('');
}

function textOrEmpty(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
