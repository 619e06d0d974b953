import { WeirError } from '../../../base/errors.ts';
import type { JsonObject } from '../../json.ts';
import type { Conversion, Converter } from '../converter.ts';
import { ChatToMessagesStream } from './chat-to-messages-stream.ts';
import { toAnthropicAnswer } from './to-anthropic-answer.ts';
import { toChatRequest } from './to-chat-request.ts';
import { ToolNames } from './tool-names.ts';

/**
 * Lets clients of Anthropic's Messages API, such as Claude Code, call every provider of OpenAI's Chat Completions.
 *
 * @see https://docs.anthropic.com/en/api/messages
 * @see https://platform.openai.com/docs/api-reference/chat
 */
export const anthropicToOpenai: Converter = {
  from: 'anthropic-messages',
  to: 'openai-chat',
  droppedHeaderPrefixes: ['anthropic-', 'x-stainless-'],
  sendsApiKeyAsBearer: true,

  convertRequest(body: JsonObject): Conversion | WeirError {
    const toolNames = new ToolNames();
    const request = convertBody(body, toolNames);
    if (request instanceof WeirError) return request;
    return {
      body: request,
      convertAnswer: (answer, model, status) => toAnthropicAnswer(answer, { model, status, toolNames }),
      startStream: (model) => new ChatToMessagesStream(model, toolNames),
    };
  },
};

function convertBody(body: JsonObject, toolNames: ToolNames): JsonObject | WeirError {
  try {
    return toChatRequest(body, toolNames);
  } catch (cause) {
    // Schemas are walked, and arguments of tools written, by recursion: JSON of thousands of levels exhausts the stack.
    if (cause instanceof RangeError) return new WeirError('LLM_CONVERSION', ['it is nested too deeply'], { cause });
    throw cause;
  }
}
