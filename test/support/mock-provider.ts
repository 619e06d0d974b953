import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Server as TcpServer, type Socket } from 'node:net';
import { createServer as createTlsServer, TLSSocket } from 'node:tls';
import { eventually } from './gateway.ts';
import type { CertificateFixture } from './tls-fixtures.ts';

/** A request exactly as it arrived. */
export interface RecordedRequest {
  readonly method: string;
  readonly target: string;
  /** Name and value of each field, in order, names as written. */
  readonly fields: readonly (readonly [string, string])[];
  readonly body: Buffer;
  /** The name of TLS's SNI, null without TLS or without a name. */
  readonly servername: string | null;
}

/** The value of a field, all of them joined by `, ` when it came several times; undefined when it did not come. */
export function fieldOf(request: RecordedRequest | undefined, name: string): string | undefined {
  const values = request?.fields.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
  return values === undefined || values.length === 0 ? undefined : values.join(', ');
}

interface ProviderOptions {
  /** Serve TLS with this certificate. */
  readonly tls?: CertificateFixture;
}

// ---- on node:http ---------------------------------------------------------------------------------------------------

/** Writes the answer to a request whose body is complete. */
export type Answer = (request: RecordedRequest, response: ServerResponse) => void;

/** A provider on node:http(s). Give it to `await using`. */
export interface Provider extends AsyncDisposable {
  readonly port: number;
  /** `http://127.0.0.1:port`, or https. */
  readonly url: string;
  /** Requests with a complete body, in order. */
  readonly requests: RecordedRequest[];
  /** Connections accepted so far. */
  connectionCount(): number;
  /** What it answers from now on. */
  answer: Answer;
}

