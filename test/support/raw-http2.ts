import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Types of frames (RFC 9113, section 6). */
export const frameTypes = {
  data: 0,
  headers: 1,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  continuation: 9,
} as const;
export const endStream = 1;
export const endHeaders = 4;

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** A client that sends what no library would. Headers are written without compression. */
export class RawHttp2 {
  readonly socket: Socket;
  /** Everything received. */
  readonly frames: Frame[] = [];
  #bytes = Buffer.alloc(0);
  #waiting: (() => void)[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => this.#read(bytes));
    socket.on('error', () => {});
    socket.on('close', () => this.#wake());
  }

  /** @param socket - Default: a new one without TLS to this port. */
  static async connect(port: number, socket: Socket = connect(port, '127.0.0.1')): Promise<RawHttp2> {
    if (socket.connecting) await once(socket, 'connect');
    const client = new RawHttp2(socket);
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    client.send(frameTypes.settings, 0, 0, Buffer.alloc(0));
    return client;
  }

  send(type: number, flags: number, stream: number, payload: Buffer): void {
    this.socket.write(toFrame({ type, flags, stream, payload }));
  }

  /** @param fields - name, value, name, value, … */
  headers(stream: number, fields: readonly string[], flags = endStream | endHeaders): void {
    this.send(frameTypes.headers, flags, stream, encodeHeaders(fields));
  }

  /** The first frame of a type for a stream, as soon as it is there; undefined: the connection was closed before. */
  async frame(type: number, stream: number): Promise<Frame | undefined> {
    for (;;) {
      const found = this.frames.find((frame) => frame.type === type && frame.stream === stream);
      if (found !== undefined || this.socket.destroyed) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** `reset` with the code of its RST_STREAM, `answered`, or `closed`, whatever comes first for a stream. */
  async outcome(stream: number): Promise<string> {
    for (;;) {
      for (const frame of this.frames) {
        if (frame.type === frameTypes.goaway && frame.payload.readUInt32BE(4) !== 0) return 'closed';
        if (frame.stream !== stream) continue;
        if (frame.type === frameTypes.rstStream) return 'reset';
        if (frame.type === frameTypes.headers) return 'answered';
      }
      if (this.socket.destroyed) return 'closed';
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** The code of the GOAWAY frame, or undefined when the connection was closed without one. */
  async goawayCode(): Promise<number | undefined> {
    return (await this.frame(frameTypes.goaway, 0))?.payload.readUInt32BE(4);
  }

  #read(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    for (;;) {
      if (this.#bytes.length < 9) break;
      const length = this.#bytes.readUIntBE(0, 3);
      if (this.#bytes.length < 9 + length) break;
      const [type = 0, flags = 0] = this.#bytes.subarray(3, 5);
      const stream = this.#bytes.readUInt32BE(5);
      this.frames.push({ type, flags, stream, payload: Buffer.from(this.#bytes.subarray(9, 9 + length)) });
      this.#bytes = this.#bytes.subarray(9 + length);
    }
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

function toFrame({ type, flags, stream, payload }: Frame): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Literal fields that are never indexed, without Huffman coding (RFC 7541, section 6.2.3). */
function encodeHeaders(fields: readonly string[]): Buffer {
  const pieces: Buffer[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    pieces.push(Buffer.from([0x10]), encodeText(fields[i] ?? ''), encodeText(fields[i + 1] ?? ''));
  }
  return Buffer.concat(pieces);
}

function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
  length.push(rest);
  return Buffer.concat([Buffer.from(length), bytes]);
}
