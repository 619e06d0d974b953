import { parseJsonObject, type JsonObject } from '../json.ts';
import type { Protocol } from '../protocols/protocol.ts';
import { mergeUsage, noUsage, type Usage, type UsageReport } from '../usage.ts';
import { errorText } from './error-text.ts';
import { parseSseBlock, SseSplitter } from './sse.ts';
import type { StreamEvent } from './stream-event.ts';

/** Response text beyond this many UTF-16 units is not kept. */
export const maxCapturedText = 1024 * 1024;

/** What an answer says about itself. An answer that says nothing, or is no JSON, leaves everything at its default. */
export interface AnswerFacts {
  /** All 0 if nothing was reported. */
  readonly usage: Usage;
  /** The provider's own usage object; null if nothing was reported. */
  readonly rawUsage: JsonObject | null;
  readonly hasToolCalls: boolean;
  /**
   * null when not wanted, or when there is none. Of a stream it is what came so far, whether or not the stream also
   * reported its usage or came to its end: `$llm_response_text` of APISIX 3.18 stays empty then.
   */
  readonly text: string | null;
  /** The text is longer than {@link maxCapturedText} and `text` is only its beginning. */
  readonly textTruncated: boolean;
}

interface CaptureOptions {
  /** Keep the text of the answer (`logging.payloads`, `$llm_response_text`). Costs the parsing of every event. */
  readonly captureText: boolean;
}

const noFacts: AnswerFacts = {
  usage: noUsage,
  rawUsage: null,
  hasToolCalls: false,
  text: null,
  textTruncated: false,
};

/** Reads a whole, unstreamed answer. Never throws. */
export function observeBody(protocol: Protocol, body: Uint8Array, options: CaptureOptions): AnswerFacts {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const marker = protocol.toolCallMarker;
  const needsAll = options.captureText || (marker !== null && bytes.includes(marker));
  const answer = (needsAll ? null : parseFromUsage(bytes)) ?? parseJsonObject(bytes.toString('utf8'));
  if (answer === null) return noFacts;

  const report = protocol.usageOf(answer);
  const text = options.captureText ? protocol.textOf(answer) : null;
  const textTruncated = text !== null && text.length > maxCapturedText;
  return {
    usage: report?.usage ?? noUsage,
    rawUsage: report?.raw ?? null,
    hasToolCalls: protocol.hasToolCalls(answer),
    text: textTruncated ? text.slice(0, maxCapturedText) : text,
    textTruncated,
  };
}

/**
 * Parses only the members of an answer from `usage` on, mostly the last few hundred bytes of it: an embedding has
 * thousands of numbers in front. The braces balance only where `usage` is a member of the outermost object, so that
 * anything else comes back as null.
 */
function parseFromUsage(bytes: Buffer): JsonObject | null {
  const start = bytes.lastIndexOf('"usage"');
  return start === -1 ? null : parseJsonObject(`{${bytes.toString('utf8', start)}`);
}

/**
 * The tap's gear "observe": is shown a stream whose bytes go to the client elsewhere, either every chunk of it, or every
 * event. When the text is not wanted it parses only events that match the protocol's markers, about one in a hundred.
 */
export class StreamObserver implements AnswerFacts {
  readonly #protocol: Protocol;
  readonly #captureText: boolean;
  readonly #splitter: SseSplitter;
  #report: UsageReport | null = null;
  #text = '';

  hasToolCalls = false;
  textTruncated = false;
  /** The stream said that it is over, complete or failed; a stream that ends without was cut. */
  sawDone = false;
  /** The answer is complete, whether or not the stream also said that it is over. */
  finished = false;
  /** The stream said that the answer failed. */
  failed = false;
  /** What it said, for the log; null if it did not fail. At most 200 UTF-16 units. */
  errorText: string | null = null;
  /** Events with data, so far; 0 if the protocol's streams carry nothing to read. */
  events = 0;

  constructor(protocol: Protocol, options: CaptureOptions) {
    this.#protocol = protocol;
    this.#captureText = options.captureText;
    this.#splitter = new SseSplitter((block) => this.#onBlock(block));
  }

  /** An event was too large to be read, perhaps the one that says the most. */
  get lostEvent(): boolean {
    return this.#splitter.lostEvent;
  }

  get usage(): Usage {
    return this.#report?.usage ?? noUsage;
  }

  get rawUsage(): JsonObject | null {
    return this.#report?.raw ?? null;
  }

  get text(): string | null {
    return this.#text === '' ? null : this.#text;
  }

  /** @param bytes - Server-sent events, split anywhere. Free for reuse when the call returns. */
  chunk(bytes: Uint8Array): void {
    if (this.#protocol.streamMarkers !== null) this.#splitter.push(bytes);
  }

  /** Instead of {@link chunk}: an event out of another framing, or one that a converter takes apart anyway. */
  event(event: StreamEvent): void {
    const markers = this.#protocol.streamMarkers;
    if (markers === null) return;
    this.events += 1;
    const marked = markers.test(`${event.event}\n${event.data}`);
    if (marked || this.#captureText) this.#onEvent(event, marked);
  }

  /** The stream is over, however it ended. */
  end(): void {
    this.#splitter.end();
  }

  #onBlock(block: string): void {
    const marked = this.#protocol.streamMarkers?.test(block) === true;
    const worthParsing = marked || this.#captureText;
    if (!worthParsing && (block.startsWith('data:') || block.includes('\ndata:'))) {
      this.events += 1;
      return;
    }
    const event = parseSseBlock(block);
    if (event === null) return;
    this.events += 1;
    if (worthParsing && event.data !== '') this.#onEvent(event, marked);
  }

  #onEvent(event: StreamEvent, marked: boolean): void {
    const isJson = event.data.startsWith('{');
    const json = isJson ? parseJsonObject(event.data) : null;
    // Cut in the middle: its name alone, which may be that of the last event, does not make it one.
    if (isJson && json === null) return;
    if (marked && this.#protocol.isDone(event)) this.sawDone = true;
    if (marked && !this.failed && this.#protocol.isError(event)) {
      this.failed = true;
      this.errorText = errorText(event);
    }
    if (json === null) return;
    if (marked && !this.finished) this.finished = this.#protocol.hasFinishReason?.(json) === true;
    const report = this.#protocol.usageOf(json);
    if (report !== null) this.#report = mergeUsage(this.#report, report);
    if (!this.hasToolCalls) this.hasToolCalls = this.#protocol.hasToolCalls(json);
    if (this.#captureText && !this.textTruncated) this.#append(this.#protocol.deltaTextOf(json));
  }

  #append(delta: string): void {
    this.textTruncated = this.#text.length + delta.length > maxCapturedText;
    this.#text += this.textTruncated ? delta.slice(0, maxCapturedText - this.#text.length) : delta;
  }
}
