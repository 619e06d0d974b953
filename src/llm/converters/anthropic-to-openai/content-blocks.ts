import { parseJsonObject, type JsonObject } from '../../json.ts';
import { newToolUseId, type ChatPart, type ChatToolCall } from './chat-part.ts';
import type { ToolNames } from './tool-names.ts';

type Kind = 'thinking' | 'text' | 'tool_use';

interface Block {
  readonly kind: Kind;
  /** As content_block_start shows it; of a tool, without `id` and `name` until they are known. */
  announcement: JsonObject;
  /** A call is `unnamed` until its name has come: it cannot be announced before. */
  state: 'unnamed' | 'waiting' | 'live' | 'closed';
  /** What waits to be sent; of a live call, all of its arguments so far. */
  text: string;
}

interface Call {
  readonly id: string;
  readonly block: Block;
}

/** Writes one event of the client's stream. */
type Frame = (type: string, members: JsonObject) => string;

/**
 * The content blocks of a Messages stream. They come one after the other, while a chat stream may mix its pieces: those of
 * parallel calls, or text in the middle of a call.
 *
 *     live      tool_use  {"city":"Pa     its pieces are sent as they come
 *     waiting   tool_use  {"city":"       kept until the live one is complete, which is looked at when a further block
 *               text      Meanwhile       begins, or until the end
 *
 * A call is complete when its arguments are an object of JSON. Providers that send one call after the other, as OpenAI
 * does, therefore do not wait.
 */
export class ContentBlocks {
  readonly #toolNames: ToolNames;
  readonly #frame: Frame;
  #live: Block | null = null;
  /** Of the live block, or of the last one that was. */
  #index = -1;
  readonly #waiting: Block[] = [];
  /** By the number that the provider gives a call, or else by its identifier. */
  readonly #calls = new Map<number | string, Call>();
  #lastCallKey: number | string = '';
  #calledTool = false;

  constructor(toolNames: ToolNames, frame: Frame) {
    this.#toolNames = toolNames;
    this.#frame = frame;
  }

  /** Does any block call a tool? */
  get calledTool(): boolean {
    return this.#calledTool;
  }

  /** @returns The events for one piece of the answer, `''` for none. */
  add(part: ChatPart): string {
    let output = '';
    if (part.thinking !== '') output += this.#say('thinking', part.thinking);
    if (part.text !== '') output += this.#say('text', part.text);
    for (const call of part.toolCalls) output += this.#call(call);
    return output;
  }

  /** Sends what waits and closes what is open. */
  close(): string {
    let output = '';
    while (this.#live !== null) output += this.#next();
    return output;
  }

  #say(kind: 'thinking' | 'text', text: string): string {
    const last = this.#waiting.at(-1) ?? this.#live;
    if (last?.kind === kind) return this.#append(last, text);
    const block = newBlock(kind);
    return this.#begin(block) + this.#append(block, text);
  }

  #call(piece: ChatToolCall): string {
    const { id, block } = this.#callOf(piece);
    let output = '';
    if (block.state === 'unnamed' && piece.name !== '') {
      this.#calledTool = true;
      block.announcement = {
        ...block.announcement,
        id: id || piece.id || newToolUseId(),
        name: this.#toolNames.toClient(piece.name),
      };
      output = this.#begin(block);
    }
    return output + this.#append(block, piece.arguments);
  }

  #callOf(piece: ChatToolCall): Call {
    const key = piece.index ?? (piece.id || this.#lastCallKey);
    this.#lastCallKey = key;
    const known = this.#calls.get(key);
    if (known !== undefined && !beginsAnother(piece, known)) return known;
    const call: Call = { id: piece.id, block: newBlock('tool_use') };
    this.#calls.set(key, call);
    return call;
  }

  #begin(block: Block): string {
    block.state = 'waiting';
    this.#waiting.push(block);
    let output = '';
    while (this.#waiting.length > 0 && (this.#live === null || isComplete(this.#live))) output += this.#next();
    return output;
  }

  #append(block: Block, text: string): string {
    if (text === '') return '';
    if (block.state !== 'live' || block.kind === 'tool_use') block.text += text;
    return block.state === 'live' ? this.#delta(block, text) : '';
  }

  /** Closes the live block and makes the next one live. */
  #next(): string {
    let output = '';
    if (this.#live !== null) {
      this.#live.state = 'closed';
      output += this.#frame('content_block_stop', { index: this.#index });
    }
    const block = this.#waiting.shift() ?? null;
    this.#live = block;
    if (block === null) return output;
    block.state = 'live';
    this.#index += 1;
    output += this.#frame('content_block_start', { index: this.#index, content_block: block.announcement });
    return block.text === '' ? output : output + this.#delta(block, block.text);
  }

  #delta(block: Block, text: string): string {
    return this.#frame('content_block_delta', { index: this.#index, delta: deltaOf(block.kind, text) });
  }
}

/** Some providers give all calls the number 0; a call that goes on never changes both its name and its identifier. */
function beginsAnother(piece: ChatToolCall, known: Call): boolean {
  return piece.name !== '' && piece.id !== '' && known.id !== '' && piece.id !== known.id;
}

function isComplete(block: Block): boolean {
  return block.kind !== 'tool_use' || parseJsonObject(block.text) !== null;
}

function newBlock(kind: Kind): Block {
  switch (kind) {
    case 'thinking':
      return { kind, announcement: { type: kind, thinking: '', signature: '' }, state: 'waiting', text: '' };
    case 'text':
      return { kind, announcement: { type: kind, text: '' }, state: 'waiting', text: '' };
    case 'tool_use':
      return { kind, announcement: { type: kind, input: {} }, state: 'unnamed', text: '' };
  }
}

function deltaOf(kind: Kind, text: string): JsonObject {
  switch (kind) {
    case 'thinking':
      return { type: 'thinking_delta', thinking: text };
    case 'text':
      return { type: 'text_delta', text };
    case 'tool_use':
      return { type: 'input_json_delta', partial_json: text };
  }
}
