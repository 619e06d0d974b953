import type { ServerResponse } from 'node:http';
import type { JsonObject } from '../../src/llm/json.ts';
import { answerJson, type Answer, type RecordedRequest } from './mock-provider.ts';

/** What a model says, in whatever protocol it was asked. It always costs the same: {@link replyUsage}. */
export interface Reply {
  readonly thinking?: readonly string[];
  /** In pieces, as they are streamed. */
  readonly text: readonly string[];
  /** Each calls one tool of the request. Their pieces are streamed in turns by those who can do that. */
  readonly calls?: readonly { readonly id: string; readonly tool: number; readonly input: JsonObject }[];
  /** Default: `tool_use` where there are calls, else `end_turn`. */
  readonly stop?: 'max_tokens';
}

/** As Anthropic counts it; in a chat the tokens out of the cache are a part of the prompt. */
export const replyUsage = { input_tokens: 40, cache_read_input_tokens: 60, output_tokens: 20 };

/** A provider of the Messages API, or one of chats: what it answers, and how it reports an error. */
export interface ReplyingProvider {
  readonly answer: (reply: Reply) => Answer;
  /** The events of a streamed answer, framed. */
  readonly events: (reply: Reply, request: RecordedRequest) => string[];
  readonly error: (type: string, message: string) => JsonObject;
  /** An error in the middle of a stream, framed. */
  readonly errorEvent: (type: string, message: string) => string;
}

/** https://platform.claude.com/docs/en/api/messages, https://platform.claude.com/docs/en/build-with-claude/streaming */
export const messagesProvider: ReplyingProvider = {
  answer: (reply) => answerWhole(reply, { toWhole: toMessage, toEvents: toMessageEvents }),
  events: toMessageEvents,
  error: (type, message) => ({ type: 'error', error: { type, message }, request_id: 'req_1' }),
  errorEvent: (type, message) => messageEvent({ type: 'error', error: { type, message } }),
};

/** https://platform.openai.com/docs/api-reference/chat, with the thinking of DeepSeek. */
export const chatProvider: ReplyingProvider = {
  answer: (reply) => answerWhole(reply, { toWhole: toChat, toEvents: toChatEvents }),
  events: toChatEvents,
  error: (type, message) => ({ error: { message, type, param: null, code: null } }),
  errorEvent: (type, message) => chatEvent({ error: { message, type } }),
};

interface Wording {
  readonly toWhole: (reply: Reply, request: RecordedRequest) => JsonObject;
  readonly toEvents: (reply: Reply, request: RecordedRequest) => string[];
}

/** Whole or streamed, as the request asks. */
function answerWhole(reply: Reply, { toWhole, toEvents }: Wording): Answer {
  return (request, response) => {
    if (askedIn(request)['stream'] === true) writePieces(response, toEvents(reply, request).join(''));
    else answerJson(toWhole(reply, request), 200, { 'request-id': 'req_1' })(request, response);
  };
}

/** In pieces that have nothing to do with events. */
function writePieces(response: ServerResponse, text: string): void {
  response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'request-id': 'req_1' });
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += 97) response.write(bytes.subarray(at, at + 97));
  response.end();
}

function askedIn(request: RecordedRequest): JsonObject {
  return JSON.parse(request.body.toString()) as JsonObject;
}

// ---- Messages -------------------------------------------------------------------------------------------------------

function toMessage(reply: Reply, request: RecordedRequest): JsonObject {
  const { thinking = [], text, calls = [] } = reply;
  const content = [
    ...(thinking.length > 0 ? [{ type: 'thinking', thinking: thinking.join(''), signature: 'c2lnbmVk' }] : []),
    ...(text.length > 0 ? [{ type: 'text', text: text.join('') }] : []),
    ...calls.map(({ id, tool, input }) => ({ type: 'tool_use', id, name: messageTool(request, tool), input })),
  ];
  return { ...emptyMessage(request), content, stop_reason: stopReason(reply), usage: replyUsage };
}

