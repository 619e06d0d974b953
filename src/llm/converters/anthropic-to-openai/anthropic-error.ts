import { isJsonObject, type JsonObject } from '../../json.ts';
import { anthropicErrorType } from '../../protocols/anthropic-error.ts';

/** Anthropic's error envelope. https://docs.anthropic.com/en/api/errors#error-shapes */
export function anthropicError(type: string, message: string): JsonObject {
  return { type: 'error', error: { type, message } };
}

/**
 * Turns an error of an OpenAI-compatible provider, the body of an answer or an event of a stream, into Anthropic's.
 *
 * @param status - Of the answer: the type of an error that names none. Streams begin before anything goes wrong.
 * @returns null: it reports no error.
 * @see https://platform.openai.com/docs/guides/error-codes
 * @see https://openrouter.ai/docs/api-reference/errors for errors within a choice
 */
export function toAnthropicError(answer: JsonObject, status = 200): JsonObject | null {
  const choice: unknown = Array.isArray(answer['choices']) ? answer['choices'][0] : undefined;
  for (const error of [answer['error'], isJsonObject(choice) ? choice['error'] : undefined]) {
    if (typeof error === 'string' && error !== '') return anthropicError(anthropicErrorType(status), error);
    if (isJsonObject(error)) {
      const type = firstText(error['type'], error['code']);
      return anthropicError(type ?? anthropicErrorType(status), messageOf(error));
    }
  }
  return null;
}

/** The error for a body that is neither an answer nor an error of OpenAI's shape. */
export function unexpectedAnswerError(answer: JsonObject, status = 200): JsonObject {
  return anthropicError(anthropicErrorType(status), messageOf(answer));
}

function messageOf(error: JsonObject): string {
  return firstText(error['message'], error['detail']) ?? 'the provider gave no answer and no reason';
}

function firstText(...candidates: readonly unknown[]): string | undefined {
  return candidates.find((candidate) => typeof candidate === 'string' && candidate !== '') as string | undefined;
}
