import type { Socket } from 'node:net';
import { readFirstBytes } from './client-hello.ts';
import type { Deadlines } from './deadlines.ts';
import { FirstReads } from './first-reads.ts';
import type { SecureHandler, TlsTerminator } from './tls-terminator.ts';

/**
 * Finds who ends the TLS of a new connection.
 *
 * @param serverName - Lower case; null when the client named none.
 * @returns Null when there is no certificate for it. A promise when something has to be fetched first; it never rejects.
 */
export type FindTerminator = (serverName: string | null) => TlsTerminator | null | Promise<TlsTerminator | null>;

interface TlsHandshakeOptions {
  readonly find: FindTerminator;
  readonly deadlines: Deadlines;
  /** From the accepted connection to the end of the handshake. */
  readonly timeoutMs: number;
  readonly onSecure: SecureHandler;
}

/** Fatal alerts of RFC 8446, section 6, in a record of their own. */
const unrecognizedName = Buffer.from([21, 3, 3, 0, 2, 2, 112]);
const decodeError = Buffer.from([21, 3, 3, 0, 2, 2, 50]);
const plainHttpText = 'The plain HTTP request was sent to HTTPS port\n';
const plainHttpAnswer = `HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: ${plainHttpText.length}\r\nConnection: close\r\n\r\n${plainHttpText}`;

/**
 * Begins with a new connection on a TLS port: reads the name that the client asks for, and has the right terminator do
 * the rest. The socket is closed when that fails.
 *
 * @param socket - Paused; nothing of it has been read.
 */
export function startTlsHandshake(socket: Socket, { find, deadlines, timeoutMs, onSecure }: TlsHandshakeOptions): void {
  const first = new FirstReads(socket, { deadlines, timeoutMs, onBytes: (bytes) => onBytes(bytes) });

  const onBytes = (bytes: Buffer): void => {
    const hello = readFirstBytes(bytes);
    if (hello.kind === 'plain-http') first.refuse(plainHttpAnswer);
    else if (hello.kind === 'malformed') first.refuse(decodeError);
    else if (hello.kind === 'hello') choose(hello.serverName);
  };

  const choose = (serverName: string | null): void => {
    first.putBack();
    const found = find(serverName);
    if (found instanceof Promise) void found.then((terminator) => handOver(terminator, serverName));
    else handOver(found, serverName);
  };

  const handOver = (terminator: TlsTerminator | null, serverName: string | null): void => {
    if (socket.destroyed) return;
    if (terminator === null) return first.refuse(unrecognizedName);
    terminator.accept(socket, {
      serverName: serverName ?? '',
      onSecure: (secureSocket, facts) => {
        first.release();
        onSecure(secureSocket, facts);
      },
    });
  };
}
