import { asksForStream } from './asks-for-stream.ts';
import { renderOpenaiError, renderOpenaiErrorEvent } from './openai-error.ts';
import type { Protocol } from './protocol.ts';

/** Any other JSON API of a provider (images, rerank, moderation, ...): forwarded as it is, never interpreted. */
export const passthrough: Protocol = {
  name: 'passthrough',
  keepsRequestLine: true,

  matches: () => true,
  isStreaming: asksForStream,
  modelInPath: null,
  prepareStream: null,
  toolsOf: (body) => body['tools'],
  endUserId: () => '',
  requestMessages: () => undefined,

  streamMarkers: null,
  isDone: () => false,
  hasFinishReason: null,
  isError: () => false,

  toolCallMarker: null,
  usageOf: () => null,
  hasToolCalls: () => false,
  textOf: () => null,
  deltaTextOf: () => '',

  // Such requests mostly go to APIs in OpenAI's style.
  renderError: renderOpenaiError,
  renderErrorEvent: renderOpenaiErrorEvent,
};
