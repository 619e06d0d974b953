import { WeirError } from '../base/errors.ts';
import type { JsonObject } from '../llm/json.ts';
import { parseRequestBody, type RequestBody } from '../llm/request-body.ts';
import type { RequestContext } from './context.ts';

/**
 * Reads the client's request as JSON, for plugins that look into LLM calls. A second call gives what the first one found,
 * or what {@link replaceJsonBody} has put there since.
 *
 * @throws WeirError LLM_BODY_EMPTY, LLM_BODY_TOO_LARGE, LLM_BODY_SYNTAX, LLM_NO_PROTOCOL (neither an object nor an
 *   array); or what reading the body throws.
 */
export function readJsonBody(ctx: RequestContext, maxBytes: number): RequestBody | Promise<RequestBody> {
  if (ctx.llmBody !== null) return ctx.llmBody;
  const bytes = ctx.readBody(maxBytes);
  return bytes instanceof Promise ? bytes.then((body) => understand(ctx, body), asLlmError) : understand(ctx, bytes);
}

/** Puts other JSON in place of what the client sent; it is encoded when it is sent to the provider. */
export function replaceJsonBody(ctx: RequestContext, json: JsonObject): void {
  ctx.llmBody = { bytes: null, json };
}

function understand(ctx: RequestContext, bytes: Buffer): RequestBody {
  const body = parseRequestBody(bytes);
  if (body instanceof WeirError) throw body;
  return (ctx.llmBody = body);
}

/** The same fact in the words that clients of APISIX's AI plugins know. */
function asLlmError(error: unknown): never {
  if (error instanceof WeirError && error.code === 'BODY_TOO_LARGE') throw error.as('LLM_BODY_TOO_LARGE');
  throw error;
}
