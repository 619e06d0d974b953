import { WeirError } from '../../../base/errors.ts';
import { isJsonObject, type JsonObject } from '../../json.ts';
import { toStrictSchema } from './strict-schema.ts';
import { toChatMessages } from './to-chat-messages.ts';
import { toChatTools } from './to-chat-tools.ts';
import type { ToolNames } from './tool-names.ts';

/**
 * Builds the chat request that says what a Messages request says. Only what is known here is taken over: whatever else
 * the client sent means nothing to the provider.
 *
 * @param toolNames - Learns the names that have to be turned back in the answer.
 * @returns A WeirError (400, LLM_CONVERSION) for messages or tools that cannot be understood.
 * @throws RangeError when the request is nested deeper than the stack allows.
 */
export function toChatRequest(body: JsonObject, toolNames: ToolNames): JsonObject | WeirError {
  const messages = toChatMessages(body, toolNames);
  if (messages instanceof WeirError) return messages;
  const tools = toChatTools(body, toolNames);
  if (tools instanceof WeirError) return tools;
  return { ...toChatParameters(body), messages, ...tools };
}

function toChatParameters(body: JsonObject): JsonObject {
  const parameters: Record<string, unknown> = {};
  const set = (name: string, value: unknown): void => {
    if (value !== undefined && value !== null) parameters[name] = value;
  };
  const { stop_sequences: stop, service_tier: serviceTier, stream } = body;
  const metadata = objectOrEmpty(body['metadata']);

  set('model', body['model']);
  set('temperature', body['temperature']);
  set('top_p', body['top_p']);
  set('max_completion_tokens', body['max_tokens']);
  if (typeof serviceTier === 'string') set('service_tier', serviceTier);
  // OpenAI refuses an empty list.
  if (Array.isArray(stop) && stop.length > 0) set('stop', stop);
  if (typeof metadata['user_id'] === 'string') set('user', metadata['user_id']);
  set('reasoning_effort', reasoningEffort(body));
  set('response_format', responseFormat(body));
  if (typeof stream === 'boolean') set('stream', stream);
  // Without it the provider would report no usage, which Anthropic's clients always get.
  if (stream === true) set('stream_options', { include_usage: true });
  return parameters;
}

/** Anthropic bounds thinking by a budget in tokens, or leaves it to the model (`adaptive`); OpenAI knows levels of effort. */
function reasoningEffort(body: JsonObject): string | null {
  const { type, budget_tokens: budget } = objectOrEmpty(body['thinking']);
  if (type === 'adaptive') {
    const { effort } = objectOrEmpty(body['output_config']);
    return typeof effort === 'string' && effort !== '' ? effort : 'medium';
  }
  if (type !== 'enabled' || typeof budget !== 'number') return null;
  if (budget < 1024) return 'minimal';
  if (budget < 2048) return 'low';
  return budget < 4096 ? 'medium' : 'high';
}

function responseFormat(body: JsonObject): JsonObject | null {
  for (const format of [body['output_format'], objectOrEmpty(body['output_config'])['format']]) {
    if (!isJsonObject(format) || format['type'] !== 'json_schema' || !isJsonObject(format['schema'])) continue;
    const schema = toStrictSchema(format['schema']);
    return { type: 'json_schema', json_schema: { name: 'structured_output', strict: true, schema } };
  }
  return null;
}

function objectOrEmpty(value: unknown): JsonObject {
  return isJsonObject(value) ? value : {};
}
