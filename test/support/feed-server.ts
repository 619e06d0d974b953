import { Deadlines } from '../../src/http/deadlines.ts';
import { ServerConnection } from '../../src/http/server-connection.ts';
import { EchoHandler, generousTimeouts, type SeenRequest } from './echo-server.ts';
import { MemorySocket } from './memory-socket.ts';
import { parseResponses, type RawResponse } from './raw-client.ts';

/** What a connection made of the bytes that it was fed. */
export interface FeedResult {
  /** Requests that reached the handler with their whole body. */
  readonly requests: readonly SeenRequest[];
  readonly responses: readonly RawResponse[];
  /** Before the client closed its side. */
  readonly closed: boolean;
}

const deadlines = new Deadlines();

/** Feeds the pieces to a fresh server connection, each when the one before has been worked off. */
export async function feedServer(
  pieces: readonly Buffer[],
  options: { maxBodyBytes?: number } = {},
): Promise<FeedResult> {
  const socket = new MemorySocket();
  const handler = new EchoHandler(options.maxBodyBytes);
  const connection = new ServerConnection(socket.asSocket(), 1, {
    handler,
    deadlines,
    timeouts: generousTimeouts,
    server: '',
  });
  for (const piece of pieces) {
    socket.receive(piece);
    await settled();
  }
  await settled();
  const closed = socket.closedByServer;
  const { sent } = socket;
  connection.destroy();
  const methods = handler.requests.map((request) => request.method);
  return { requests: handler.requests, responses: parseResponses(sent, { methods, closed }).responses, closed };
}

/** Promises and ticks that were due have run, and those that they made due. */
export async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
}
