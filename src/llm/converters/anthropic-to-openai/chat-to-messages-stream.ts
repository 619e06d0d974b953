import type { StreamEvent } from '../../framing/stream-event.ts';
import { isJsonObject, parseJsonObject, type JsonObject } from '../../json.ts';
import { readOpenaiUsage } from '../../protocols/openai-usage.ts';
import { mergeUsage, noUsage, type UsageReport } from '../../usage.ts';
import type { StreamConversion } from '../converter.ts';
import { anthropicError, toAnthropicError, unexpectedAnswerError } from './anthropic-error.ts';
import { anthropicMessage, toAnthropicUsage, toStopReason } from './anthropic-message.ts';
import { readChatPart } from './chat-part.ts';
import { ContentBlocks } from './content-blocks.ts';
import type { ToolNames } from './tool-names.ts';

/**
 * Turns the events of a chat stream into those of a Messages stream:
 *
 *     first choice    message_start
 *     pieces          content_block_start, _delta, _stop                 see ContentBlocks
 *     finish_reason   content_block_stop; what follows waits for usage
 *     usage, [DONE]   message_delta, message_stop
 *     error           error, and nothing after it
 *
 * A stream that just ends, without a finish_reason and without [DONE], was cut: it ends with an error as well.
 *
 * @see https://docs.anthropic.com/en/docs/build-with-claude/streaming
 */
export class ChatToMessagesStream implements StreamConversion {
  readonly #model: string;
  readonly #blocks: ContentBlocks;
  #state: 'waiting' | 'open' | 'finished' | 'ended' = 'waiting';
  #finishReason: string | null = null;
  #usage: UsageReport | null = null;
  #hasOutput = false;

  /** @param model - The effective model; `''`: that of the events. */
  constructor(model: string, toolNames: ToolNames) {
    this.#model = model;
    this.#blocks = new ContentBlocks(toolNames, frame);
  }

  get hasOutput(): boolean {
    return this.#hasOutput;
  }

  get hasEnded(): boolean {
    return this.#state === 'ended';
  }

  event(event: StreamEvent): string {
    if (this.#state === 'ended') return '';
    const output = event.data === '[DONE]' ? this.#stop() : this.#convert(event);
    if (output !== '') this.#hasOutput = true;
    return output;
  }

  end(): string {
    switch (this.#state) {
      case 'waiting':
      case 'ended':
        return '';
      case 'finished':
        return this.#stop();
      case 'open':
        return this.#fail(anthropicError('api_error', 'the provider ended the stream before its answer was complete'));
    }
  }

  #convert(event: StreamEvent): string {
    const chunk = parseJsonObject(event.data);
    if (chunk === null) return '';
    const error = toAnthropicError(chunk) ?? (event.event === 'error' ? unexpectedAnswerError(chunk) : null);
    if (error !== null) return this.#fail(error);

    const usage = readOpenaiUsage(chunk);
    if (usage !== null) this.#usage = mergeUsage(this.#usage, { usage: usage.usage, raw: {} });
    const choice: unknown = Array.isArray(chunk['choices']) ? chunk['choices'][0] : undefined;
    if (isJsonObject(choice)) return this.#choice(chunk, choice);
    return usage !== null && this.#state === 'finished' ? this.#stop() : '';
  }

  #choice(chunk: JsonObject, choice: JsonObject): string {
    const { index, finish_reason: finishReason } = choice;
    // Messages has one answer; a configured option may ask for more.
    if (typeof index === 'number' && index !== 0) return '';
    let output = this.#state === 'waiting' ? this.#start(chunk) : '';

    const part = choice['delta'] ?? choice['message'];
    if (isJsonObject(part)) output += this.#blocks.add(readChatPart(part));
    if (this.#state === 'open' && typeof finishReason === 'string' && finishReason !== '' && finishReason !== 'null') {
      this.#state = 'finished';
      this.#finishReason = finishReason;
      output += this.#blocks.close();
    }
    return output;
  }

  #start(chunk: JsonObject): string {
    this.#state = 'open';
    const message = anthropicMessage({
      answer: chunk,
      model: this.#model,
      content: [],
      stopReason: null,
      usage: { input_tokens: 0, output_tokens: 0 },
    });
    return frame('message_start', { message });
  }

  /** Nothing was said if nothing began: the caller decides what an empty stream is. */
  #stop(): string {
    const began = this.#state !== 'waiting';
    this.#state = 'ended';
    if (!began) return '';
    const closed = this.#blocks.close();
    const stopReason = toStopReason(this.#finishReason, this.#blocks.calledTool);
    const delta = { stop_reason: stopReason, stop_sequence: null };
    const usage = toAnthropicUsage(this.#usage?.usage ?? noUsage);
    return closed + frame('message_delta', { delta, usage }) + frame('message_stop', {});
  }

  #fail(error: JsonObject): string {
    this.#state = 'ended';
    return frame('error', error);
  }
}

/** JSON text has no line breaks, so its event needs no more care. */
function frame(type: string, members: JsonObject): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`;
}
