import type { Socket } from 'node:net';
import type { Deadlines } from './deadlines.ts';
import { FirstReads } from './first-reads.ts';

/** What every client of HTTP/2 sends first (RFC 9113, section 3.4); no request of HTTP/1.1 begins so. */
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

interface DetectOptions {
  readonly deadlines: Deadlines;
  readonly timeoutMs: number;
  /** All bytes have been put back. */
  readonly onKnown: (isHttp2: boolean) => void;
}

/**
 * Finds out whether a client without TLS begins with HTTP/2. The socket is closed when it says nothing in time.
 *
 * @param socket - Paused; nothing of it has been read.
 */
export function detectHttp2(socket: Socket, { deadlines, timeoutMs, onKnown }: DetectOptions): void {
  const first = new FirstReads(socket, {
    deadlines,
    timeoutMs,
    onBytes: (bytes) => {
      const length = Math.min(bytes.length, preface.length);
      const isHttp2 = bytes.compare(preface, 0, length, 0, length) === 0;
      if (isHttp2 && length < preface.length) return;
      first.putBack();
      first.release();
      onKnown(isHttp2);
    },
  });
}
