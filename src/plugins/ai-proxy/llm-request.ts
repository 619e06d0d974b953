import { WeirError } from '../../base/errors.ts';
import type { JsonObject } from '../../llm/json.ts';
import { detectProtocol } from '../../llm/protocols/index.ts';
import type { Protocol } from '../../llm/protocols/protocol.ts';
import { isJsonContentType, type RequestBody } from '../../llm/request-body.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import { readJsonBody } from '../../pipeline/json-body.ts';

/** A client's call to an LLM, understood: what every provider is asked the same way. */
export interface LlmRequest {
  readonly protocol: Protocol;
  readonly body: RequestBody;
  /** The body's outline, and the model that the path names where the body names none. */
  readonly client: JsonObject;
}

/**
 * Reads the request of a client as an LLM call.
 *
 * @throws WeirError LLM_CONTENT_TYPE, LLM_NO_PROTOCOL; or what {@link readJsonBody} throws.
 */
export function readLlmRequest(ctx: RequestContext, maxBodyBytes: number): LlmRequest | Promise<LlmRequest> {
  const contentType = ctx.header('content-type');
  if (!isJsonContentType(contentType)) throw new WeirError('LLM_CONTENT_TYPE', [contentType ?? '']);
  const body = readJsonBody(ctx, maxBodyBytes);
  return body instanceof Promise ? body.then((late) => understand(ctx, late)) : understand(ctx, body);
}

function understand(ctx: RequestContext, body: RequestBody): LlmRequest {
  const { outline } = body;
  const protocol = detectProtocol(ctx.path, outline);
  if (protocol === null) throw new WeirError('LLM_NO_PROTOCOL');
  const model = protocol.modelInPath === null || 'model' in outline ? '' : protocol.modelInPath(ctx.path);
  return { protocol, body, client: model === '' ? outline : { ...outline, model } };
}
