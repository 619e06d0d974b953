import { isJsonObject, type JsonObject } from '../json.ts';
import { tokenCount, type UsageReport } from '../usage.ts';
import { renderAnthropicError, renderAnthropicErrorEvent } from './anthropic-error.ts';
import { asksForStream } from './asks-for-stream.ts';
import { eventType } from './event-type.ts';
import { objectsIn } from './objects-in.ts';
import type { Protocol } from './protocol.ts';

/** Anthropic Messages. https://platform.claude.com/docs/en/api/messages */
export const anthropicMessages: Protocol = {
  name: 'anthropic-messages',
  keepsRequestLine: false,

  matches: (path) => path.endsWith('/v1/messages'),
  isStreaming: asksForStream,
  modelInPath: null,
  // Usage is in the first and the last events without being asked for.
  prepareStream: null,
  toolsOf: (body) => body['tools'],
  endUserId(body) {
    const id = isJsonObject(body['metadata']) ? body['metadata']['user_id'] : undefined;
    return typeof id === 'string' ? id : '';
  },
  requestMessages: (body) => body['messages'],

  // All but pieces of a block and its end.
  streamMarkers: /^(?!(?:event: ?|data: ?\{"type": ?")?content_block_(?:delta|stop)["\r\n])/,
  isDone(event) {
    const type = eventType(event);
    return type === 'message_stop' || type === 'error';
  },
  hasFinishReason: null,
  isError: (event) => eventType(event) === 'error',

  toolCallMarker: '"tool_use"',
  // `message_start` carries the message, with what is known of its usage by then.
  usageOf: (answer) =>
    readUsage(answer['usage']) ?? (isJsonObject(answer['message']) ? readUsage(answer['message']['usage']) : null),
  hasToolCalls: (answer) =>
    objectsIn(answer['content']).some(isToolUse) ||
    (isJsonObject(answer['content_block']) && isToolUse(answer['content_block'])),
  textOf(answer) {
    const texts = objectsIn(answer['content'])
      .map((block) => (block['type'] === 'text' && typeof block['text'] === 'string' ? block['text'] : ''))
      .filter((text) => text !== '');
    return texts.length === 0 ? null : texts.join(' ');
  },
  deltaTextOf(event) {
    const delta = event['delta'];
    if (!isJsonObject(delta) || delta['type'] !== 'text_delta') return '';
    return typeof delta['text'] === 'string' ? delta['text'] : '';
  },

  renderError: renderAnthropicError,
  renderErrorEvent: renderAnthropicErrorEvent,
};

/** A tool that the client runs; those that Anthropic runs itself are `server_tool_use`. */
function isToolUse(block: JsonObject): boolean {
  return block['type'] === 'tool_use';
}

/** `input_tokens` leaves out what was read from or written to the cache, and so does the total, as APISIX counts it. */
function readUsage(raw: unknown): UsageReport | null {
  if (!isJsonObject(raw)) return null;
  const outputDetails = isJsonObject(raw['output_tokens_details']) ? raw['output_tokens_details'] : {};
  const promptTokens = tokenCount(raw['input_tokens']);
  const completionTokens = tokenCount(raw['output_tokens']);
  return {
    usage: {
      promptTokens,
      completionTokens,
      totalTokens: promptTokens + completionTokens,
      cacheReadInputTokens: tokenCount(raw['cache_read_input_tokens']),
      cacheCreationInputTokens: tokenCount(raw['cache_creation_input_tokens']),
      reasoningTokens: tokenCount(outputDetails['thinking_tokens']),
    },
    raw,
  };
}
