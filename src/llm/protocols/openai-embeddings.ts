import { renderOpenaiError, renderOpenaiErrorEvent } from './openai-error.ts';
import { readOpenaiUsage } from './openai-usage.ts';
import type { Protocol } from './protocol.ts';

/** OpenAI Embeddings. https://platform.openai.com/docs/api-reference/embeddings */
export const openaiEmbeddings: Protocol = {
  name: 'openai-embeddings',
  keepsRequestLine: false,

  // The Responses API has an `input` too; sent to an embeddings endpoint it would be answered with nonsense.
  matches: (path, body) => body['input'] !== undefined && !path.endsWith('/v1/responses'),
  isStreaming: () => false,
  prepareStream: null,
  endUserId: (body) => (typeof body['user'] === 'string' ? body['user'] : ''),
  requestMessages: (body) => body['input'],

  streamMarkers: null,
  isDone: () => false,
  isError: () => false,

  toolCallMarker: null,
  usageOf: readOpenaiUsage,
  hasToolCalls: () => false,
  textOf: () => null,
  deltaTextOf: () => '',

  renderError: renderOpenaiError,
  renderErrorEvent: renderOpenaiErrorEvent,
};
