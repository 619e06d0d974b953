import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Keeps requests in order that a client sends over one connection without waiting for the answers: Node begins with all of
 * them at once, and a DELETE could overtake the PUT before it.
 * https://www.rfc-editor.org/rfc/rfc9112#section-9.3.2
 *
 * @returns Called with each request as it comes; resolves when those before it on its connection are answered.
 */
export function createRequestOrder(): (connection: Socket, response: ServerResponse) => Promise<void> {
  const lastAnswered = new WeakMap<Socket, Promise<void>>();
  return async (connection, response) => {
    const before = lastAnswered.get(connection);
    const answered = Promise.withResolvers<void>();
    response.once('close', answered.resolve);
    lastAnswered.set(connection, answered.promise);
    await before;
  };
}
