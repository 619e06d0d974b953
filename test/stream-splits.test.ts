import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request as sendRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { encodeAwsEvent } from '../src/llm/framing/aws-event-stream.ts';
import { startStage, type AiStage, type LoggedCall } from './support/ai-stage.ts';
import { eventually } from './support/gateway.ts';
import { chatEvent, chunk, fieldOf, textEvent } from './support/mock-provider.ts';

const lastChunk = '0\r\n\r\n';
const sse = 'text/event-stream';
/** Long enough for the gateway to have read the first piece before the second is there. */
const tickMs = 2;

let stage: AiStage;
/** The client's connections, which stay open from one position to the next. */
const agent = new Agent({ keepAlive: true, maxSockets: 24 });

before(async () => {
  stage = await startStage();
});
after(() => {
  agent.destroy();
  return stage[Symbol.asyncDispose]();
});

/** A recorded stream, and how to ask for it. */
interface Recording {
  readonly name: string;
  readonly conf: object;
  readonly path: string;
  readonly body: object;
  readonly contentType?: string;
  readonly bytes: Buffer;
  /** The client gets something else, which names its message by chance: without those names. */
  readonly normalize?: (text: string) => string;
  readonly logged: Partial<LoggedCall>;
}

function named(...list: readonly { type: string; [member: string]: unknown }[]): string {
  return list.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('');
}

function frame(type: string, payload: object): Buffer {
  return encodeAwsEvent({
    headers: { ':event-type': type, ':content-type': 'application/json', ':message-type': 'event' },
    payload: JSON.stringify(payload),
  });
}

const tokens = (prompt: string, completion: string, total: string): Partial<LoggedCall> => ({
  llm_prompt_tokens: prompt,
  llm_completion_tokens: completion,
  llm_total_tokens: total,
  llm_has_tool_calls: 'true',
  request_type: 'ai_stream',
  weir_error: '',
});

const toolDelta = chatEvent({
  choices: [
    {
      index: 0,
      delta: { tool_calls: [{ index: 0, id: 'c1', type: 'function', function: { name: 'f', arguments: '{"é":1}' } }] },
      finish_reason: null,
    },
  ],
  usage: null,
});
const chat = [
  ': ping\n\n',
  textEvent('Hé€😀\n'),
  toolDelta,
  chatEvent({ choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }], usage: null }),
  chatEvent({ choices: [], usage: { prompt_tokens: 8, completion_tokens: 5, total_tokens: 13 } }),
  'data: [DONE]\n\n',
].join('');

const responses = named(
  { type: 'response.created', response: { id: 'r', usage: null } },
  { type: 'response.output_text.delta', delta: 'Hé€😀' },
  { type: 'response.output_item.added', item: { type: 'function_call', name: 'f' } },
  {
    type: 'response.completed',
    response: {
      usage: {
        input_tokens: 10,
        input_tokens_details: { cached_tokens: 4 },
        output_tokens: 8,
        output_tokens_details: { reasoning_tokens: 3 },
        total_tokens: 18,
      },
    },
  },
);

const messages = named(
  {
    type: 'message_start',
    message: { usage: { input_tokens: 10, cache_read_input_tokens: 4, output_tokens: 1 } },
  },
  { type: 'ping' },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hé€😀' } },
  { type: 'content_block_stop', index: 0 },
  { type: 'content_block_start', index: 1, content_block: { type: 'tool_use', id: 't', name: 'f', input: {} } },
  { type: 'content_block_stop', index: 1 },
  { type: 'message_delta', delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 8 } },
  { type: 'message_stop' },
);

