import { randomBytes, timingSafeEqual, createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { type ChatCompletion, completeChat, toChatChunks, toChatDocument } from './chat-completion.ts';
import { type ChatRequest, parseChatRequest, questionOf } from './chat-request.ts';
import { parseEmbeddingsRequest, toEmbeddingsDocument } from './embeddings.ts';
import { type Fault, findFault, toErrorBody, toFaultBody } from './faults.ts';
import { Pacing } from './pacing.ts';

export interface DemoProviderOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Asked for as `Authorization: Bearer`. Absent: everybody is served. */
  readonly apiKey?: string;
  /** 1 (the default): the speed of a real provider. 0: no waiting. */
  readonly pace?: number;
}

export interface DemoProvider {
  readonly port: number;
  /** Cuts all connections. */
  close(): Promise<void>;
}

const models = ['weir-demo', 'weir-demo-embedding'];
/** After so many events, or after half of a plain answer, a stream breaks or stalls. */
const eventsBeforeFault = 6;
const retryAfterSeconds = 2;
const eventStream = 'text/event-stream; charset=utf-8';

/**
 * Starts a provider that needs no account: OpenAI's chat completions (plain and streamed), embeddings and models, with
 * prepared answers, and with errors on demand (faults.ts).
 *
 * @throws Error of the system (`EADDRINUSE`, `EACCES`) when the port cannot be had.
 */
export async function startDemoProvider(options: DemoProviderOptions): Promise<DemoProvider> {
  const { pace = 1 } = options;
  const app = fastify({ forceCloseConnections: true, bodyLimit: 64 * 1024 * 1024 });
  addFrame(app, options.apiKey);
  app.get('/v1/models', () => ({ object: 'list', data: models.map(toModel) }));
  app.post('/v1/chat/completions', (request, reply) => answerChat(request, reply, pace));
  app.post('/v1/embeddings', (request, reply) => answerEmbeddings(request, reply, pace));
  await app.listen({ host: options.host, port: options.port });
  const bound = app.server.address();
  return { port: typeof bound === 'object' && bound ? bound.port : options.port, close: () => app.close() };
}

/** What all endpoints share: the key, the request id, and errors in OpenAI's shape. */
function addFrame(app: FastifyInstance, apiKey: string | undefined): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', `req_${randomBytes(12).toString('hex')}`);
    if (apiKey === undefined || isSameText(request.headers.authorization ?? '', `Bearer ${apiKey}`)) return;
    const given = request.headers.authorization === undefined ? 'You did not provide an API key' : 'Incorrect API key';
    const message = `${given}: expected it as Authorization: Bearer YOUR_KEY.`;
    await reply.code(401).send(toErrorBody(message, { code: 'invalid_api_key' }));
  });
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    const status = error.statusCode ?? 500;
    return reply.code(status).send(toErrorBody(error.message, status >= 500 ? { type: 'server_error' } : {}));
  });
  app.setNotFoundHandler((request, reply) =>
    reply.code(404).send(toErrorBody(`Unknown request: ${request.method} ${request.url}`, { code: 'unknown_url' })),
  );
}

async function answerChat(request: FastifyRequest, reply: FastifyReply, pace: number): Promise<unknown> {
  const chat = parseChatRequest(request.body);
  if (typeof chat === 'string') return refuse(reply, chat);
  const wish = findFault(request.headers, questionOf(chat));
  if (typeof wish === 'string') return refuse(reply, wish);
  const { fault } = wish;
  const pacing = new Pacing(pace, fault);
  if (hasNoAnswer(fault)) return misbehave(reply, fault, chat.stream === true);
  const completion = completeChat(chat);
  if (chat.stream === true) {
    return reply
      .type(eventStream)
      .header('cache-control', 'no-cache')
      .send(Readable.from(withFault(streamChat(completion, chat, pacing), fault, eventsBeforeFault)));
  }
  await pacing.wholeAnswer(completion.tokens.length);
  return sendJson(reply, toChatDocument(completion), fault);
}

async function answerEmbeddings(request: FastifyRequest, reply: FastifyReply, pace: number): Promise<unknown> {
  const embeddings = parseEmbeddingsRequest(request.body);
  if (typeof embeddings === 'string') return refuse(reply, embeddings);
  const { input } = embeddings;
  const wish = findFault(request.headers, typeof input === 'string' ? input : '');
  if (typeof wish === 'string') return refuse(reply, wish);
  const { fault } = wish;
  if (hasNoAnswer(fault)) return misbehave(reply, fault, false);
  await new Pacing(pace, fault).wholeAnswer(0);
  return sendJson(reply, toEmbeddingsDocument(embeddings), fault);
}

async function* streamChat(completion: ChatCompletion, chat: ChatRequest, pacing: Pacing): AsyncGenerator<string> {
  await pacing.beforeFirstToken();
  for (const { token, data } of toChatChunks(completion, chat.stream_options?.include_usage === true)) {
    yield `data: ${JSON.stringify(data)}\n\n`;
    await pacing.afterToken(token);
  }
  yield 'data: [DONE]\n\n';
}

function sendJson(reply: FastifyReply, document: object, fault: Fault | null): FastifyReply {
  const text = JSON.stringify(document);
  reply.type('application/json').header('content-length', Buffer.byteLength(text));
  const half = Math.floor(text.length / 2);
  const isWhole = fault === null || fault === 'slow';
  return reply.send(isWhole ? text : Readable.from(withFault([text.slice(0, half), text.slice(half)], fault, 1)));
}

/** Passes pieces on until the fault strikes. What is thrown makes Fastify cut the connection. */
async function* withFault(
  pieces: AsyncIterable<string> | Iterable<string>,
  fault: Fault | null,
  piecesBefore: number,
): AsyncGenerator<string> {
  let count = 0;
  for await (const piece of pieces) {
    if (count++ === piecesBefore && fault === 'broken-stream') throw new Error('broken on demand');
    if (count > piecesBefore && fault === 'stall') await new Promise(() => {});
    yield piece;
  }
}

/** The faults in which nothing of the real answer is sent. */
function hasNoAnswer(fault: Fault | null): fault is number | 'garbage' | 'empty-stream' | 'reset' {
  return typeof fault === 'number' || fault === 'garbage' || fault === 'empty-stream' || fault === 'reset';
}

function misbehave(
  reply: FastifyReply,
  fault: number | 'garbage' | 'empty-stream' | 'reset',
  isStream: boolean,
): FastifyReply {
  if (typeof fault === 'number') {
    if (fault === 429) reply.header('retry-after', retryAfterSeconds);
    return reply.code(fault).send(toFaultBody(fault));
  }
  if (fault === 'reset') {
    reply.raw.socket?.resetAndDestroy();
    return reply.hijack();
  }
  reply.type(fault === 'empty-stream' || isStream ? eventStream : 'application/json');
  return reply.send(fault === 'empty-stream' ? '' : 'data: <html>{"choices": [ \u0001 this is no JSON\n\n');
}

function refuse(reply: FastifyReply, message: string): FastifyReply {
  return reply.code(400).send(toErrorBody(message));
}

function toModel(id: string): object {
  return { id, object: 'model', created: 1_767_225_600, owned_by: 'weir' };
}

function isSameText(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
