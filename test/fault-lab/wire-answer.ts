/** An answer as the bytes that a provider sends, which a test can cut anywhere. */
export interface WireAnswer {
  readonly bytes: Buffer;
  /** Size of the head with its blank line. */
  readonly headBytes: number;
  /** The body without its framing. */
  readonly body: Buffer;
  /** How much of the body a receiver knows that has this many bytes of the answer. */
  bodyBytesIn(count: number): number;
}

interface WireParts {
  /** Default `200 OK`. */
  readonly status?: string;
  /** Default JSON. */
  readonly contentType?: string;
  /** `close`: the body ends with the connection. Default `chunked`, a chunk a piece. */
  readonly framing?: 'length' | 'chunked' | 'close';
  /** More lines of the head, without CRLF. */
  readonly fields?: readonly string[];
}

/** Frames the pieces of a body. */
export function wireAnswer(pieces: readonly string[], parts: WireParts = {}): WireAnswer {
  const { status = '200 OK', contentType = 'application/json', framing = 'chunked', fields = [] } = parts;
  const body = Buffer.from(pieces.join(''));
  const framingLine = {
    length: `Content-Length: ${body.length}`,
    chunked: 'Transfer-Encoding: chunked',
    close: 'Connection: close',
  }[framing];
  const lines = [`HTTP/1.1 ${status}`, `Content-Type: ${contentType}`, ...fields, framingLine];
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`);
  const written: Buffer[] = [head];
  // Where a stretch of the body begins in the answer, and how much of the body is in front of it.
  const stretches: { readonly start: number; readonly length: number }[] = [];
  let size = head.length;
  const write = (data: Buffer, isBody: boolean): void => {
    if (isBody) stretches.push({ start: size, length: data.length });
    written.push(data);
    size += data.length;
  };
  if (framing === 'chunked') {
    for (const piece of pieces.map((text) => Buffer.from(text)).filter(({ length }) => length > 0)) {
      write(Buffer.from(`${piece.length.toString(16)}\r\n`), false);
      write(piece, true);
      write(Buffer.from('\r\n'), false);
    }
    write(Buffer.from('0\r\n\r\n'), false);
  } else {
    write(body, true);
  }
  return {
    bytes: Buffer.concat(written),
    headBytes: head.length,
    body,
    bodyBytesIn: (count) =>
      stretches.reduce((sum, { start, length }) => sum + Math.min(length, Math.max(0, count - start)), 0),
  };
}
