import { isJsonObject, type JsonObject } from '../json.ts';
import type { PromptMessage } from './prompt-format.ts';

/** The array that a member holds; an empty one if it holds anything else. */
export function arrayIn(body: JsonObject, name: string): readonly unknown[] {
  const value = body[name];
  return Array.isArray(value) ? value : [];
}

/** The texts in what a message may contain: a string, or parts of which some have a member `text`. */
export function textsIn(content: unknown): string[] {
  if (typeof content === 'string') return [content];
  if (!Array.isArray(content)) return [];
  const texts: string[] = [];
  for (const part of content) {
    if (isJsonObject(part) && typeof part['text'] === 'string') texts.push(part['text']);
  }
  return texts;
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
