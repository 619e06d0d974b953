import type { WeirError } from '../../base/errors.ts';
import { encodeSse } from '../framing/sse.ts';
import type { StreamEvent } from '../framing/stream-event.ts';
import { isJsonObject, parseJsonObject } from '../json.ts';
import type { RenderedError } from './protocol.ts';

/**
 * `{"error":{message,type,param,code}}`; `code` is Weir's stable code.
 * https://platform.openai.com/docs/guides/error-codes
 */
export function renderOpenaiError(error: WeirError): RenderedError {
  return { contentType: 'application/json', body: errorJson(error) };
}

/** OpenAI's SDKs raise an error for an event with an `error` member, in the middle of a stream too. */
export function renderOpenaiErrorEvent(error: WeirError): Buffer {
  return Buffer.from(encodeSse({ event: 'message', data: errorJson(error) }));
}

/**
 * The event `error` of the Responses API, whose members stand in the data itself.
 * https://platform.openai.com/docs/api-reference/responses-streaming/error
 *
 * @param eventsBefore - Events of the stream so far: they are numbered from 0.
 */
export function renderResponsesErrorEvent(error: WeirError, eventsBefore = 0): Buffer {
  const { code, message } = error;
  const data = JSON.stringify({ type: 'error', code, message, param: null, sequence_number: eventsBefore });
  return Buffer.from(encodeSse({ event: 'error', data }));
}

/** An event whose JSON has a member `error` that says something, as OpenAI and those who follow it write it. */
export function isOpenaiErrorEvent(event: StreamEvent): boolean {
  // Most have none; to parse `[DONE]` just to see it fail costs as much as twenty events.
  if (!event.data.includes('"error"')) return false;
  const error = parseJsonObject(event.data)?.['error'];
  return isJsonObject(error) || (typeof error === 'string' && error !== '');
}

function errorJson(error: WeirError): string {
  const type = error.blame === 'client' ? 'invalid_request_error' : 'server_error';
  return JSON.stringify({ error: { message: error.message, type, param: null, code: error.code } });
}
