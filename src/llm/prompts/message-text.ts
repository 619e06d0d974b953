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

/**
 * The text of the user's last message, its parts joined by spaces; '' if it has none, such as an image. Messages of
 * nothing but results of tools are not the user's own.
 */
export function lastUserTextIn(messages: readonly unknown[]): string {
  const last = messages.findLast(isUsersOwn);
  const text = isJsonObject(last) ? textsOf(last['content'], () => []).join(' ') : '';
  return text.trim() === '' ? '' : text;
}

function isUsersOwn(message: unknown): boolean {
  if (!isJsonObject(message) || message['role'] !== 'user') return false;
  const { content } = message;
  if (!Array.isArray(content) || content.length === 0) return true;
  return !content.every((part) => isJsonObject(part) && toolResultOf(part) !== null);
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
