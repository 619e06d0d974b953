import { isJsonContainer, isJsonObject, type JsonObject } from '../json.ts';
import { asksForStream } from './asks-for-stream.ts';
import { objectsIn } from './objects-in.ts';
import { openaiEndUserId } from './openai-end-user.ts';
import { isOpenaiErrorEvent, renderOpenaiError, renderOpenaiErrorEvent } from './openai-error.ts';
import { readOpenaiUsage } from './openai-usage.ts';
import type { Protocol } from './protocol.ts';

/** Anthropic's SDK asks there what a prompt would cost: sent on as a chat, the answer would be paid for and be wrong. */
export const countTokensPath = '/messages/count_tokens';

/** OpenAI Chat Completions, spoken by most providers. https://platform.openai.com/docs/api-reference/chat */
export const openaiChat: Protocol = {
  name: 'openai-chat',
  keepsRequestLine: false,

  matches: (path, body) => isJsonContainer(body['messages']) && !path.endsWith(countTokensPath),
  isStreaming: asksForStream,
  modelInPath: null,
  prepareStream(body) {
    const given = isJsonObject(body['stream_options']) ? body['stream_options'] : {};
    if (given['include_usage'] === true) return body;
    return { ...body, stream_options: { ...given, include_usage: true } };
  },
  toolsOf: (body) => body['tools'],
  endUserId: openaiEndUserId,
  requestMessages: (body) => body['messages'],

  // The members of a usage object end in `_tokens`; `"usage":null`, which OpenAI sends in every event, does not match,
  // nor do null or empty tool_calls and finish_reasons. The end of `"error":` is searched and not all of it: with a quote
  // for a first character the whole search takes almost three times as long (235 and 85 ns for an event of OpenAI).
  streamMarkers: /_(?:tokens"|calls"\s*:\s*\[\s*[^\]\s]|reason"\s*:\s*"[^"])|\[DONE\]|ror"\s*:\s*[{"]/,
  isDone: (event) => event.data === '[DONE]',
  hasFinishReason: (event) => objectsIn(event['choices']).some(isFinished),
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

/** Some servers write `"null"` or `""` while the answer goes on. */
function isFinished({ finish_reason: reason }: JsonObject): boolean {
  return typeof reason === 'string' && reason !== '' && reason !== 'null';
}

/** The `message` (answer) or `delta` (event) of every choice. */
function choiceParts(answer: JsonObject): JsonObject[] {
  return objectsIn(answer['choices'])
    .map((choice) => choice['message'] ?? choice['delta'])
    .filter(isJsonObject);
}

function contentOf(part: JsonObject): string {
  return typeof part['content'] === 'string' ? part['content'] : '';
}

function isFilledArray(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}
