import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';

/** One answer as it stood on the wire, read without any code of the gateway. */
export interface RawResponse {
  readonly status: number;
  /** The status line without CRLF. */
  readonly statusLine: string;
  /** Names in lower case; the values of a repeated field are joined by `, `. */
  readonly fields: ReadonlyMap<string, string>;
  readonly body: Buffer;
  readonly framing: 'none' | 'length' | 'chunked' | 'until-close';
}

interface ParseOptions {
  /** Methods of the requests in order, to know which answers are to HEAD; GET when missing. */
  readonly methods?: readonly string[];
  /** The connection is over, so that a body until close is complete. */
  readonly closed?: boolean;
}

/**
 * Takes all complete answers out of what a server sent.
 *
 * @returns The answers and the bytes behind the last one.
 * @throws AssertionError when the bytes are no HTTP/1.1 answers.
 */
export function parseResponses(bytes: Buffer, options: ParseOptions = {}): { responses: RawResponse[]; rest: Buffer } {
  const responses: RawResponse[] = [];
  let at = 0;
  let final = 0;
  while (at < bytes.length) {
    const parsed = parseResponse(bytes, at, options.methods?.[final] ?? 'GET', options.closed ?? false);
    if (parsed === null) break;
    responses.push(parsed.response);
    if (parsed.response.status >= 200) final++;
    at = parsed.end;
  }
  return { responses, rest: bytes.subarray(at) };
}

function parseResponse(
  bytes: Buffer,
  start: number,
  method: string,
  closed: boolean,
): { response: RawResponse; end: number } | null {
  const blank = bytes.indexOf('\r\n\r\n', start);
  if (blank === -1) return null;
  const [statusLine = '', ...lines] = bytes.toString('latin1', start, blank).split('\r\n');
  const status = Number(/^HTTP\/1\.1 ([1-5][0-9][0-9]) [ -~]*$/.exec(statusLine)?.[1]);
  assert.ok(status >= 100, `not a status line: ${JSON.stringify(statusLine)}`);
  const fields = new Map<string, string>();
  for (const line of lines) {
    const [, name = '', value = ''] = /^([!-9;-~]+): ?(.*)$/.exec(line) ?? assert.fail(`not a field line: ${line}`);
    const before = fields.get(name.toLowerCase());
    fields.set(name.toLowerCase(), before === undefined ? value : `${before}, ${value}`);
  }
  const bodyStart = blank + 4;
  const make = (framing: RawResponse['framing'], body: Buffer, end: number) => ({
    response: { status, statusLine, fields, body, framing },
    end,
  });

  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) {
    return make('none', Buffer.alloc(0), bodyStart);
  }
  if (fields.has('transfer-encoding')) {
    assert.equal(fields.get('transfer-encoding'), 'chunked');
    assert.equal(fields.has('content-length'), false, 'both Transfer-Encoding and Content-Length in an answer');
    const chunked = readChunked(bytes, bodyStart);
    return chunked === null ? null : make('chunked', chunked.body, chunked.end);
  }
  const length = fields.get('content-length');
  if (length !== undefined) {
    assert.match(length, /^[0-9]+$/);
    const end = bodyStart + Number(length);
    return end > bytes.length ? null : make('length', bytes.subarray(bodyStart, end), end);
  }
  return closed ? make('until-close', bytes.subarray(bodyStart), bytes.length) : null;
}

function readChunked(bytes: Buffer, start: number): { body: Buffer; end: number } | null {
  const pieces: Buffer[] = [];
  let at = start;
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd === -1) return null;
    const sizeText = bytes.toString('latin1', at, lineEnd);
    assert.match(sizeText, /^[0-9a-f]+$/);
    const size = Number.parseInt(sizeText, 16);
    const end = lineEnd + 2 + size;
    if (end + 2 > bytes.length) return null;
    assert.equal(bytes.toString('latin1', end, end + 2), '\r\n', 'a chunk must end with CRLF');
    if (size === 0) return { body: Buffer.concat(pieces), end: end + 2 };
    pieces.push(bytes.subarray(lineEnd + 2, end));
    at = end + 2;
  }
}

