import { isJsonObject, type JsonObject } from '../json.ts';
import { tokenCount, type UsageReport } from '../usage.ts';
import { renderOpenaiError, renderOpenaiErrorEvent } from './openai-error.ts';
import type { Protocol } from './protocol.ts';

/**
 * Vertex AI's `predict` for text embeddings. No client speaks it to Weir: it is what `embeddings-to-vertex.ts` converts to.
 * https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api
 */
export const vertexPredict: Protocol = {
  name: 'vertex-predict',
  keepsRequestLine: false,

  matches: () => false,
  isStreaming: () => false,
  modelInPath: null,
  prepareStream: null,
  toolsOf: () => undefined,
  endUserId: () => '',
  requestMessages: (body) => body['instances'],

  streamMarkers: null,
  isDone: () => false,
  hasFinishReason: null,
  isError: () => false,

  toolCallMarker: null,
  usageOf: readUsage,
  hasToolCalls: () => false,
  textOf: () => null,
  deltaTextOf: () => '',

  // Whoever gets to see an error speaks OpenAI's protocol.
  renderError: renderOpenaiError,
  renderErrorEvent: renderOpenaiErrorEvent,
};

/**
 * The texts are counted one by one, in `statistics` of each prediction.
 *
 * @returns null for what is no list of predictions. `raw` is shaped as OpenAI's usage, for there is no such object here.
 */
function readUsage(answer: JsonObject): UsageReport | null {
  const { predictions } = answer;
  if (!Array.isArray(predictions)) return null;
  const tokens = predictions.map(countOf).reduce((sum, count) => sum + count, 0);
  return {
    usage: {
      promptTokens: tokens,
      completionTokens: 0,
      totalTokens: tokens,
      cacheReadInputTokens: 0,
      cacheCreationInputTokens: 0,
      reasoningTokens: 0,
    },
    raw: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

function countOf(prediction: unknown): number {
  const embeddings = isJsonObject(prediction) ? prediction['embeddings'] : null;
  const statistics = isJsonObject(embeddings) ? embeddings['statistics'] : null;
  return isJsonObject(statistics) ? tokenCount(statistics['token_count']) : 0;
}
