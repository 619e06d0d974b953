import { renderOpenaiError, renderOpenaiErrorEvent } from './openai-error.ts';
import { readOpenaiUsage } from './openai-usage.ts';
import type { Protocol } from './protocol.ts';

/** OpenAI Embeddings. https://platform.openai.com/docs/api-reference/embeddings */
export const openaiEmbeddings: Protocol = {
  name: 'openai-embeddings',
  keepsRequestLine: false,

  matches: (_path, body) => body['input'] !== undefined,
  isStreaming: () => false,
  modelInPath: null,
  prepareStream: null,
  toolsOf: () => undefined,
  endUserId: (body) => (typeof body['user'] === 'string' ? body['user'] : ''),
  requestMessages: (body) => body['input'],

  streamMarkers: null,
  isDone: () => false,
  hasFinishReason: null,
  isError: () => false,

  toolCallMarker: null,
  usageOf: readOpenaiUsage,
  hasToolCalls: () => false,
  textOf: () => null,
  deltaTextOf: () => '',

  renderError: renderOpenaiError,
  renderErrorEvent: renderOpenaiErrorEvent,
};
