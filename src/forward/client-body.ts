import type { WeirError } from '../base/errors.ts';
import type { Exchange } from '../http/exchange.ts';
import type { BodyReader } from '../http/incoming-body.ts';
import type { BodySink, BodySource } from '../upstream/body-source.ts';

/** What a client sends, on its way to the upstream as it comes: each side waits for the other, nothing is kept. */
export class ClientBody implements BodySource, BodyReader {
  readonly isChunked: boolean;
  #exchange: Exchange;
  #maxBytes: number;
  #sink: BodySink | null = null;

  /**
   * @param maxBytes - Infinity for no limit.
   * @param framing - `chunked`: the size is not known beforehand. `plain`: bytes as they are.
   */
  constructor(exchange: Exchange, maxBytes: number, framing: 'chunked' | 'plain') {
    this.#exchange = exchange;
    this.#maxBytes = maxBytes;
    this.isChunked = framing === 'chunked';
  }

  /** A part of it may be gone: the request cannot be sent a second time. */
  get isStarted(): boolean {
    return this.#sink !== null;
  }

  start(sink: BodySink): void {
    this.#sink = sink;
    this.#exchange.streamBody(this.#maxBytes, this);
  }

  resume(): void {
    this.#exchange.resumeBody();
  }

  onBody(bytes: Buffer): boolean {
    return this.#sink?.write(bytes) ?? false;
  }

  onBodyEnd(): void {
    this.#sink?.end();
  }

  onBodyError(error: WeirError): void {
    // Who sends the request is told by the exchange itself that the client left.
    if (error.code !== 'CLIENT_CLOSED_REQUEST') this.#sink?.fail(error);
  }
}
