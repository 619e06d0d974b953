import { WeirError } from '../base/errors.ts';
import { stringifySorted, type JsonObject } from '../llm/json.ts';
import { bodyFromJson, parseRequestBody, type RequestBody } from '../llm/request-body.ts';
import type { RequestContext } from './context.ts';
import type { StepResult } from './define-plugin.ts';
import { refusal, type Reply } from './reply.ts';

/**
 * Reads the client's request as JSON, for plugins that look into LLM calls. A second call gives what the first one found,
 * or what {@link replaceJsonBody} has put there since.
 *
 * @throws WeirError LLM_BODY_EMPTY, LLM_BODY_TOO_LARGE, LLM_BODY_SYNTAX, LLM_NO_PROTOCOL (neither an object nor an
 *   array); or what reading the body throws.
 */
export function readJsonBody(ctx: RequestContext, maxBytes: number): RequestBody | Promise<RequestBody> {
  if (ctx.llmBody !== null) return checkSize(ctx.llmBody, maxBytes);
  const bytes = ctx.readBody(maxBytes);
  return bytes instanceof Promise ? bytes.then((body) => understand(ctx, body), asLlmError) : understand(ctx, bytes);
}

/** What a plugin does with the client's JSON. */
interface JsonStep {
  /** Larger bodies are not read. */
  readonly maxBytes: number;
  run(body: RequestBody): Reply | undefined;
  /** The request has no body that {@link readJsonBody} could read. Default: it is refused with that error. */
  onUnreadable?(error: WeirError): Reply | undefined;
}

/** Runs a step on the client's JSON, at once when it is here. WeirErrors, those of the step included, become replies. */
export function withJsonBody(ctx: RequestContext, step: JsonStep): StepResult {
  const onError = (error: unknown): Reply | undefined => {
    if (!(error instanceof WeirError)) throw error;
    return step.onUnreadable === undefined ? refusal(ctx, error) : step.onUnreadable(error);
  };
  try {
    const body = readJsonBody(ctx, step.maxBytes);
    return body instanceof Promise ? body.then((late) => step.run(late)).catch(onError) : step.run(body);
  } catch (error) {
    return onError(error);
  }
}

/**
 * Reads the request's body as bytes, as the plugins before this one have left it.
 *
 * @throws WeirError LLM_BODY_TOO_LARGE, LLM_BODY_SYNTAX (nested too deeply to be written); or what reading the body throws.
 */
export async function readBodyBytes(ctx: RequestContext, maxBytes: number): Promise<Buffer> {
  const { llmBody } = ctx;
  if (llmBody !== null && llmBody.bytes === null) return encode(llmBody.json);
  try {
    return await ctx.readBody(maxBytes);
  } catch (error) {
    return asLlmError(error);
  }
}

/** Puts other JSON in place of what the client sent; it is encoded when it is sent to the provider. */
export function replaceJsonBody(ctx: RequestContext, json: JsonObject): void {
  ctx.llmBody = bodyFromJson(json);
}

/** What another plugin has read already may be more than this one takes. What a plugin has made itself is not limited. */
function checkSize(body: RequestBody, maxBytes: number): RequestBody {
  const size = body.bytes?.length ?? 0;
  if (size > maxBytes) throw new WeirError('LLM_BODY_TOO_LARGE', [size, maxBytes]);
  return body;
}

function encode(json: JsonObject): Buffer {
  try {
    return Buffer.from(stringifySorted(json));
  } catch (cause) {
    throw new WeirError('LLM_BODY_SYNTAX', ['it is nested too deeply'], { cause });
  }
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