const recordings: Recording[] = [
  {
    name: 'V26 V27 an OpenAI chat',
    conf: { provider: 'openai-compatible' },
    path: '/v1/chat/completions',
    body: { messages: [], stream: true },
    bytes: Buffer.from(chat),
    logged: tokens('8', '5', '13'),
  },
  {
    name: 'V26 V27 an OpenAI chat with CRLF',
    conf: { provider: 'openai-compatible' },
    path: '/v1/chat/completions',
    body: { messages: [], stream: true },
    bytes: Buffer.from(chat.replaceAll('\n', '\r\n')),
    logged: tokens('8', '5', '13'),
  },
  {
    name: 'OpenAI Responses',
    conf: { provider: 'openai-compatible' },
    path: '/v1/responses',
    body: { input: 'x', stream: true },
    bytes: Buffer.from(responses),
    logged: { ...tokens('10', '8', '18'), llm_cache_read_input_tokens: '4', llm_reasoning_tokens: '3' },
  },
  {
    name: 'V25 Anthropic Messages',
    conf: { provider: 'anthropic' },
    path: '/v1/messages',
    body: { messages: [], max_tokens: 9, stream: true },
    bytes: Buffer.from(messages),
    logged: { ...tokens('10', '8', '18'), llm_cache_read_input_tokens: '4' },
  },
  {
    name: 'V24 Anthropic Messages, converted from an OpenAI chat',
    conf: { provider: 'openai-compatible' },
    path: '/v1/messages',
    body: { messages: [{ role: 'user', content: 'hi' }], max_tokens: 9, stream: true },
    bytes: Buffer.from(chat),
    normalize: (text) => text.replaceAll(/"id":"msg[^"]*"/g, '"id":""'),
    logged: tokens('8', '5', '13'),
  },
  {
    name: 'frames of Amazon Bedrock',
    conf: {
      provider: 'bedrock',
      provider_conf: { region: 'eu-west-1' },
      auth: { aws: { access_key_id: 'AKID', secret_access_key: 'secret' } },
    },
    path: '/model/m/converse',
    body: { messages: [], stream: true },
    contentType: 'application/vnd.amazon.eventstream',
    bytes: Buffer.concat([
      frame('messageStart', { role: 'assistant' }),
      frame('contentBlockDelta', { contentBlockIndex: 0, delta: { text: 'Hé€😀' } }),
      frame('contentBlockStart', { contentBlockIndex: 1, start: { toolUse: { toolUseId: 't', name: 'f' } } }),
      frame('messageStop', { stopReason: 'tool_use' }),
      frame('metadata', { usage: { inputTokens: 10, outputTokens: 8, totalTokens: 18 } }),
    ]),
    logged: tokens('10', '8', '18'),
  },
];

/** @param cuts - In front of these bytes the stream is cut. So many that it is cut everywhere follow each other faster. */
async function sendInPieces(socket: Socket, bytes: Buffer, cuts: readonly number[]): Promise<void> {
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    if (from > 0) await (cuts.length > 1 ? nextTurn() : sleep(tickMs));
    socket.write(chunk(bytes.subarray(from, cut)));
    from = cut;
  }
  socket.write(lastChunk);
}

async function post(url: string, body: object, cuts: string): Promise<Buffer> {
  const outgoing = sendRequest(url, { method: 'POST', agent, headers: { 'X-Cuts': cuts } });
  outgoing.end(JSON.stringify(body));
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  const pieces: Buffer[] = [];
  for await (const piece of response) pieces.push(piece as Buffer);
  assert.equal(response.statusCode, 200);
  assert.ok(response.complete);
  return Buffer.concat(pieces);
}

for (const [index, recording] of recordings.entries()) {
  const { name, conf, path, body, contentType = sse, bytes, normalize, logged } = recording;

  describe(`${name}, a stream of ${bytes.length} bytes`, { timeout: 120_000 }, () => {
    const id = `split-${index}`;
    let url = '';

    before(async () => {
      await stage.gateway.putRoute(id, {
        uri: `/${id}/*`,
        plugins: { 'ai-proxy': { auth: {}, override: { endpoint: stage.raw.url }, ...conf } },
      });
      url = `${stage.gateway.url}/${id}${path}`;
      stage.raw.answer = ({ socket }, request) => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Type: ${contentType}\r\nTransfer-Encoding: chunked\r\n\r\n`);
        const cuts = (fieldOf(request, 'x-cuts') ?? '').split(' ').filter((cut) => cut !== '');
        sendInPieces(socket, bytes, cuts.map(Number)).catch(() => socket.destroy());
      };
    });

    function assertSame(got: Buffer, whole: Buffer, how: string): void {
      if (normalize === undefined) assert.ok(got.equals(bytes), `${how}: ${got.toString('latin1')}`);
      else assert.equal(normalize(got.toString()), normalize(whole.toString()), how);
    }

    async function assertLogged(count: number): Promise<void> {
      const text = `"request_uri":"/${id}${path}?`;
      const lines = (): string[] =>
        stage.gateway
          .readLog('access.log')
          .split('\n')
          .filter((line) => line.includes(text));
      await eventually(() => lines().length === count);
      for (const line of lines()) {
        const values = JSON.parse(line) as LoggedCall;
        for (const [variable, value] of Object.entries(logged)) {
          assert.equal(values[variable as keyof LoggedCall], value, `${variable} of ${values.request_uri}`);
        }
      }
    }

    test('is the same in two pieces, wherever it is cut, and byte by byte', async () => {
      const whole = await post(`${url}?whole`, body, '');
      const positions = Array.from({ length: bytes.length - 1 }, (_, at) => at + 1);
      const waiting = positions.values();
      const lane = async (): Promise<void> => {
        for (const at of waiting) {
          assertSame(await post(`${url}?${at}`, body, String(at)), whole, `cut at ${at}`);
        }
      };
      const everywhere = post(`${url}?everywhere`, body, positions.join(' '));
      await Promise.all(Array.from({ length: 20 }, lane));
      assertSame(await everywhere, whole, 'byte by byte');
      await assertLogged(positions.length + 2);
    });
  });
}
