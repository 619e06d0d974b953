import { createServer, type Server } from 'node:net';
import { ServerConnection, type ServerConnectionOptions } from './server-connection.ts';

export interface ListenAddress {
  readonly ip: string;
  /** 0 lets the system choose. */
  readonly port: number;
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
 * Listens for HTTP/1.1.
 *
 * @param address - With `reusePort`, so that every worker listens on the same port itself and the kernel shares the
 *   connections out (Linux; Node 23.1 and later).
 * @throws The listen error of Node (`EADDRINUSE`, `EACCES`, …).
 */
export function listen(address: ListenAddress, initialOptions: ServerConnectionOptions): Promise<Listener> {
  let options = initialOptions;
  const connections = new Set<ServerConnection>();
  let serial = 0;
  const server = createServer(
    { noDelay: true, keepAlive: true, allowHalfOpen: true, pauseOnConnect: true },
    (socket) => {
      const connection = new ServerConnection(socket, ++serial, options);
      connections.add(connection);
      socket.on('close', () => connections.delete(connection));
    },
  );
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: address.ip, port: address.port, reusePort: true, backlog: 4096 }, () => {
      server.off('error', reject);
      const bound = server.address();
      resolve({
        address: address.ip,
        port: typeof bound === 'object' && bound !== null ? bound.port : address.port,
        reconfigure: (newOptions) => {
          options = newOptions;
          for (const connection of connections) connection.reconfigure(newOptions);
        },
        drain: () => drain(server, connections),
        cut: () => {
          for (const connection of connections) connection.cut();
        },
        destroy: () => {
          server.close();
          for (const connection of connections) connection.destroy();
        },
      });
    });
  });
}

function drain(server: Server, connections: Iterable<ServerConnection>): Promise<void> {
  return new Promise((resolve) => {
    // Handlers of requests that were cut learn it in promises of this turn, and then write their log lines.
    server.close(() => setImmediate(resolve));
    for (const connection of connections) connection.closeGracefully();
  });
}