function toMessageEvents(reply: Reply, request: RecordedRequest): string[] {
  const { thinking = [], text, calls = [] } = reply;
  const events: MessageEvent[] = [];
  let index = 0;
  const addBlock = (content_block: object, deltas: readonly object[]): void => {
    events.push({ type: 'content_block_start', index, content_block });
    for (const delta of deltas) events.push({ type: 'content_block_delta', index, delta });
    events.push({ type: 'content_block_stop', index });
    index++;
  };
  if (thinking.length > 0) {
    const deltas = thinking.map((piece) => ({ type: 'thinking_delta', thinking: piece }));
    const signature = { type: 'signature_delta', signature: 'c2lnbmVk' };
    addBlock({ type: 'thinking', thinking: '', signature: '' }, [...deltas, signature]);
  }
  if (text.length > 0) {
    addBlock(
      { type: 'text', text: '' },
      text.map((piece) => ({ type: 'text_delta', text: piece })),
    );
  }
  for (const { id, tool, input } of calls) {
    addBlock(
      { type: 'tool_use', id, name: messageTool(request, tool), input: {} },
      inHalves(JSON.stringify(input)).map((piece) => ({ type: 'input_json_delta', partial_json: piece })),
    );
  }
  const { output_tokens, ...input } = replyUsage;
  return [
    { type: 'message_start', message: { ...emptyMessage(request), usage: { ...input, output_tokens: 1 } } },
    { type: 'ping' },
    ...events,
    { type: 'message_delta', delta: { stop_reason: stopReason(reply), stop_sequence: null }, usage: { output_tokens } },
    { type: 'message_stop' },
  ].map(messageEvent);
}

interface MessageEvent extends JsonObject {
  readonly type: string;
}

function messageEvent(event: MessageEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

function emptyMessage(request: RecordedRequest): JsonObject {
  const { model } = askedIn(request);
  return {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
  };
}

function stopReason({ calls, stop }: Reply): string {
  return stop ?? (calls === undefined ? 'end_turn' : 'tool_use');
}

function messageTool(request: RecordedRequest, index: number): unknown {
  return (askedIn(request)['tools'] as JsonObject[])[index]?.['name'];
}

// ---- chats ----------------------------------------------------------------------------------------------------------

const chatUsage = { prompt_tokens: 100, prompt_tokens_details: { cached_tokens: 60 }, completion_tokens: 20 };

function toChat(reply: Reply, request: RecordedRequest): JsonObject {
  const { thinking = [], text, calls = [] } = reply;
  const message = {
    role: 'assistant',
    content: text.length > 0 ? text.join('') : null,
    ...(thinking.length > 0 && { reasoning_content: thinking.join('') }),
    ...(calls.length > 0 && {
      tool_calls: calls.map(({ id, tool, input }) => ({
        id,
        type: 'function',
        function: { name: chatTool(request, tool), arguments: JSON.stringify(input) },
      })),
    }),
  };
  const choices = [{ index: 0, message, finish_reason: finishReason(reply) }];
  return { id: 'chatcmpl-1', object: 'chat.completion', model: 'as-served', choices, usage: chatUsage };
}

function toChatEvents(reply: Reply, request: RecordedRequest): string[] {
  const { thinking = [], text, calls = [] } = reply;
  const halves = calls.map(({ input }) => inHalves(JSON.stringify(input)));
  const begun = calls.map(({ id, tool }, index) => ({
    index,
    id,
    type: 'function',
    function: { name: chatTool(request, tool), arguments: halves[index]?.[0] },
  }));
  const rest = calls.map((_call, index) => ({ index, function: { arguments: halves[index]?.[1] } }));
  const deltas = [
    { role: 'assistant', content: '' },
    ...thinking.map((reasoning_content) => ({ reasoning_content })),
    ...text.map((content) => ({ content })),
    ...[...begun, ...rest].map((call) => ({ tool_calls: [call] })),
  ];
  return [
    ...deltas.map((delta) => chatEvent({ choices: [{ index: 0, delta, finish_reason: null }], usage: null })),
    chatEvent({ choices: [{ index: 0, delta: {}, finish_reason: finishReason(reply) }], usage: null }),
    chatEvent({ choices: [], usage: chatUsage }),
    'data: [DONE]\n\n',
  ];
}

function chatEvent(members: object): string {
  return `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', model: 'as-served', ...members })}\n\n`;
}

function finishReason({ calls, stop }: Reply): string {
  if (stop !== undefined) return 'length';
  return calls === undefined ? 'stop' : 'tool_calls';
}

function chatTool(request: RecordedRequest, index: number): unknown {
  return (askedIn(request)['tools'] as { function: JsonObject }[])[index]?.function['name'];
}

function inHalves(text: string): [string, string] {
  const middle = Math.ceil(text.length / 2);
  return [text.slice(0, middle), text.slice(middle)];
}
