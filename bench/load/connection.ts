import { connect, type Socket } from 'node:net';
import { ResponseReader } from './response-reader.ts';

/** Where requests go and how they look. */
export interface RequestSpec {
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Gets what happens on a {@link LoadConnection}. */
export interface ConnectionEvents {
  onBody(text: string): void;
  onResponse(status: number): void;
  /** The connection broke or was closed; called once, and nothing else after it. */
  onClose(reason: string): void;
}

// Parsed before the next read, so that all connections can share it: 10,000 of their own would be 640 MB.
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024);

/** The bytes of a request, ready to be sent any number of times. */
export function encodeRequest({ port, path, headers, body }: RequestSpec): Buffer {
  const lines = [
    `POST ${path} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

/** A kept-alive connection of the load: one request at a time, straight on a socket. */
export class LoadConnection {
  readonly #socket: Socket;
  readonly #events: ConnectionEvents;
  #isClosed = false;

  private constructor(socket: Socket, events: ConnectionEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.setNoDelay(true);
    socket.on('error', (error) => this.#close(error.message));
    socket.on('close', () => this.#close('closed by the server'));
  }

  /** @throws Error when the connection cannot be made. */
  static open(port: number, events: ConnectionEvents): Promise<LoadConnection> {
    return new Promise((resolve, reject) => {
      const reader = new ResponseReader({
        onBody: (text) => events.onBody(text),
        onEnd: (status) => events.onResponse(status),
      });
      const onread = {
        buffer: readBuffer,
        callback: (length: number) => {
          try {
            reader.push(readBuffer.toString('latin1', 0, length));
          } catch (error) {
            socket.destroy(error as Error);
          }
          return true;
        },
      };
      const socket = connect({ host: '127.0.0.1', port, onread });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new LoadConnection(socket, events));
      });
    });
  }

  send(request: Buffer): void {
    this.#socket.write(request);
  }

  close(): void {
    this.#isClosed = true;
    this.#socket.destroy();
  }

  #close(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#events.onClose(reason);
  }
}