/** A provider for tests: Node's own HTTP server, so that a second implementation judges what the gateway sends. */
export async function startProvider(answer: Answer, options: ProviderOptions = {}): Promise<Provider> {
  const requests: RecordedRequest[] = [];
  let connections = 0;
  const onRequest = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const request = await record(message);
    requests.push(request);
    provider.answer(request, response);
  };
  const listener = (message: IncomingMessage, response: ServerResponse): void => {
    // A client that leaves in the middle of its body is no fault of the test.
    onRequest(message, response).catch(() => response.destroy());
  };
  const server: Server = options.tls ? createHttpsServer(options.tls, listener) : createHttpServer(listener);
  server.keepAliveTimeout = 0;
  server.on('connection', () => connections++);
  const port = await listenLocally(server);
  const provider: Provider = {
    port,
    url: `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    requests,
    connectionCount: () => connections,
    answer,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return provider;
}

async function record(message: IncomingMessage): Promise<RecordedRequest> {
  const pieces: Buffer[] = [];
  for await (const piece of message) pieces.push(piece as Buffer);
  const fields: [string, string][] = [];
  for (let i = 0; i < message.rawHeaders.length; i += 2) {
    fields.push([message.rawHeaders[i] ?? '', message.rawHeaders[i + 1] ?? '']);
  }
  const { method = '', url: target = '', socket } = message;
  return { method, target, fields, body: Buffer.concat(pieces), servername: servernameOf(socket) };
}

function servernameOf(socket: Socket): string | null {
  return socket instanceof TLSSocket && typeof socket.servername === 'string' ? socket.servername : null;
}

// ---- on node:net ----------------------------------------------------------------------------------------------------

/** One connection to a {@link RawProvider}: the test writes on `socket` whatever bytes it likes. */
export interface RawConnection {
  readonly socket: Socket;
  /** Counts from 0. */
  readonly index: number;
  /** `performance.now()` when it was closed by either side; null while it is open. */
  closedAt: number | null;
}

/** Called for each complete request. */
export type RawAnswer = (connection: RawConnection, request: RecordedRequest) => void;

/** A provider on node:net whose answers are bytes. Give it to `await using`. */
export interface RawProvider extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly requests: RecordedRequest[];
  readonly connections: RawConnection[];
  /** What it answers from now on. */
  answer: RawAnswer;
  /** Waits until the connection is closed. @returns When that was. */
  closed(index: number): Promise<number>;
}

/** A provider that can do what no HTTP server does: send byte by byte, stall, reset, send garbage, close early. */
export async function startRawProvider(answer: RawAnswer, options: ProviderOptions = {}): Promise<RawProvider> {
  const connections: RawConnection[] = [];
  const requests: RecordedRequest[] = [];
  const onConnection = (socket: Socket): void => {
    const connection: RawConnection = { socket, index: connections.length, closedAt: null };
    connections.push(connection);
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('end', () => (connection.closedAt ??= performance.now()));
    socket.on('close', () => (connection.closedAt ??= performance.now()));
    let pending = Buffer.alloc(0);
    socket.on('data', (bytes: Buffer) => {
      pending = Buffer.concat([pending, bytes]);
      const taken = takeRequest(pending, servernameOf(socket));
      if (taken === null) return;
      pending = taken.rest;
      requests.push(taken.request);
      provider.answer(connection, taken.request);
    });
  };
  const server: TcpServer = options.tls ? createTlsServer(options.tls, onConnection) : createTcpServer(onConnection);
  const port = await listenLocally(server);
  const provider: RawProvider = {
    port,
    url: `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    requests,
    connections,
    answer,
    async closed(index) {
      await eventually(
        () => typeof connections[index]?.closedAt === 'number',
        undefined,
        `the close of connection ${index}`,
      );
      return connections[index]?.closedAt ?? Number.NaN;
    },
    async [Symbol.asyncDispose]() {
      for (const { socket } of connections) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return provider;
}

/** A server that does nothing of its own accord, not even read. Give it to `await using`. */
export interface IdleServer extends AsyncDisposable {
  readonly url: string;
  /** The next connection, not read from. */
  connected(): Promise<Socket>;
}

export async function startIdleServer(): Promise<IdleServer> {
  const sockets: Socket[] = [];
  const server = createTcpServer({ pauseOnConnect: true }, (socket) => {
    socket.on('error', () => {});
    sockets.push(socket);
  });
  const port = await listenLocally(server);
  return {
    url: `http://127.0.0.1:${port}`,
    async connected() {
      const [socket] = (await once(server, 'connection')) as [Socket];
      return socket;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** The first request of what arrived, null while it is incomplete. Bodies come with Content-Length or not at all. */
function takeRequest(
  bytes: Buffer,
  servername: string | null,
): { readonly request: RecordedRequest; readonly rest: Buffer<ArrayBuffer> } | null {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd === -1) return null;
  const [requestLine = '', ...lines] = bytes.toString('latin1', 0, headEnd).split('\r\n');
  const [method = '', target = ''] = requestLine.split(' ');
  const fields = lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
  });
  const length = Number(fields.find(([name]) => name.toLowerCase() === 'content-length')?.[1] ?? 0);
  const end = headEnd + 4 + length;
  if (bytes.length < end) return null;
  const body = Buffer.from(bytes.subarray(headEnd + 4, end));
  return { request: { method, target, fields, body, servername }, rest: Buffer.from(bytes.subarray(end)) };
}

async function listenLocally(server: TcpServer): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

// ---- answers --------------------------------------------------------------------------------------------------------

/** A chat completion as the acceptance vectors of the specification have it. */
export const chatAnswer = {
  choices: [{ finish_reason: 'stop', index: 0, message: { role: 'assistant', content: '2' } }],
  model: 'm-0613',
  object: 'chat.completion',
  usage: { prompt_tokens: 8, completion_tokens: 5, total_tokens: 13 },
};

/** Answers with JSON. */
export function answerJson(value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Answer {
  return (_request, response) => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(value));
  };
}

/** A whole HTTP/1.1 answer as text, with Content-Length. */
export function rawAnswer(status: number, contentType: string, body: string | Buffer): Buffer {
  const bytes = Buffer.from(body);
  const head = `HTTP/1.1 ${status} X\r\nContent-Type: ${contentType}\r\nContent-Length: ${bytes.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), bytes]);
}

/** The head of a streamed answer that ends with its connection. */
export const streamHead = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n';

/** One piece of a chunked body. */
export function chunk(data: string | Buffer): Buffer {
  const bytes = Buffer.from(data);
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
}

/** An event of a streamed chat. */
export function chatEvent(members: object): string {
  return `data: ${JSON.stringify({ object: 'chat.completion.chunk', model: 'm-0613', ...members })}\n\n`;
}

/** The event that adds a piece of text. */
export function textEvent(content: string): string {
  return chatEvent({ choices: [{ index: 0, delta: { content }, finish_reason: null }], usage: null });
}

/** A short streamed chat: two pieces of text, the reason of its end, usage, the end. */
export const chatStream = [
  textEvent('one '),
  textEvent('zwei \u00e4\u20ac'),
  chatEvent({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: null }),
  chatEvent({ choices: [], usage: { prompt_tokens: 8, completion_tokens: 5, total_tokens: 13 } }),
  'data: [DONE]\n\n',
].join('');
