/** Settings of the mock, the same for all requests until they are changed. */
export interface MockSettings {
  /** Content deltas of a stream. */
  readonly deltas: number;
  /** From one delta to the next; 0: as fast as the socket takes them, each in a write of its own. */
  readonly paceMs: number;
  /** How long an answer that is not streamed takes. */
  readonly delayMs: number;
}

const idAndModel = '"id":"chatcmpl-bench","created":1700000000,"model":"bench-model-2026"';
const usage = '"usage":{"prompt_tokens":23,"completion_tokens":64,"total_tokens":87}';

/** A plain chat completion of about 700 bytes. */
export const plainAnswer = `{${idAndModel},"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"${'The quick brown fox jumps over the lazy dog. '.repeat(10).trim()}"},"finish_reason":"stop"}],${usage}}`;

/** The head of every streamed answer. */
export const streamHead = [
  'HTTP/1.1 200 OK',
  'Content-Type: text/event-stream; charset=utf-8',
  'Cache-Control: no-cache',
  'Connection: keep-alive',
  'Transfer-Encoding: chunked',
  '\r\n',
].join('\r\n');

/** The first event of a stream, as a chunk: it names the role. */
export const roleChunk = toChunk(
  eventOf('[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]'),
);

/** The last two events of a stream, each as a chunk, and what ends the body. */
export const usageChunk = toChunk(eventOf('[]', `,${usage}`));
export const doneChunk = toChunk('data: [DONE]\n\n');
export const lastChunk = '0\r\n\r\n';

/** Events of a stream beside its deltas: role, usage, `[DONE]`. */
export const framingEvents = 3;

/**
 * One content delta, as a chunk. Its content is its place in the stream and when it was sent, so that the reader knows
 * a lost, a repeated and a late one: `"content":"17:123456789 "`.
 */
export function deltaChunk(sequence: number, sentMicros: number): string {
  return toChunk(
    eventOf(`[{"index":0,"delta":{"content":"${sequence}:${Math.round(sentMicros)} "},"finish_reason":null}]`),
  );
}

function eventOf(choices: string, more = ''): string {
  return `data: {${idAndModel},"object":"chat.completion.chunk","choices":${choices}${more}}\n\n`;
}

/** ASCII only: characters are bytes. */
function toChunk(event: string): string {
  return `${event.length.toString(16)}\r\n${event}\r\n`;
}
