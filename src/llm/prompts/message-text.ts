import { isJsonObject, type JsonObject } from '../json.ts';
import type { PromptMessage } from './prompt-format.ts';

/** The array that a member holds; an empty one if it holds anything else. */
export function arrayIn(body: JsonObject, name: string): readonly unknown[] {
  const value = body[name];
  return Array.isArray(value) ? value : [];
}

/**
 * The texts in what a message may contain: a string, or parts of which some have a member `text`. Results of tools, which
 * clients write as well, contain the same again (`tool_result` of Messages, `toolResult` of Converse).
 */
export function textsIn(content: unknown): string[] {
  return textsOf(content, (part) => textsOf(toolResultOf(part)?.['content'], () => []));
}

/** The text of the last message of the user's that has any; results of tools have none. Parts are joined by spaces. */
export function lastUserTextIn(messages: readonly unknown[]): string {
  for (const message of messages.toReversed()) {
    if (!isJsonObject(message) || message['role'] !== 'user') continue;
    const text = textsOf(message['content'], () => []).join(' ');
    if (text.trim() !== '') return text;
  }
  return '';
}

function textsOf(content: unknown, textsOfOther: (part: JsonObject) => string[]): string[] {
  if (typeof content === 'string') return [content];
  if (!Array.isArray(content)) return [];
  return content.filter(isJsonObject).flatMap((part) => {
    return typeof part['text'] === 'string' ? [part['text']] : textsOfOther(part);
  });
}

function toolResultOf(part: JsonObject): JsonObject | null {
  if (part['type'] === 'tool_result') return part;
  return isJsonObject(part['toolResult']) ? part['toolResult'] : null;
}

/** A message of these texts; none if there are none. */
export function toMessages(role: unknown, texts: readonly string[]): PromptMessage[] {
  return texts.length === 0 ? [] : [{ role: typeof role === 'string' ? role : '', text: texts.join(' ') }];
}

/** The messages of a body whose `messages` have `role` and `content`. */
export function messagesIn(body: JsonObject): PromptMessage[] {
  return arrayIn(body, 'messages').flatMap((message) =>
    isJsonObject(message) ? toMessages(message['role'], textsIn(message['content'])) : [],
  );
}
