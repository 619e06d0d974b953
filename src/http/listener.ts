import { createServer, type Server, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { Http2Connection } from './http2-connection.ts';
import { detectHttp2 } from './http2-preface.ts';
import { ServerConnection, type ServerConnectionOptions } from './server-connection.ts';
import { startTlsHandshake } from './tls-handshake.ts';
import type { TlsFacts } from './tls-terminator.ts';

export interface ListenAddress {
  readonly ip: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** HTTPS. */
  readonly tls?: true;
  /** Without TLS: HTTP/2 for clients that begin with it, beside HTTP/1.1. */
  readonly cleartextHttp2?: true;
}

/** A listening socket of one worker with its connections. */
export interface Listener {
  readonly address: string;
  readonly port: number;
  /** Requests from now on are served with these options, on open connections as well. */
  reconfigure(options: ServerConnectionOptions): void;
  /** Accepts no more, closes idle connections; resolves when the last running exchange has been answered. */
  drain(): Promise<void>;
  /** Ends running exchanges now, those that can with bytes that say so; the others are cut. */
  cut(): void;
  /** Closes every connection at once. */
  destroy(): void;
}

/**
 * Listens for HTTP.
 *
 * @param address - With `reusePort`, so that every worker listens on the same port itself and the kernel shares the
 *   connections out (Linux; Node 23.1 and later).
 * @throws The listen error of Node (`EADDRINUSE`, `EACCES`, …).
 */
export function listen(address: ListenAddress, options: ServerConnectionOptions): Promise<Listener> {
  const connections = new Connections(options);
  const server = createServer(
    { noDelay: true, keepAlive: true, allowHalfOpen: true, pauseOnConnect: true },
    connections.acceptorFor(address),
  );
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: address.ip, port: address.port, reusePort: true, backlog: 4096 }, () => {
      server.off('error', reject);
      const bound = server.address();
      resolve({
        address: address.ip,
        port: typeof bound === 'object' && bound !== null ? bound.port : address.port,
        reconfigure: (newOptions) => connections.reconfigure(newOptions),
        drain: () => drain(server, connections),
        cut: () => connections.cut(),
        destroy: () => {
          server.close();
          connections.destroy();
        },
      });
    });
  });
}

function drain(server: Server, connections: Connections): Promise<void> {
  return new Promise((resolve) => {
    // Handlers of requests that were cut learn it in promises of this turn, and then write their log lines.
    server.close(() => setImmediate(resolve));
    connections.closeGracefully();
  });
}

/** A connection with a client, whatever version of HTTP it speaks. */
interface ClientConnection {
  /** Takes over new settings, from the next request on. */
  reconfigure(options: ServerConnectionOptions): void;
  /** Takes no more requests and closes after those that run. */
  closeGracefully(): void;
  cut(): void;
  destroy(): void;
}

/** The connections of a listener. */
class Connections {
  readonly #open = new Set<ClientConnection>();
  /** Not yet known to be HTTP/1.1 or HTTP/2. */
  readonly #beginning = new Set<Socket>();
  #options: ServerConnectionOptions;
  #serial = 0;
  #closing = false;

  constructor(options: ServerConnectionOptions) {
    this.#options = options;
  }

  /** What to do with an accepted socket. */
  acceptorFor({ tls, cleartextHttp2 }: ListenAddress): (socket: Socket) => void {
    if (tls === true) return (socket) => this.#addTls(socket);
    if (cleartextHttp2 === true) return (socket) => this.#addEither(socket);
    return (socket) => this.#addHttp1(socket, null);
  }

  #addHttp1(socket: Socket, tls: TlsFacts | null): void {
    this.#add(socket, new ServerConnection(socket, ++this.#serial, this.#options, tls));
  }

  #addHttp2(socket: Socket, tls: TlsFacts | null): void {
    this.#add(socket, new Http2Connection(socket, ++this.#serial, this.#options, tls));
  }

  #add(socket: Socket, connection: ClientConnection): void {
    const { traffic } = this.#options;
    this.#open.add(connection);
    traffic?.connectionOpened();
    socket.on('close', () => {
      this.#open.delete(connection);
      traffic?.connectionClosed();
    });
  }

  #addTls(socket: Socket): void {
    const { findTerminator = () => null, deadlines, timeouts } = this.#options;
    this.#begin(socket);
    const onSecure = (secureSocket: TLSSocket, tls: TlsFacts): void => {
      this.#beginning.delete(socket);
      if (this.#closing) secureSocket.destroy();
      else if (secureSocket.alpnProtocol === 'h2') this.#addHttp2(secureSocket, tls);
      else this.#addHttp1(secureSocket, tls);
    };
    startTlsHandshake(socket, { find: findTerminator, deadlines, timeoutMs: timeouts.headMs, onSecure });
  }

  #addEither(socket: Socket): void {
    const { deadlines, timeouts } = this.#options;
    this.#begin(socket);
    const onKnown = (isHttp2: boolean): void => {
      this.#beginning.delete(socket);
      if (isHttp2) this.#addHttp2(socket, null);
      else this.#addHttp1(socket, null);
    };
    detectHttp2(socket, { deadlines, timeoutMs: timeouts.headMs, onKnown });
  }

  #begin(socket: Socket): void {
    this.#beginning.add(socket);
    socket.on('close', () => this.#beginning.delete(socket));
  }

  reconfigure(options: ServerConnectionOptions): void {
    this.#options = options;
    for (const connection of this.#open) connection.reconfigure(options);
  }

  closeGracefully(): void {
    this.#closing = true;
    for (const connection of this.#open) connection.closeGracefully();
    // Nobody has asked for anything on them yet.
    for (const socket of this.#beginning) socket.destroy();
  }

  cut(): void {
    for (const connection of this.#open) connection.cut();
  }

  destroy(): void {
    for (const connection of this.#open) connection.destroy();
    for (const socket of this.#beginning) socket.destroy();
  }
}
