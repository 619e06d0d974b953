import type { JsonObject } from '../json.ts';
import type { ProtocolName } from '../protocols/protocol.ts';

/** One text of a prompt, whatever a protocol wraps around it. */
export interface PromptMessage {
  /** `system`, `user`, `assistant`, ... as the client wrote it; `''` if it wrote none. */
  readonly role: string;
  /** The texts of one message, joined by spaces. */
  readonly text: string;
}

/** A message that is put into a request. */
export interface AddedMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** How the requests of one protocol carry prompts. Pure functions over somebody else's JSON: none of them throws. */
export interface PromptFormat {
  readonly protocol: ProtocolName;
  /** The messages are turns, of which the last one is the newest. False: they all are part of the question. */
  readonly hasTurns: boolean;
  /** Every message that has text, in order, the system prompt first. */
  messages(body: JsonObject): readonly PromptMessage[];
  /** What the user has said last, without results of tools; `''` if that has no text. */
  lastUserText(body: JsonObject): string;
  /** The body with messages before its own; the same object where the protocol has no place for them. */
  prepend(body: JsonObject, added: readonly AddedMessage[]): JsonObject;
  /** The body with messages behind its own; the same object where the protocol has no place for them. */
  append(body: JsonObject, added: readonly AddedMessage[]): JsonObject;
}
