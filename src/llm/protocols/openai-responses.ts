import type { StreamEvent } from '../framing/stream-event.ts';
import { isJsonObject, type JsonObject } from '../json.ts';
import { tokenCount, type UsageReport } from '../usage.ts';
import { asksForStream } from './asks-for-stream.ts';
import { eventType } from './event-type.ts';
import { objectsIn } from './objects-in.ts';
import { openaiEndUserId } from './openai-end-user.ts';
import { isOpenaiErrorEvent, renderOpenaiError, renderResponsesErrorEvent } from './openai-error.ts';
import type { Protocol } from './protocol.ts';

const finalTypes: ReadonlySet<string> = new Set([
  'response.completed',
  'response.failed',
  'response.incomplete',
  'error',
]);

/** OpenAI Responses. https://platform.openai.com/docs/api-reference/responses */
export const openaiResponses: Protocol = {
  name: 'openai-responses',
  keepsRequestLine: false,

  matches: (path, body) => path.endsWith('/v1/responses') && body['input'] !== undefined,
  isStreaming: asksForStream,
  modelInPath: null,
  // Usage is in the last event without being asked for.
  prepareStream: null,
  toolsOf: (body) => body['tools'],
  endUserId: openaiEndUserId,
  requestMessages: (body) => body['input'],

  // All but pieces of text, reasoning, arguments and audio, and the beginnings of an image, which are a megabyte each.
  streamMarkers: /^(?!(?:event: ?|data: ?\{"type": ?")?response\.[a-z_.]*(?:\.delta|\.partial_image)["\r\n])/,
  isDone: (event) => finalTypes.has(eventType(event)),
  hasFinishReason: null,
  isError: isErrorEvent,

  toolCallMarker: '"function_call"',
  usageOf: (answer) => readUsage(answer['usage']) ?? readUsage(responseOf(answer)['usage']),
  hasToolCalls: (answer) =>
    outputItems(answer).some(isFunctionCall) || (isJsonObject(answer['item']) && isFunctionCall(answer['item'])),
  textOf(answer) {
    const texts = outputItems(answer)
      .flatMap((item) => objectsIn(item['content']))
      .map((part) => (part['type'] === 'output_text' && typeof part['text'] === 'string' ? part['text'] : ''))
      .filter((text) => text !== '');
    return texts.length === 0 ? null : texts.join(' ');
  },
  deltaTextOf: (event) =>
    event['type'] === 'response.output_text.delta' && typeof event['delta'] === 'string' ? event['delta'] : '',

  renderError: renderOpenaiError,
  renderErrorEvent: renderResponsesErrorEvent,
};

function isErrorEvent(event: StreamEvent): boolean {
  const type = eventType(event);
  // Some servers write the same errors into the streams of all their APIs, without name and type.
  return type === 'error' || type === 'response.failed' || (type === '' && isOpenaiErrorEvent(event));
}

/** Events about the whole answer carry it as `response`. */
function responseOf(answer: JsonObject): JsonObject {
  return isJsonObject(answer['response']) ? answer['response'] : answer;
}

function outputItems(answer: JsonObject): JsonObject[] {
  return objectsIn(responseOf(answer)['output']);
}

function isFunctionCall(item: JsonObject): boolean {
  return item['type'] === 'function_call';
}

function readUsage(raw: unknown): UsageReport | null {
  if (!isJsonObject(raw)) return null;
  const inputDetails = isJsonObject(raw['input_tokens_details']) ? raw['input_tokens_details'] : {};
  const outputDetails = isJsonObject(raw['output_tokens_details']) ? raw['output_tokens_details'] : {};
  const promptTokens = tokenCount(raw['input_tokens']);
  const completionTokens = tokenCount(raw['output_tokens']);
  return {
    usage: {
      promptTokens,
      completionTokens,
      totalTokens: tokenCount(raw['total_tokens']) || promptTokens + completionTokens,
      cacheReadInputTokens: tokenCount(inputDetails['cached_tokens']),
      cacheCreationInputTokens: tokenCount(inputDetails['cache_write_tokens']),
      reasoningTokens: tokenCount(outputDetails['reasoning_tokens']),
    },
    raw,
  };
}
