import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

/**
 * Stands for a socket without a network, so that a test can feed tens of thousands of byte sequences in a second.
 * Writes are collected; nothing of the time that a network takes is imitated.
 */
export class MemorySocket extends Duplex {
  readonly remoteAddress = '127.0.0.1';
  readonly remotePort = 1;
  readonly localAddress = '127.0.0.1';
  readonly localPort = 2;
  /** The server closed its side: with FIN, or altogether. */
  closedByServer = false;
  /** What the code under test set last. */
  timeoutMs = 0;
  readonly #sent: Buffer[] = [];
  #held: (() => void) | null = null;
  #holding = false;

  constructor() {
    super({ allowHalfOpen: true });
    this.once('close', () => (this.closedByServer = true));
  }

  /** Everything that was written. */
  get sent(): Buffer {
    return Buffer.concat(this.#sent);
  }

  /** Bytes come in from the other side; ignored when the connection is closed, as by a network. */
  receive(bytes: Buffer): void {
    if (!this.destroyed) this.push(bytes);
  }

  /** The other side closes. */
  receiveEnd(): void {
    if (!this.destroyed) this.push(null);
  }

  /** From now on the other side takes nothing. */
  hold(): void {
    this.#holding = true;
  }

  /** The other side takes what waits for it, and goes on taking. */
  release(): void {
    this.#holding = false;
    this.#held?.();
    this.#held = null;
  }

  /** For code that is typed for sockets and uses of them only what is here. */
  asSocket(): Socket {
    return this as unknown as Socket;
  }

  setTimeout(timeoutMs: number): this {
    this.timeoutMs = timeoutMs;
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#sent.push(chunk);
    if (this.#holding) this.#held = done;
    else done();
  }

  override _final(done: () => void): void {
    this.closedByServer = true;
    done();
  }
}
