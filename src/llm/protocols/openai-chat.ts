import { isJsonContainer, isJsonObject, type JsonObject } from '../json.ts';
import { isOpenaiErrorEvent, renderOpenaiError, renderOpenaiErrorEvent } from './openai-error.ts';
import { readOpenaiUsage } from './openai-usage.ts';
import type { Protocol } from './protocol.ts';

/** OpenAI Chat Completions, spoken by most providers. https://platform.openai.com/docs/api-reference/chat */
export const openaiChat: Protocol = {
  name: 'openai-chat',
  keepsRequestLine: false,

  matches: (_path, body) => isJsonContainer(body['messages']),
  isStreaming: (body) => body['stream'] === true,
  prepareStream(body) {
    const given = isJsonObject(body['stream_options']) ? body['stream_options'] : {};
    if (given['include_usage'] === true) return body;
    return { ...body, stream_options: { ...given, include_usage: true } };
  },
  endUserId(body) {
    const id = body['safety_identifier'] ?? body['user'];
    return typeof id === 'string' ? id : '';
  },
  requestMessages: (body) => body['messages'],

  // The members of a usage object end in `_tokens`; `"usage":null`, which OpenAI sends in every event, does not match,
  // nor do null or empty tool_calls.
  streamMarkers: /_(?:tokens"|calls"\s*:\s*\[\s*[^\]\s])|\[DONE\]|"error"\s*:\s*[{"]/,
  isDone: (event) => event.data === '[DONE]',
  isError: isOpenaiErrorEvent,

  toolCallMarker: 'tool_calls"',
  usageOf: readOpenaiUsage,
  hasToolCalls: (answer) => choiceParts(answer).some((part) => isFilledArray(part['tool_calls'])),
  textOf(answer) {
    const texts = choiceParts(answer)
      .map(contentOf)
      .filter((text) => text !== '');
    return texts.length === 0 ? null : texts.join(' ');
  },
  deltaTextOf: (event) => choiceParts(event).map(contentOf).join(''),

  renderError: renderOpenaiError,
  renderErrorEvent: renderOpenaiErrorEvent,
};

/** The `message` (answer) or `delta` (event) of every choice. */
function choiceParts(answer: JsonObject): JsonObject[] {
  const choices = answer['choices'];
  if (!Array.isArray(choices)) return [];
  const parts: JsonObject[] = [];
  for (const choice of choices) {
    if (!isJsonObject(choice)) continue;
    const part = choice['message'] ?? choice['delta'];
    if (isJsonObject(part)) parts.push(part);
  }
  return parts;
}

function contentOf(part: JsonObject): string {
  return typeof part['content'] === 'string' ? part['content'] : '';
}

function isFilledArray(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}
