import { isJsonContainer, isJsonObject, type JsonObject } from '../json.ts';
import { tokenCount, type UsageReport } from '../usage.ts';
import { isBedrockException, renderBedrockError, renderBedrockErrorEvent } from './bedrock-error.ts';
import { objectsIn } from './objects-in.ts';
import type { Protocol } from './protocol.ts';

/**
 * Amazon Bedrock's Converse and ConverseStream. Streams are frames of `application/vnd.amazon.eventstream`.
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
 */
export const bedrockConverse: Protocol = {
  name: 'bedrock-converse',
  keepsRequestLine: false,

  matches: (path, body) => path.endsWith('/converse') && isJsonContainer(body['messages']),
  isStreaming: (body) => body['stream'] === true,
  modelInPath: (path) => /\/model\/(.+)\/converse(?:-stream)?$/.exec(path)?.[1] ?? '',
  // The flag, which tells the gateway which of Bedrock's two operations to call, is one of the provider's `removes`.
  prepareStream: null,
  toolsOf: (body) => (isJsonObject(body['toolConfig']) ? body['toolConfig']['tools'] : undefined),
  endUserId: () => '',
  requestMessages: (body) => body['messages'],

  // The name of an event alone: a payload does not say what it is.
  streamMarkers: /^(?:metadata|messageStop|contentBlockStart|exception:)/,
  // Usage comes after the stop, in `metadata`; a stream that breaks between the two is complete for the client.
  isDone: (event) => event.event === 'messageStop' || event.event === 'metadata' || isBedrockException(event),
  hasFinishReason: null,
  isError: isBedrockException,

  toolCallMarker: '"toolUse"',
  usageOf: readUsage,
  hasToolCalls(answer) {
    const start = answer['start'];
    return (
      (isJsonObject(start) && isJsonObject(start['toolUse'])) ||
      contentBlocks(answer).some((block) => isJsonObject(block['toolUse']))
    );
  },
  textOf(answer) {
    const texts = contentBlocks(answer)
      .map(textMember)
      .filter((text) => text !== '');
    return texts.length === 0 ? null : texts.join(' ');
  },
  deltaTextOf: (event) => (isJsonObject(event['delta']) ? textMember(event['delta']) : ''),

  renderError: renderBedrockError,
  renderErrorEvent: renderBedrockErrorEvent,
};

/**
 * A request as Amazon's own clients make it: the path says that a stream is wanted, and mostly names the model.
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
 */
export const bedrockConverseStream: Protocol = {
  ...bedrockConverse,
  matches: (path, body) => path.endsWith('/converse-stream') && isJsonContainer(body['messages']),
  isStreaming: () => true,
};

/** Of a whole answer, or of the event `metadata`. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html */
function readUsage(answer: JsonObject): UsageReport | null {
  const raw = answer['usage'];
  if (!isJsonObject(raw)) return null;
  const promptTokens = tokenCount(raw['inputTokens']);
  const completionTokens = tokenCount(raw['outputTokens']);
  return {
    usage: {
      promptTokens,
      completionTokens,
      totalTokens: tokenCount(raw['totalTokens']) || promptTokens + completionTokens,
      cacheReadInputTokens: tokenCount(raw['cacheReadInputTokens']),
      cacheCreationInputTokens: tokenCount(raw['cacheWriteInputTokens']),
      reasoningTokens: 0,
    },
    raw,
  };
}

/** `output.message.content` of a whole answer. */
function contentBlocks(answer: JsonObject): JsonObject[] {
  const output = answer['output'];
  const message = isJsonObject(output) ? output['message'] : null;
  return isJsonObject(message) ? objectsIn(message['content']) : [];
}

function textMember(part: JsonObject): string {
  return typeof part['text'] === 'string' ? part['text'] : '';
}
