import { isJsonObject, parseJsonObject, type JsonObject } from '../json.ts';
import type { StreamEvent } from './stream-event.ts';

const maxErrorText = 200;

/**
 * What an event that reports an error says, for the log: `code: message`, at most 200 UTF-16 units. The code may be
 * called `type`, or be the name of the event; data that is no JSON stands for itself.
 *
 * The error is looked for where providers put it: in `error` (OpenAI, Anthropic), in `response.error` (OpenAI's
 * `response.failed`), or in the data itself (OpenAI's `error`, the exceptions of AWS).
 */
export function errorText(event: StreamEvent): string {
  const json = parseJsonObject(event.data);
  const error = json === null ? event.data : errorIn(json);
  if (!isJsonObject(error)) return String(error).slice(0, maxErrorText);
  const name = event.event === 'message' ? '' : event.event;
  const code = wordOf(error['code']) || (error === json ? name : wordOf(error['type']) || name);
  const message = wordOf(error['message']);
  return (code === '' || message === '' ? code + message : `${code}: ${message}`).slice(0, maxErrorText);
}

function errorIn(json: JsonObject): unknown {
  const response = json['response'];
  return json['error'] ?? (isJsonObject(response) ? response['error'] : null) ?? json;
}

function wordOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}
