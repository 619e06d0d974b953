import { once } from 'node:events';
import { request, type ClientRequest, type IncomingMessage } from 'node:http';

export interface CallOptions {
  /** Default POST. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** Anything but text and bytes is sent as JSON. */
  readonly body?: unknown;
}

export interface CallResult {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
  readonly text: string;
  /** The parsed JSON, undefined when it is none. */
  readonly json: unknown;
  /** False when the connection was cut before the answer's end. */
  readonly complete: boolean;
}

/** An answer whose body is still coming. */
export interface OpenCall {
  readonly request: ClientRequest;
  readonly response: IncomingMessage;
  /** Everything received so far. */
  received(): string;
  /** Leaves: closes the connection. */
  leave(): void;
  /** Waits for the end, however it comes. */
  finish(): Promise<CallResult>;
}

function send(url: string, options: CallOptions): ClientRequest {
  const { method = 'POST', headers = {}, body } = options;
  const bytes = toBytes(body);
  const outgoing = request(url, {
    method,
    // A connection of its own, so that calls do not depend on each other.
    agent: false,
    headers: { ...(bytes !== null && !isChunked(headers) && { 'Content-Length': bytes.length }), ...headers },
  });
  // Who waits for the answer hears of it; a request that the test itself gave up may fail unheard.
  outgoing.on('error', () => {});
  outgoing.end(bytes ?? undefined);
  return outgoing;
}

/** Sends a request on a connection of its own and does not wait for anything. */
export function startCall(url: string, options: CallOptions = {}): ClientRequest {
  return send(url, options);
}

/** Sends a request and waits for the head of its answer. */
export async function openCall(url: string, options: CallOptions = {}): Promise<OpenCall> {
  const outgoing = send(url, options);
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  const pieces: Buffer[] = [];
  response.on('data', (piece: Buffer) => pieces.push(piece));
  response.on('error', () => {});
  const closed = once(response, 'close').catch(() => {});
  return {
    request: outgoing,
    response,
    received: () => Buffer.concat(pieces).toString(),
    leave: () => outgoing.destroy(),
    async finish() {
      await closed;
      return toResult(response, Buffer.concat(pieces));
    },
  };
}

/** Sends a request and waits for its whole answer. */
export async function call(url: string, options: CallOptions = {}): Promise<CallResult> {
  return (await openCall(url, options)).finish();
}

function toResult(response: IncomingMessage, body: Buffer): CallResult {
  const text = body.toString();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body,
    text,
    json,
    complete: response.complete,
  };
}

function isChunked(headers: object): boolean {
  return Object.keys(headers).some((name) => name.toLowerCase() === 'transfer-encoding');
}

function toBytes(body: unknown): Buffer | null {
  if (body === undefined) return null;
  if (Buffer.isBuffer(body)) return body;
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
}
