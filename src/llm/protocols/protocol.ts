import type { WeirError } from '../../base/errors.ts';
import type { StreamEvent } from '../framing/stream-event.ts';
import type { JsonObject } from '../json.ts';
import type { UsageReport } from '../usage.ts';

/** Every wire format that Weir speaks; `index.ts` lists their definitions. */
export type ProtocolName =
  | 'bedrock-converse'
  | 'anthropic-messages'
  | 'openai-responses'
  | 'openai-chat'
  | 'openai-embeddings'
  | 'vertex-predict'
  | 'passthrough';

/** An error as a client of the protocol expects it. */
export interface RenderedError {
  readonly contentType: string;
  readonly body: string;
}

/**
 * One LLM wire format: how to recognise a request, and how to read what passes by. Pure functions over parsed JSON, which
 * is somebody else's and may hold anything: none of them throws.
 */
export interface Protocol {
  readonly name: ProtocolName;
  /** The provider gets the client's own method, path and query (where the endpoint has no path) instead of POST to a fixed path. */
  readonly keepsRequestLine: boolean;

  /** @param path - Path of the client's request, without query. @param body - Its JSON, never empty. */
  matches(path: string, body: JsonObject): boolean;
  isStreaming(body: JsonObject): boolean;
  /** The model that the path of the client's request names, `''` if it names none; null: it never does. */
  readonly modelInPath: ((path: string) => string) | null;
  /**
   * What the protocol changes in the body of a streamed request before it is sent: OpenAI's chat is asked for usage.
   * Returns the same object if nothing has to change; null: never anything.
   */
  readonly prepareStream: ((body: JsonObject) => JsonObject) | null;
  /** The tools that the model may call: an array, or anything else if there are none. */
  toolsOf(body: JsonObject): unknown;
  /** The client's identification of its own user; `''` if none. */
  endUserId(body: JsonObject): string;
  /** What was asked, for payload logging; undefined if the protocol does not know. */
  requestMessages(body: JsonObject): unknown;

  /**
   * Matches any event that says more than text: usage, tool calls, errors, the end. Only such events are parsed when the
   * text is not wanted, and false alarms cost no more than that. null: its streams carry nothing to read.
   *
   * It is shown a server-sent event as it came, `event:` line and all, in latin1; an event of another framing as its
   * name, LF and its data. Where events have names, the fastest is to look at the name alone, anchored to the start.
   * Where they have none, starting every alternative with a character that is rare in JSON makes the search several
   * times faster.
   */
  readonly streamMarkers: RegExp | null;
  /** Does this event end the stream by the protocol's own rule? */
  isDone(event: StreamEvent): boolean;
  /**
   * Does this event, of the kind that `streamMarkers` match, say why the answer ends? Some servers leave out what comes
   * after it. null: no event but the last one does.
   */
  readonly hasFinishReason: ((event: JsonObject) => boolean) | null;
  /** Does this event, of the kind that `streamMarkers` match, say that the answer failed? */
  isError(event: StreamEvent): boolean;

  /** A string that every whole answer which calls a tool holds; null: the protocol has no tools. */
  readonly toolCallMarker: string | null;
  /** Usage, from the member `usage` of a whole answer, or in one event of a stream, where it may be nested deeper. */
  usageOf(answer: JsonObject): UsageReport | null;
  /** Does a whole answer, or one event, call a tool? */
  hasToolCalls(answer: JsonObject): boolean;
  /** The text of a whole answer; null if there is none. */
  textOf(answer: JsonObject): string | null;
  /** The piece of text that one event adds; `''` if none. */
  deltaTextOf(event: JsonObject): string;

  renderError(error: WeirError): RenderedError;
  /**
   * The same inside a stream that has begun: whole framed events, ready to be written.
   *
   * @param eventsBefore - Events of the stream so far, for protocols that number them. Default 0.
   */
  renderErrorEvent(error: WeirError, eventsBefore?: number): Buffer;
}
