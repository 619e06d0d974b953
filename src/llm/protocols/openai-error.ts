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

/** An event whose JSON has a member `error` that says something, as OpenAI and those who follow it write it. */
export function isOpenaiErrorEvent(event: StreamEvent): boolean {
  const error = parseJsonObject(event.data)?.['error'];
  return isJsonObject(error) || (typeof error === 'string' && error !== '');
}

function errorJson(error: WeirError): string {
  const type = error.blame === 'client' ? 'invalid_request_error' : 'server_error';
  return JSON.stringify({ error: { message: error.message, type, param: null, code: error.code } });
}
