import type { Socket } from 'node:net';
import type { Deadlines, Expirable } from './deadlines.ts';

interface FirstReadsOptions {
  readonly deadlines: Deadlines;
  /** The socket is closed when it is not released within this time. */
  readonly timeoutMs: number;
  /** Gets all bytes so far, whenever some have come. */
  readonly onBytes: (bytes: Buffer) => void;
}

/** The beginning of a connection, which is looked at before it is known who reads it. */
export class FirstReads implements Expirable {
  deadline: number;
  readonly #socket: Socket;
  readonly #options: FirstReadsOptions;
  readonly #onData = (bytes: Buffer): void => this.#read(bytes);
  readonly #onEnd = (): void => void this.#socket.destroy();
  #bytes: Buffer = Buffer.alloc(0);

  /** @param socket - Paused; nothing of it has been read. */
  constructor(socket: Socket, options: FirstReadsOptions) {
    const { deadlines, timeoutMs } = options;
    this.#socket = socket;
    this.#options = options;
    this.deadline = deadlines.now() + timeoutMs;
    deadlines.add(this);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => deadlines.remove(this));
    socket.on('end', this.#onEnd);
    socket.on('data', this.#onData);
    socket.resume();
  }

  onDeadline(): void {
    this.#socket.destroy();
  }

  /** Everything read goes back, for whoever reads next. The time runs on until {@link release}. */
  putBack(): void {
    this.#socket.off('data', this.#onData);
    this.#socket.off('end', this.#onEnd);
    this.#socket.pause();
    this.#socket.unshift(this.#bytes);
    this.#bytes = Buffer.alloc(0);
  }

  /** Ends the connection with an answer. What else comes is read over until the client has seen it, or time is up. */
  refuse(answer: Buffer | string): void {
    this.#socket.off('data', this.#onData);
    this.#socket.end(answer);
    this.#socket.resume();
  }

  /** The time does not matter any more. */
  release(): void {
    this.deadline = 0;
    this.#options.deadlines.remove(this);
  }

  #read(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    this.#options.onBytes(this.#bytes);
  }
}
