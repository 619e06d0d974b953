import { createServer, type Socket } from 'node:net';
import { nowMicros } from '../rig/clock.ts';
import {
  deltaChunk,
  doneChunk,
  lastChunk,
  plainAnswer,
  roleChunk,
  streamHead,
  usageChunk,
  type MockSettings,
} from './answers.ts';
import { TimerWheel, type Timed } from './timer-wheel.ts';

/**
 * A provider on a raw socket: streams if the request says `"stream":true`, else answers plainly after the set delay.
 * `PUT /bench/settings` changes {@link MockSettings}. Started as a process of its own: `node sse-mock.ts PORT`.
 */

let settings: MockSettings = { deltas: 64, paceMs: 20, delayMs: 0 };
const wheel = new TimerWheel();
const plainBytes = respond(plainAnswer);

function respond(body: string): string {
  const head = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
  return `${head}Connection: keep-alive\r\n\r\n${body}`;
}

/** One streamed answer on its way. */
class Stream implements Timed {
  readonly #socket: Socket;
  readonly #deltas = settings.deltas;
  readonly #paceMs = settings.paceMs;
  #sent = 0;
  dueMs = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  start(): void {
    // The first delta leaves at once: the time to it is the gateway's and the network's alone, without a timer of ours.
    this.#socket.write(streamHead + roleChunk);
    this.dueMs = performance.now();
    this.onDue();
  }

  onDue(): void {
    if (this.#socket.destroyed) return;
    if (this.#sent === this.#deltas) return this.#finish();
    const hasRoom = this.#socket.write(deltaChunk(this.#sent++, nowMicros()));
    if (this.#paceMs > 0) {
      // From the time that was meant, not from now: the pace does not drift.
      this.dueMs += this.#paceMs;
      wheel.add(this);
    } else if (hasRoom) setImmediate(() => this.onDue());
    else this.#socket.once('drain', () => this.onDue());
  }

  #finish(): void {
    this.#socket.write(usageChunk);
    this.#socket.write(doneChunk + lastChunk);
  }
}

class DelayedAnswer implements Timed {
  readonly #socket: Socket;
  readonly dueMs = performance.now() + settings.delayMs;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  onDue(): void {
    if (!this.#socket.destroyed) this.#socket.write(plainBytes);
  }
}

function serve(socket: Socket): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.setNoDelay(true);
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    const headEnd = pending.indexOf('\r\n\r\n');
    if (headEnd === -1) return;
    const head = pending.toString('latin1', 0, headEnd);
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    if (pending.length < headEnd + 4 + length) return;
    const body = pending.toString('latin1', headEnd + 4, headEnd + 4 + length);
    // Nobody who asks here pipelines.
    pending = Buffer.alloc(0);
    answer(socket, head, body);
  });
}

function answer(socket: Socket, head: string, body: string): void {
  if (head.startsWith('PUT /bench/settings ')) {
    settings = JSON.parse(body) as MockSettings;
    socket.write(respond('{}'));
  } else if (/"stream": ?true/.test(body)) new Stream(socket).start();
  else if (settings.delayMs > 0) wheel.add(new DelayedAnswer(socket));
  else socket.write(plainBytes);
}

createServer(serve).listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096 });
