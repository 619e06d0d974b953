import type { WeirError } from '../../base/errors.ts';
import type { StreamEvent } from '../framing/stream-event.ts';
import type { JsonObject } from '../json.ts';
import type { ProtocolName } from '../protocols/protocol.ts';

/** Lets clients of one protocol call providers that speak another. `index.ts` lists the pairs that exist. Pure functions. */
export interface Converter {
  /** What the client speaks. */
  readonly from: ProtocolName;
  /** What the provider speaks. */
  readonly to: ProtocolName;
  /** Client header fields that mean nothing to the provider: names in lower case, matched as a prefix. */
  readonly droppedHeaderPrefixes: readonly string[];
  /** The client names its key `x-api-key`; the provider wants it as `authorization: Bearer`. */
  readonly sendsApiKeyAsBearer: boolean;

  /**
   * Converts a request.
   *
   * @param body - The client's JSON.
   * @returns What to send and how to read the answer; a WeirError (400, LLM_CONVERSION) for what cannot be converted.
   */
  convertRequest(body: JsonObject): Conversion | WeirError;
}

/** One converted request. Holds what its answer needs, such as the original names of tools. */
export interface Conversion {
  readonly body: JsonObject;
  /**
   * A whole answer, an error body included, in the client's protocol.
   *
   * @param model - The effective model, `''` if unknown.
   * @param status - Of the answer.
   */
  convertAnswer(answer: JsonObject, model: string, status: number): JsonObject;
  /** Begins a streamed answer; null: the client's protocol has no streams. @param model - As above. */
  startStream(model: string): StreamConversion | null;
}

/** A streamed answer while it is converted. Never throws, whatever the events hold. */
export interface StreamConversion {
  /** Something has been said, an error included. False at the end: the provider's events were none that can be converted. */
  readonly hasOutput: boolean;
  /** The last event of the client's protocol was given, an error included: nothing may follow it. */
  readonly hasEnded: boolean;
  /** What an event of the provider's protocol becomes: framed events of the client's protocol, `''` for nothing. */
  event(event: StreamEvent): string;
  /** The provider's stream is over: what is still to be said, `''` for nothing. */
  end(): string;
}
