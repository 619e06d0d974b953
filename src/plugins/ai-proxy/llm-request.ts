import { WeirError } from '../../base/errors.ts';
import { detectProtocol } from '../../llm/protocols/index.ts';
import type { Protocol } from '../../llm/protocols/protocol.ts';
import { isJsonContentType, parseRequestBody, type RequestBody } from '../../llm/request-body.ts';
import type { RequestContext } from '../../pipeline/context.ts';

/** A client's call to an LLM, understood: what every provider is asked the same way. */
export interface LlmRequest {
  readonly protocol: Protocol;
  readonly body: RequestBody;
}

/**
 * Reads the request of a client as an LLM call.
 *
 * @throws WeirError LLM_CONTENT_TYPE, LLM_BODY_EMPTY, LLM_BODY_TOO_LARGE, LLM_BODY_SYNTAX, LLM_NO_PROTOCOL; or what
 *   reading the body throws.
 */
export function readLlmRequest(ctx: RequestContext, maxBodyBytes: number): LlmRequest | Promise<LlmRequest> {
  const contentType = ctx.header('content-type');
  if (!isJsonContentType(contentType)) throw new WeirError('LLM_CONTENT_TYPE', [contentType ?? '']);
  const bytes = ctx.readBody(maxBodyBytes);
  return bytes instanceof Promise ? bytes.then((body) => understand(ctx, body), asLlmError) : understand(ctx, bytes);
}

function understand(ctx: RequestContext, bytes: Buffer): LlmRequest {
  const body = parseRequestBody(bytes);
  if (body instanceof WeirError) throw body;
  const protocol = detectProtocol(ctx.path, body.json);
  if (protocol === null) throw new WeirError('LLM_NO_PROTOCOL');
  return { protocol, body };
}

/** The same fact in the words that clients of APISIX's AI plugins know. */
function asLlmError(error: unknown): never {
  if (error instanceof WeirError && error.code === 'BODY_TOO_LARGE') throw error.as('LLM_BODY_TOO_LARGE');
  throw error;
}
