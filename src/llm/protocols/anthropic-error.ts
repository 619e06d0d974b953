import type { WeirError } from '../../base/errors.ts';
import { encodeSse } from '../framing/sse.ts';
import type { RenderedError } from './protocol.ts';

/** What Anthropic calls its errors, by status. https://platform.claude.com/docs/en/api/errors */
const typeOfStatus: ReadonlyMap<number, string> = new Map([
  [401, 'authentication_error'],
  [402, 'billing_error'],
  [403, 'permission_error'],
  [404, 'not_found_error'],
  [413, 'request_too_large'],
  [429, 'rate_limit_error'],
  // Anthropic itself answers 529 when it has no room; a gateway that stops or is full says 503.
  [503, 'overloaded_error'],
  [504, 'timeout_error'],
  [529, 'overloaded_error'],
]);

/** The type of an error of which only the status is known. */
export function anthropicErrorType(status: number): string {
  return typeOfStatus.get(status) ?? (status >= 400 && status < 500 ? 'invalid_request_error' : 'api_error');
}

/** `{"type":"error","error":{type,message,details}}`; `details.error_code`, the SDKs' `errorCode`, is Weir's stable code. */
export function renderAnthropicError(error: WeirError): RenderedError {
  return { contentType: 'application/json', body: errorJson(error) };
}

/** The event named `error` that ends a stream. https://platform.claude.com/docs/en/build-with-claude/streaming#error-events */
export function renderAnthropicErrorEvent(error: WeirError): Buffer {
  return Buffer.from(encodeSse({ event: 'error', data: errorJson(error) }));
}

function errorJson(error: WeirError): string {
  return JSON.stringify({
    type: 'error',
    error: { type: anthropicErrorType(error.status), message: error.message, details: { error_code: error.code } },
  });
}
