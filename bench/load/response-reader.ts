/** Gets what a {@link ResponseReader} reads. */
interface ResponseSink {
  /** A part of the body, framing removed, as latin1; only valid for the call. */
  onBody(text: string): void;
  /** The response is complete; the next one may begin. */
  onEnd(status: number): void;
}

type State = 'head' | 'length' | 'chunk-size' | 'chunk-data' | 'chunk-end' | 'trailer';

/**
 * Reads HTTP/1.1 responses of one connection: just as much of the protocol as servers of a bench speak, so that the
 * load costs little. A response is framed by Content-Length or by chunks; anything else throws.
 */
export class ResponseReader {
  readonly #sink: ResponseSink;
  #state: State = 'head';
  #pending = '';
  #status = 0;
  #missing = 0;

  constructor(sink: ResponseSink) {
    this.#sink = sink;
  }

  /**
   * @param text - The next bytes, as latin1.
   * @throws Error for a response that cannot be read; the connection is of no more use.
   */
  push(text: string): void {
    let rest = this.#pending === '' ? text : this.#pending + text;
    this.#pending = '';
    while (rest !== '') {
      const used = this.#step(rest);
      if (used === 0) {
        this.#pending = rest;
        return;
      }
      rest = rest.slice(used);
    }
  }

  /** @returns How many characters were consumed; 0: more are needed. */
  #step(text: string): number {
    switch (this.#state) {
      case 'head':
        return this.#readHead(text);
      case 'length':
      case 'chunk-data':
        return this.#readData(text);
      case 'chunk-size':
        return this.#readChunkSize(text);
      case 'chunk-end':
        return this.#skipLine(text, 'chunk-size');
      case 'trailer':
        return this.#readTrailer(text);
    }
  }

  #readHead(text: string): number {
    const end = text.indexOf('\r\n\r\n');
    if (end === -1) return 0;
    const head = text.slice(0, end + 2);
    this.#status = Number(head.slice(9, 12));
    const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1];
    if (/\r\ntransfer-encoding: *chunked\r\n/i.test(head)) this.#state = 'chunk-size';
    else if (length === undefined) throw new Error(`a response without a length: ${head.split('\r\n', 1)[0]}`);
    else {
      this.#missing = Number(length);
      this.#state = 'length';
      if (this.#missing === 0) this.#end();
    }
    return end + 4;
  }

  #readData(text: string): number {
    const part = text.length <= this.#missing ? text : text.slice(0, this.#missing);
    this.#sink.onBody(part);
    this.#missing -= part.length;
    if (this.#missing === 0) {
      if (this.#state === 'length') this.#end();
      else this.#state = 'chunk-end';
    }
    return part.length;
  }

  #readChunkSize(text: string): number {
    const end = text.indexOf('\r\n');
    if (end === -1) return 0;
    this.#missing = Number.parseInt(text, 16);
    if (Number.isNaN(this.#missing)) throw new Error(`an invalid chunk size: ${JSON.stringify(text.slice(0, end))}`);
    this.#state = this.#missing === 0 ? 'trailer' : 'chunk-data';
    return end + 2;
  }

  #readTrailer(text: string): number {
    const end = text.indexOf('\r\n');
    if (end === 0) this.#end();
    return end === -1 ? 0 : end + 2;
  }

  #skipLine(text: string, next: State): number {
    if (text.length < 2) return 0;
    this.#state = next;
    return 2;
  }

  #end(): void {
    this.#state = 'head';
    this.#sink.onEnd(this.#status);
  }
}
