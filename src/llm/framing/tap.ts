import { parseJsonObject, type JsonObject } from '../json.ts';
import type { Protocol } from '../protocols/protocol.ts';
import { mergeUsage, noUsage, type Usage, type UsageReport } from '../usage.ts';
import { parseSseBlock, SseSplitter } from './sse.ts';

/** Response text beyond this many UTF-16 units is not kept. */
export const maxCapturedText = 1024 * 1024;

/** What an answer says about itself. An answer that says nothing, or is no JSON, leaves everything at its default. */
export interface AnswerFacts {
  /** All 0 if nothing was reported. */
  readonly usage: Usage;
  /** The provider's own usage object; null if nothing was reported. */
  readonly rawUsage: JsonObject | null;
  readonly hasToolCalls: boolean;
  /** null when not wanted, or when there is none. */
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
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
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
 * The tap's gear "observe": is shown every chunk of a stream whose bytes go to the client elsewhere, untouched.
 * When the text is not wanted it parses only events that match the protocol's markers, about one in a hundred.
 */
export class StreamObserver implements AnswerFacts {
  readonly #protocol: Protocol;
  readonly #captureText: boolean;
  readonly #splitter: SseSplitter;
  #report: UsageReport | null = null;
  #text = '';

  hasToolCalls = false;
  textTruncated = false;
  /** The stream said that it is complete; a stream that ends without was cut. */
  sawDone = false;
  /** Events with data, so far; 0 if the protocol's streams carry nothing to read. */
  events = 0;

  constructor(protocol: Protocol, options: CaptureOptions) {
    this.#protocol = protocol;
    this.#captureText = options.captureText;
    this.#splitter = new SseSplitter((block) => this.#onBlock(block));
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

  /** @param bytes - Free for reuse when the call returns. */
  chunk(bytes: Uint8Array): void {
    if (this.#protocol.streamMarkers !== null) this.#splitter.push(bytes);
  }

  /** The stream is over, however it ended. */
  end(): void {
    this.#splitter.end();
  }

  #onBlock(block: string): void {
    const worthParsing = this.#captureText || this.#protocol.streamMarkers?.test(block) === true;
    if (!worthParsing && block.startsWith('data:')) {
      this.events += 1;
      return;
    }
    const event = parseSseBlock(block);
    if (event === null) return;
    this.events += 1;
    if (!worthParsing) return;
    if (this.#protocol.isDone(event)) this.sawDone = true;
    if (event.data.startsWith('{')) this.#read(event.data);
  }

  #read(data: string): void {
    const json = parseJsonObject(data);
    if (json === null) return;
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
