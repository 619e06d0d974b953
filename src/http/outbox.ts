import type { Socket } from 'node:net';

// Nothing waits longer than the work that so many sockets cause, and no socket keeps more than one read of another brings.
const maxWaiting = 32;
const maxBytes = 64 * 1024;
// Turns with a single write say that there is little to do: waiting then costs, and gains nothing. After so many of them so
// many writes go out directly, before the next one waits again to see whether others come.
const lonelyTurns = 4;
const directWrites = 16;

const waiting: (Outbox | null)[] = Array.from({ length: maxWaiting }, () => null);
let waitingCount = 0;
let addedInTurn = 0;
let lonelyInRow = 0;
let directLeft = 0;

/**
 * What is to be sent on one socket. Under load it leaves when all sockets that had something to read have been read: the
 * thread then alternates between its own code and the kernel's once for many requests, not for each, which costs a quarter
 * less CPU, and the other side is woken up once. See docs/decisions/0015-writes-in-batches.md.
 */
export class Outbox {
  readonly #socket: Socket;
  readonly #onFull: () => void;
  #first: string | Uint8Array | null = null;
  #others: (string | Uint8Array)[] = [];
  #size = 0;

  /** @param onFull - The socket holds enough: its `drain` says when it can take more. */
  constructor(socket: Socket, onFull: () => void) {
    this.#socket = socket;
    this.#onFull = onFull;
  }

  /** @param data - Text is latin1. Bytes must stay as they are from now on. */
  add(data: string | Uint8Array): void {
    if (directLeft > 0 && this.#first === null) {
      directLeft--;
      if (!this.#write(data)) this.#onFull();
      return;
    }
    this.#keep(data);
    if (this.#size > maxBytes) this.flush();
    else if (waitingCount === maxWaiting) flushAll();
  }

  /** Pieces that are too large to be joined and should leave in one system call. */
  addAll(pieces: readonly (string | Uint8Array)[]): void {
    for (const data of pieces) if (data.length > 0) this.#keep(data);
    this.flush();
  }

  /** Sends now: before the socket is ended or destroyed. */
  flush(): void {
    const first = this.#first;
    if (first === null) return;
    this.#first = null;
    this.#size = 0;
    let more: boolean;
    if (this.#others.length === 0) {
      more = this.#write(first);
    } else {
      this.#socket.cork();
      more = this.#write(first);
      for (const data of this.#others) more = this.#write(data);
      this.#others = [];
      this.#socket.uncork();
    }
    if (!more) this.#onFull();
  }

  #keep(data: string | Uint8Array): void {
    this.#size += data.length;
    if (this.#first !== null) {
      this.#others.push(data);
      return;
    }
    this.#first = data;
    waiting[waitingCount++] = this;
    if (++addedInTurn === 1) setImmediate(endTurn);
  }

  #write(data: string | Uint8Array): boolean {
    if (this.#socket.destroyed) return true;
    return typeof data === 'string' ? this.#socket.write(data, 'latin1') : this.#socket.write(data);
  }
}

function endTurn(): void {
  lonelyInRow = addedInTurn === 1 ? lonelyInRow + 1 : 0;
  if (lonelyInRow >= lonelyTurns) directLeft = directWrites;
  addedInTurn = 0;
  flushAll();
}

function flushAll(): void {
  // Who is told that a socket is full may add to another one, which then stands behind.
  for (let i = 0; i < waitingCount; i++) {
    const outbox = waiting[i];
    waiting[i] = null;
    outbox?.flush();
  }
  waitingCount = 0;
}
