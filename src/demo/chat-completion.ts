import { randomBytes } from 'node:crypto';
import { answerTo, answerToToolResult } from './answers.ts';
import { type ChatRequest, questionOf, textOf } from './chat-request.ts';
import { splitTokens } from './tokens.ts';
import { chooseToolCall, type ToolCall } from './tool-call.ts';

/** An answer before it takes the shape of one JSON document or of a stream. */
export interface ChatCompletion {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
  /** How often the same answer is given (`n`). */
  readonly choices: number;
  /** The text, or the arguments of the tool call, piece by piece. */
  readonly tokens: readonly string[];
  readonly toolCall: (ToolCall & { readonly id: string }) | null;
  readonly finishReason: 'stop' | 'length' | 'tool_calls';
  readonly promptTokens: number;
}

/** One event of a stream and the token that it carries; `''`: none, it needs no time. */
export interface ChatChunk {
  readonly token: string;
  readonly data: object;
}

/** What OpenAI adds for the frame of each message and of the answer. */
const tokensPerMessage = 3;

/** Finds the answer to a request. */
export function completeChat(request: ChatRequest): ChatCompletion {
  const call = chooseToolCall(request);
  const all = splitTokens(call === null ? answerText(request) : call.arguments);
  const limit = request.max_completion_tokens ?? request.max_tokens ?? Number.POSITIVE_INFINITY;
  const tokens = all.slice(0, limit);
  const natural = call === null ? 'stop' : 'tool_calls';
  return {
    id: `chatcmpl-${randomBytes(15).toString('base64url')}`,
    created: Math.floor(Date.now() / 1000),
    model: request.model,
    choices: request.n ?? 1,
    tokens,
    toolCall: call && { ...call, id: `call_${randomBytes(15).toString('base64url')}` },
    finishReason: tokens.length < all.length ? 'length' : natural,
    promptTokens: request.messages.reduce(
      (sum, message) => sum + tokensPerMessage + splitTokens(textOf(message)).length,
      tokensPerMessage,
    ),
  };
}

/** The answer as one document. https://platform.openai.com/docs/api-reference/chat/object */
export function toChatDocument(completion: ChatCompletion): object {
  const text = completion.tokens.join('');
  const message =
    completion.toolCall === null
      ? { role: 'assistant', content: text, refusal: null }
      : { role: 'assistant', content: null, tool_calls: [toolCallItem(completion.toolCall, text)], refusal: null };
  return {
    ...identity(completion, 'chat.completion'),
    choices: indexes(completion).map((index) => ({
      index,
      message,
      logprobs: null,
      finish_reason: completion.finishReason,
    })),
    usage: usageOf(completion),
  };
}

/**
 * The answer as a stream: for each choice the role, the pieces and the finish reason; last the usage alone, if asked for.
 * https://platform.openai.com/docs/api-reference/chat/streaming
 */
export function* toChatChunks(completion: ChatCompletion, includeUsage: boolean): Generator<ChatChunk> {
  const head = identity(completion, 'chat.completion.chunk');
  const chunk = (index: number, delta: object, finishReason: string | null = null): object => ({
    ...head,
    choices: [{ index, delta, logprobs: null, finish_reason: finishReason }],
    ...(includeUsage && { usage: null }),
  });
  const { toolCall, tokens, finishReason } = completion;
  for (const index of indexes(completion)) {
    if (toolCall === null) {
      yield { token: '', data: chunk(index, { role: 'assistant', content: '', refusal: null }) };
      for (const token of tokens) yield { token, data: chunk(index, { content: token }) };
    } else {
      const tool_calls = [{ index: 0, ...toolCallItem(toolCall, '') }];
      yield { token: '', data: chunk(index, { role: 'assistant', content: null, tool_calls }) };
      for (const token of tokens) {
        const delta = { tool_calls: [{ index: 0, function: { arguments: token } }] };
        yield { token, data: chunk(index, delta) };
      }
    }
    yield { token: '', data: chunk(index, {}, finishReason) };
  }
  if (includeUsage) yield { token: '', data: { ...head, choices: [], usage: usageOf(completion) } };
}

function answerText(request: ChatRequest): string {
  const last = request.messages.at(-1);
  return last?.role === 'tool' ? answerToToolResult(textOf(last)) : answerTo(questionOf(request));
}

function identity({ id, created, model }: ChatCompletion, object: string): object {
  return { id, object, created, model, service_tier: 'default', system_fingerprint: 'fp_weir_demo' };
}

function toolCallItem({ id, name }: { id: string; name: string }, text: string): object {
  return { id, type: 'function', function: { name, arguments: text } };
}

function usageOf({ promptTokens, tokens, choices }: ChatCompletion): object {
  const completionTokens = tokens.length * choices;
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}

function indexes({ choices }: ChatCompletion): number[] {
  return Array.from({ length: choices }, (_, index) => index);
}
