import type { AnswerFacts } from '../../llm/framing/tap.ts';
import type { LlmCall } from '../../pipeline/context.ts';

/** What logs are told about an answer while it comes. */
export class AnswerNotes {
  readonly #call: LlmCall;
  readonly #sentAt: number;
  #started = false;

  /** @param sentAt - `performance.now()` when the request was ready to be sent. */
  constructor(call: LlmCall, sentAt: number) {
    this.#call = call;
    this.#sentAt = sentAt;
  }

  /** Of a stream its first bytes are here, or all of a whole answer. Only the first call counts. */
  begun(): void {
    if (this.#started) return;
    this.#started = true;
    this.#call.timeToFirstTokenMs = Math.floor(performance.now() - this.#sentAt);
  }

  record({ usage, rawUsage, hasToolCalls, text }: AnswerFacts): void {
    this.#call.usage = usage;
    this.#call.rawUsage = rawUsage;
    this.#call.hasToolCalls = hasToolCalls;
    this.#call.responseText = text;
  }
}
