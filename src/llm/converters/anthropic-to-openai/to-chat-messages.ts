import { WeirError } from '../../../base/errors.ts';
import { isJsonObject, type JsonObject } from '../../json.ts';
import { toChatParts } from './to-chat-parts.ts';
import { toSystemText } from './to-system-text.ts';
import type { ToolNames } from './tool-names.ts';

/**
 * The messages of the chat request: the system prompt, then what was said and done.
 *
 * @returns A WeirError (400, LLM_CONVERSION) that counts from 1, as APISIX does.
 * @throws RangeError when the arguments of a tool are nested deeper than the stack allows.
 */
export function toChatMessages(body: JsonObject, toolNames: ToolNames): JsonObject[] | WeirError {
  const given: unknown = body['messages'];
  if (!Array.isArray(given) || given.length === 0) return new WeirError('LLM_CONVERSION', ['missing messages']);

  const system = toSystemText(body['system']);
  const messages: JsonObject[] = system === '' ? [] : [{ role: 'system', content: system }];
  for (const [index, message] of given.entries()) {
    if (!isJsonObject(message) || typeof message['role'] !== 'string') {
      return new WeirError('LLM_CONVERSION', [`invalid message at index ${index + 1}`]);
    }
    const { role, content } = message;
    if (typeof content === 'string') messages.push({ role, content });
    else if (Array.isArray(content)) addMessages(messages, role, sortBlocks(content, toolNames));
    else return new WeirError('LLM_CONVERSION', [`invalid message content at index ${index + 1}`]);
  }
  return messages;
}

/** The blocks of one message, by where they go. */
interface Blocks {
  /** Text and images, as parts of a chat message. */
  readonly parts: JsonObject[];
  readonly toolCalls: JsonObject[];
  /** Messages of their own. */
  readonly toolResults: JsonObject[];
}

/** One Messages message becomes the results of tools, which must follow the calls at once, and what else it says. */
function addMessages(messages: JsonObject[], role: string, { parts, toolCalls, toolResults }: Blocks): void {
  for (const result of toolResults) messages.push(result);
  if (role === 'user') {
    // Empty lists of parts are refused.
    if (parts.length > 0) messages.push({ role, content: parts });
    else if (toolResults.length === 0) messages.push({ role, content: '' });
    return;
  }
  const text = parts.map((part) => (typeof part['text'] === 'string' ? part['text'] : '')).join('');
  if (toolCalls.length > 0) messages.push({ role, content: text === '' ? null : text, tool_calls: toolCalls });
  else messages.push({ role, content: text });
}

/** Blocks of other types are left out: the thinking of another model, and what only Anthropic's own tools write. */
function sortBlocks(content: readonly unknown[], toolNames: ToolNames): Blocks {
  const blocks: Blocks = { parts: [], toolCalls: [], toolResults: [] };
  for (const block of content) {
    if (!isJsonObject(block)) continue;
    const { type, id, name, tool_use_id: toolUseId } = block;
    if (type === 'tool_use') {
      if (typeof id !== 'string' || typeof name !== 'string') continue;
      const input = isJsonObject(block['input']) ? block['input'] : {};
      const call = { name: toolNames.toOpenai(name), arguments: JSON.stringify(input) };
      blocks.toolCalls.push({ id, type: 'function', function: call });
    } else if (type === 'tool_result') {
      if (typeof toolUseId !== 'string') continue;
      const result = readToolResult(block);
      blocks.toolResults.push({ role: 'tool', tool_call_id: toolUseId, content: result.text });
      for (const image of result.images) blocks.parts.push(image);
    } else {
      for (const part of toChatParts(block)) blocks.parts.push(part);
    }
  }
  return blocks;
}

/**
 * Messages of tools can hold text only: images are handed back, for the user's message that follows. Chat Completions has
 * no flag for failures, so the text says it.
 */
function readToolResult(block: JsonObject): { readonly text: string; readonly images: readonly JsonObject[] } {
  const { content, is_error: isError } = block;
  const texts: string[] = [];
  const images: JsonObject[] = [];
  for (const item of Array.isArray(content) ? content : [content]) {
    if (typeof item === 'string') texts.push(item);
    if (!isJsonObject(item)) continue;
    const parts = toChatParts(item);
    for (const part of parts) {
      if (typeof part['text'] === 'string') texts.push(part['text']);
      else images.push(part);
    }
    // Search results and the like: the model reads JSON.
    if (parts.length === 0) texts.push(JSON.stringify(item));
  }
  return { text: `${isError === true ? 'Error: ' : ''}${texts.join('\n')}`, images };
}