/** A TCP client that sends and receives bytes as they are. Give it to `await using`, so that it is closed. */
export class RawClient implements AsyncDisposable {
  readonly socket: Socket;
  /** Set when the connection is over: `end` by the server's FIN, `reset` by an error. */
  closedBy: 'end' | 'reset' | null = null;
  readonly #timeoutMs: number;
  readonly #pieces: Buffer[] = [];
  #wake: (() => void) | null = null;

  constructor(socket: Socket, timeoutMs: number) {
    this.socket = socket;
    this.#timeoutMs = timeoutMs;
    socket.on('data', (bytes: Buffer) => {
      this.#pieces.push(bytes);
      this.#wake?.();
    });
    socket.on('end', () => this.#over('end'));
    socket.on('error', () => this.#over('reset'));
    socket.on('close', () => this.#over('reset'));
  }

  /** Everything received so far. */
  get received(): Buffer {
    if (this.#pieces.length > 1) this.#pieces.splice(0, this.#pieces.length, Buffer.concat(this.#pieces));
    return this.#pieces[0] ?? Buffer.alloc(0);
  }

  /** @param data - A string is sent as latin1. */
  write(data: string | Uint8Array): void {
    if (typeof data === 'string') this.socket.write(data, 'latin1');
    else this.socket.write(data);
  }

  /** Waits for the first `count` answers of the connection, 1xx answers included. */
  async readResponses(count: number, methods: readonly string[] = []): Promise<RawResponse[]> {
    let responses: RawResponse[] = [];
    await this.until(() => {
      responses = parseResponses(this.received, { methods, closed: this.closedBy !== null }).responses;
      return responses.length >= count;
    }, `${count} answers`);
    return responses.slice(0, count);
  }

  /** Waits for the first answer. */
  async readResponse(method = 'GET'): Promise<RawResponse> {
    const [response] = await this.readResponses(1, [method]);
    return response ?? assert.fail('no answer');
  }

  /** Waits until the server closes and returns every answer; bytes behind the last one are an error. */
  async readToClose(methods: readonly string[] = []): Promise<RawResponse[]> {
    await this.untilClosed();
    const { responses, rest } = parseResponses(this.received, { methods, closed: true });
    assert.equal(rest.toString('latin1'), '', 'bytes behind the last complete answer');
    return responses;
  }

  untilClosed(): Promise<void> {
    return this.until(() => this.closedBy !== null, 'the close');
  }

  /** Waits until `done` says so; looked at whenever bytes arrive or the connection ends. */
  async until(done: () => boolean, what: string): Promise<void> {
    const deadline = AbortSignal.timeout(this.#timeoutMs);
    const onTimeout = (): void => this.#wake?.();
    deadline.addEventListener('abort', onTimeout);
    try {
      while (!done()) {
        if (deadline.aborted || this.closedBy !== null) {
          const state = this.closedBy === null ? 'no close' : `closed by ${this.closedBy}`;
          assert.fail(
            `waited for ${what}, got ${state} and ${JSON.stringify(this.received.toString('latin1', 0, 500))}`,
          );
        }
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      deadline.removeEventListener('abort', onTimeout);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.socket.closed) return;
    const closed = new Promise<void>((resolve) => this.socket.once('close', () => resolve()));
    this.socket.destroy();
    await closed;
  }

  #over(by: 'end' | 'reset'): void {
    this.closedBy ??= by;
    this.#wake?.();
  }
}

/**
 * Connects to a port of this machine.
 *
 * @param options - `timeoutMs` bounds every wait, 10 s by default. `allowHalfOpen`: the client's side stays open when the server closes.
 */
export function connectRaw(
  port: number,
  options: { host?: string; timeoutMs?: number; allowHalfOpen?: boolean } = {},
): Promise<RawClient> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      port,
      host: options.host ?? '127.0.0.1',
      noDelay: true,
      allowHalfOpen: options.allowHalfOpen ?? false,
    });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(new RawClient(socket, options.timeoutMs ?? 10_000));
    });
  });
}

/** Sends `data` on a fresh connection, waits for the server to close it, and returns the answers. */
export async function exchangeRaw(
  port: number,
  data: string | Uint8Array,
  methods: readonly string[] = [],
): Promise<RawResponse[]> {
  await using client = await connectRaw(port);
  client.write(data);
  return await client.readToClose(methods);
}
