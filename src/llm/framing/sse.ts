import type { StreamEvent } from './stream-event.ts';

/** An unfinished event larger than this many bytes is dropped from parsing (never from relaying). */
export const maxUnfinishedEventBytes = 1024 * 1024;

/**
 * Cuts a byte stream into the blocks of server-sent events, ended by LF LF or by CR LF CR LF. Chunks may be split
 * anywhere. https://html.spec.whatwg.org/multipage/server-sent-events.html, without its lone CR.
 *
 * It works on latin1 strings, one character a byte: V8 searches those faster than Buffers (no call out of JavaScript), a
 * block is a slice and no copy, and UTF-8 is decoded once a block is whole, so that no character is ever cut.
 *
 *     pending  'data: {"a":'        what is known not to hold a boundary, a rope: joined once, when the block ends
 *     tail     '1}\n'               its last 3 characters, in front of the next chunk: a boundary may begin there
 */
export class SseSplitter {
  readonly #onBlock: (block: string) => void;
  #pending = '';
  #tail = '';
  #discarding = false;
  /** An event was too large to be kept, so that nobody got to see it. */
  lostEvent = false;

  /** @param onBlock - Gets each block without its boundary, as a latin1 string; `''` for an empty one. */
  constructor(onBlock: (block: string) => void) {
    this.#onBlock = onBlock;
  }

  /** @param chunk - Free for reuse when the call returns. */
  push(chunk: Uint8Array): void {
    const text = this.#tail + latin1(chunk);
    let start = 0;
    for (let lf = text.indexOf('\n'); lf !== -1; lf = text.indexOf('\n', lf + 1)) {
      const end = blockEnd(text, lf);
      if (end === -1) continue;
      this.#emit(text.slice(start, end));
      start = lf + 1;
    }
    const cut = Math.max(start, text.length - 3);
    this.#pending += text.slice(start, cut);
    this.#tail = text.slice(cut);
    if (this.#pending.length > maxUnfinishedEventBytes) {
      this.#pending = '';
      this.#discarding = true;
      this.lostEvent = true;
    }
  }

  /** The stream is over. A last event whose blank line never came counts: some servers end like that. */
  end(): void {
    const rest = this.#tail;
    this.#tail = '';
    if (this.#pending !== '' || rest !== '') this.#emit(rest);
  }

  #emit(rest: string): void {
    const block = this.#pending === '' ? rest : this.#pending + rest;
    this.#pending = '';
    if (this.#discarding) this.#discarding = false;
    else this.#onBlock(block);
  }
}

/**
 * Where a block ends if the LF at `lf` completes a boundary, else -1. Looking back may cross the start of the block: that
 * finds no more than an empty block between two boundaries, which is no event.
 */
function blockEnd(text: string, lf: number): number {
  const before = text.charCodeAt(lf - 1);
  if (before === 10) return lf - 1;
  return before === 13 && text.charCodeAt(lf - 2) === 10 && text.charCodeAt(lf - 3) === 13 ? lf - 3 : -1;
}

function latin1(chunk: Uint8Array): string {
  const buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  return buffer.toString('latin1');
}

/**
 * Reads one block of {@link SseSplitter}.
 *
 * @returns null if it carries no data: comments only, nothing at all, or only fields about an event.
 */
export function parseSseBlock(block: string): StreamEvent | null {
  const text = /[\x80-\xff]/.test(block) ? Buffer.from(block, 'latin1').toString('utf8') : block;
  let event = 'message';
  let data: string | null = null;
  let id: string | undefined;
  let retry: number | undefined;
  // A byte order mark may open the stream.
  for (let start = text.charCodeAt(0) === 0xfeff ? 1 : 0; start <= text.length;) {
    const lf = text.indexOf('\n', start);
    const next = lf === -1 ? text.length : lf;
    const line = text.slice(start, text.charCodeAt(next - 1) === 13 ? next - 1 : next);
    start = next + 1;

    const colon = line.indexOf(':');
    // 0: a comment. -1: a bare field name, which no provider sends and APISIX ignores.
    if (colon <= 0) continue;
    const value = line.slice(line.charCodeAt(colon + 1) === 32 ? colon + 2 : colon + 1);
    switch (line.slice(0, colon).toLowerCase()) {
      case 'data':
        data = data === null ? value : `${data}\n${value}`;
        break;
      case 'event':
        event = value === '' ? 'message' : value;
        break;
      case 'id':
        id = value;
        break;
      case 'retry':
        if (/^\d+$/.test(value)) retry = Number(value);
        break;
    }
  }
  if (data === null) return null;
  return { event, data, ...(id === undefined ? {} : { id }), ...(retry === undefined ? {} : { retry }) };
}

/** Writes one event. `event`, `id` and `retry` must not hold line breaks; data may, and becomes several lines. */
export function encodeSse(event: StreamEvent): string {
  let text = event.event === 'message' ? '' : `event: ${event.event}\n`;
  if (event.id !== undefined) text += `id: ${event.id}\n`;
  if (event.retry !== undefined) text += `retry: ${event.retry}\n`;
  return `${text}data: ${event.data.replaceAll(/\r\n?|\n/g, '\ndata: ')}\n\n`;
}
