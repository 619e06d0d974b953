import assert from 'node:assert/strict';
import { parseSseBlock } from '../../src/llm/framing/sse.ts';
import { isJsonObject, type JsonObject } from '../../src/llm/json.ts';
import { chatProvider, messagesProvider } from '../support/anthropic-mock.ts';
import { chatAnswer, type RecordedRequest } from '../support/mock-provider.ts';

/** How a client and a provider talk, and how a test reads what the client got. */
export interface Dialect {
  readonly name: string;
  /** `provider` of the plugin. */
  readonly provider: string;
  /** Behind the address of the route. */
  readonly path: string;
  /** The client gets the bytes that the provider sends. */
  readonly isRelayed: boolean;
  /** The body of a plain answer that says `text`. */
  plain(text: string): string;
  /** The body of a streamed answer, a block an event. */
  events(pieces: readonly string[], request: RecordedRequest): readonly string[];
  /** An event with which a provider reports an error in its stream. */
  readonly errorEvent: string;
  /** The text of a plain answer; undefined if it is none. */
  textOf(answer: JsonObject): unknown;
  /** Weir's code in an error; undefined if it is none, `''` if it is one of the provider's own. */
  codeOf(error: JsonObject): string | undefined;
  /** The text of an event, `''` if it has none. */
  deltaOf(event: JsonObject): string;
  /** The event after which a client takes the answer for complete. */
  isEnd(data: string): boolean;
}

const chat = {
  plain: (text: string) =>
    JSON.stringify({
      ...chatAnswer,
      choices: [{ ...chatAnswer.choices[0], message: { role: 'assistant', content: text } }],
    }),
  events: (pieces: readonly string[], request: RecordedRequest) => chatProvider.events({ text: pieces }, request),
  errorEvent: chatProvider.errorEvent('server_error', 'out of luck'),
};

const messages = {
  plain: (text: string) =>
    JSON.stringify({
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'm',
      content: [{ type: 'text', text }],
      stop_reason: 'end_turn',
      usage: { input_tokens: 8, output_tokens: 5 },
    }),
  events: (pieces: readonly string[], request: RecordedRequest) => messagesProvider.events({ text: pieces }, request),
  errorEvent: messagesProvider.errorEvent('overloaded_error', 'out of luck'),
};

const chatClient = {
  path: '/v1/chat/completions',
  textOf: ({ choices }: JsonObject) => at(at(at(choices, 0), 'message'), 'content'),
  codeOf: ({ error }: JsonObject) => (isJsonObject(error) ? text(error['code']) : undefined),
  deltaOf: ({ choices }: JsonObject) => text(at(at(at(choices, 0), 'delta'), 'content')),
  isEnd: (data: string) => data === '[DONE]',
};

const messagesClient = {
  path: '/v1/messages',
  textOf: ({ content }: JsonObject) => at(at(content, 0), 'text'),
  codeOf: ({ error }: JsonObject) => (isJsonObject(error) ? text(at(error['details'], 'error_code')) : undefined),
  deltaOf: ({ delta }: JsonObject) => text(at(delta, 'text')),
  isEnd: (data: string) => data === '{"type":"message_stop"}',
};

/** OpenAI's chats and Anthropic's messages, as they are and one made of the other. */
export const dialects: readonly Dialect[] = [
  { name: 'openai-chat', provider: 'openai-compatible', isRelayed: true, ...chat, ...chatClient },
  { name: 'anthropic-messages', provider: 'anthropic', isRelayed: true, ...messages, ...messagesClient },
  {
    name: 'anthropic-messages of openai-chat',
    provider: 'openai-compatible',
    isRelayed: false,
    ...chat,
    ...messagesClient,
  },
];

/** Each dialect, whole and streamed. */
export const everyMode = dialects.flatMap((dialect) => [
  { dialect, stream: false, mode: 'plain' },
  { dialect, stream: true, mode: 'streamed' },
]);

function at(value: unknown, key: string | number): unknown {
  if (Array.isArray(value)) return value[Number(key)];
  return isJsonObject(value) ? value[key] : undefined;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** What a client makes of an answer. */
export type Verdict =
  /** A whole answer, with its text. */
  | { readonly kind: 'answer'; readonly text: string }
  /** An error of the gateway's with its code, or of the provider's (`''`); of a stream after this much of the text. */
  | { readonly kind: 'error'; readonly code: string; readonly text: string }
  /** Neither: a stream that ends without a word, a connection that was cut, a body that is no answer. */
  | { readonly kind: 'unfinished'; readonly text: string };

export interface ReceivedAnswer {
  readonly headers: { readonly 'content-type'?: string | undefined };
  readonly text: string;
  /** False when the connection was cut before the answer's end. */
  readonly complete: boolean;
}

/** Reads an answer as a client does that trusts its protocol and nothing else. */
export function judge(dialect: Dialect, { headers, text: body, complete }: ReceivedAnswer): Verdict {
  const isStream = headers['content-type']?.includes('event-stream') === true;
  return isStream ? judgeStream(dialect, body, complete) : judgePlain(dialect, body, complete);
}

function judgePlain(dialect: Dialect, body: string, complete: boolean): Verdict {
  const json = complete ? parse(body) : null;
  if (json === null) return { kind: 'unfinished', text: body };
  const code = dialect.codeOf(json);
  if (code !== undefined) return { kind: 'error', code, text: '' };
  const said = dialect.textOf(json);
  return typeof said === 'string' ? { kind: 'answer', text: said } : { kind: 'unfinished', text: body };
}

function judgeStream(dialect: Dialect, body: string, complete: boolean): Verdict {
  let said = '';
  let code: string | undefined;
  let ended = false;
  const blocks = body.split(/\r?\n\r?\n/);
  // Clients read a last event without its blank line when the stream has ended, as the SDK of OpenAI does.
  if (!complete) blocks.pop();
  for (const block of blocks) {
    const event = parseSseBlock(Buffer.from(block).toString('latin1'));
    if (event === null) continue;
    assert.ok(!ended, `an event behind the end: ${JSON.stringify(event)}`);
    assert.equal(code, undefined, `an event behind the error: ${JSON.stringify(event)}`);
    ended = dialect.isEnd(event.data);
    const json = parse(event.data);
    if (json === null) continue;
    code = dialect.codeOf(json);
    said += dialect.deltaOf(json);
  }
  if (code !== undefined) return { kind: 'error', code, text: said };
  return { kind: ended ? 'answer' : 'unfinished', text: said };
}

function parse(body: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(body);
    return isJsonObject(value) ? value : null;
  } catch {
    return null;
  }
}
