import { createServer } from 'node:net';
import type { NodeListen } from '../config/static/listen.ts';

/** A port cannot be listened on. The message is one line that says which and why. */
export class ListenError extends Error {
  /** @param code - The system's error code, e.g. `EADDRINUSE`. */
  constructor(code: string, { ip, port }: NodeListen, options?: ErrorOptions) {
    super(explain(code, ip, port), options);
    this.name = 'ListenError';
  }
}

function explain(code: string, ip: string, port: number): string {
  switch (code) {
    case 'EADDRINUSE':
      return `port ${port} on ${ip} is already in use: stop the program that holds it, or choose another port`;
    case 'EACCES':
      return `port ${port} on ${ip} may not be used by this user: ports below 1024 need a privilege, choose a higher one`;
    case 'EADDRNOTAVAIL':
      return `port ${port} on ${ip} cannot be listened on: ${ip} is not an address of this machine`;
    default:
      return `port ${port} on ${ip} cannot be listened on: ${code}`;
  }
}

/**
 * Makes sure that nobody else listens on an address, by listening there alone for a moment. The workers share their
 * port through SO_REUSEPORT, with which a second gateway would silently get a part of the first one's connections.
 *
 * @throws ListenError
 */
export function probeListenAddress(address: NodeListen): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(new ListenError(error.code ?? error.message, address, { cause: error }));
    });
    server.listen({ host: address.ip, port: address.port, exclusive: true }, () => {
      server.close(() => resolve());
    });
  });
}
