import { isJsonObject, type JsonObject } from '../json.ts';
import { lastUserTextIn, textsIn, toMessages } from './message-text.ts';
import type { AddedMessage, PromptFormat, PromptMessage } from './prompt-format.ts';

/**
 * Instructions and input are one question. What is put before it becomes instructions, what is put behind it input,
 * whatever its role is. https://platform.openai.com/docs/api-reference/responses/create
 */
export const openaiResponsesPrompts: PromptFormat = {
  protocol: 'openai-responses',
  hasTurns: false,
  messages(body) {
    const { instructions, input } = body;
    const system = typeof instructions === 'string' ? toMessages('system', [instructions]) : [];
    return [...system, ...(Array.isArray(input) ? input.flatMap(messageOf) : toMessages('user', textsIn(input)))];
  },
  lastUserText({ input }) {
    return lastUserTextIn(Array.isArray(input) ? input.map(toUserMessage) : [toUserMessage(input)]);
  },
  prepend(body, added) {
    const { instructions } = body;
    return { ...body, instructions: joinLines([...contents(added), instructions]) };
  },
  append(body, added) {
    const { input } = body;
    if (!Array.isArray(input)) return { ...body, input: joinLines([input, ...contents(added)]) };
    return { ...body, input: [...input, { type: 'message', role: 'user', content: joinLines(contents(added)) }] };
  },
};

/** An item of `input`: a message, a part of one, or the output of a tool. What names no role counts as the user's. */
function messageOf(item: unknown): PromptMessage[] {
  if (!isJsonObject(item)) return toMessages('user', textsIn(item));
  return toMessages(item['role'] ?? 'user', textsOfItem(item));
}

/** Parts of messages, which may also stand for one. */
const bareInputs: ReadonlySet<unknown> = new Set(['input_text', 'input_image', 'input_file']);

/** What is the user's own without saying so, in the form that says so; other items are left as they are. */
function toUserMessage(item: unknown): unknown {
  if (typeof item === 'string') return { role: 'user', content: item };
  return isJsonObject(item) && bareInputs.has(item['type']) ? { role: 'user', content: [item] } : item;
}

function textsOfItem(item: JsonObject): string[] {
  if (item['content'] !== undefined) return textsIn(item['content']);
  return [...textsIn(item['text']), ...textsIn(item['output'])];
}

function contents(added: readonly AddedMessage[]): string[] {
  return added.map(({ content }) => content);
}

/** What is no string is left out. */
function joinLines(texts: readonly unknown[]): string {
  return texts.filter((text) => typeof text === 'string').join('\n');
}
