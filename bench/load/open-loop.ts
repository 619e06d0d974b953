import { setTimeout as sleep } from 'node:timers/promises';
import { cpuMicros } from '../rig/usage.ts';
import { encodeRequest, LoadConnection, type RequestSpec } from './connection.ts';
import { Histogram } from './histogram.ts';
import { pace } from './pacer.ts';

export interface OpenLoopOptions {
  readonly request: RequestSpec;
  readonly connections: number;
  /** Requests a second, whatever the answers do. */
  readonly rate: number;
  /** The same load before anything counts. */
  readonly leadInSeconds: number;
  /** What counts. */
  readonly seconds: number;
  /** The processes of the gateway; empty where they are unknown. */
  readonly gatewayPids: readonly number[];
}

export interface OpenLoopResult {
  /** Counted requests. */
  readonly requests: number;
  /** CPU time that the gateway used for them. */
  readonly cpuMicros: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
  readonly maxMicros: number;
  /** Requests without an answer when the time was up and a grace of 2 s had passed. Their wait so far is in the percentiles. */
  readonly unanswered: number;
  /** The first thing that went wrong; null if all was well. */
  readonly failure: string | null;
}

const graceMs = 2000;

/**
 * Sends requests at a fixed rate and measures each from the moment when it was meant to be sent: a request that has to
 * wait for a connection waits on the clock, so that a server that stalls cannot hide it (coordinated omission).
 */
export async function runOpenLoop(options: OpenLoopOptions): Promise<OpenLoopResult> {
  const run = new OpenLoop(options);
  await run.connect();
  const count = Math.round(options.rate * (options.leadInSeconds + options.seconds));
  await pace(options.rate, count, (dueMs) => run.onDue(dueMs));
  await run.drain();
  return run.result();
}

class OpenLoop {
  readonly #options: OpenLoopOptions;
  readonly #request: Buffer;
  readonly #histogram = new Histogram();
  readonly #connections: Lane[] = [];
  readonly #idle: Lane[] = [];
  /** Due times of requests that wait for a connection, the oldest at `#queueStart`. */
  #queue: number[] = [];
  #queueStart = 0;
  /** Requests of the lead-in that are still to be sent. */
  #leadIn: number;
  /** When the last of them was due. */
  #countAfterMs = Infinity;
  #cpuBefore = 0;
  #unanswered = 0;
  #failure: string | null = null;

  constructor(options: OpenLoopOptions) {
    this.#options = options;
    this.#request = encodeRequest(options.request);
    this.#leadIn = Math.max(1, Math.round(options.rate * options.leadInSeconds));
  }

  async connect(): Promise<void> {
    for (let i = 0; i < this.#options.connections; i++) {
      const lane = await Lane.open(this.#options.request.port, {
        onAnswer: (answered, dueMs, status) => this.#onAnswer(answered, dueMs, status),
        onClosed: (closed, reason) => this.#onClosed(closed, reason),
      });
      this.#connections.push(lane);
      this.#idle.push(lane);
    }
  }

  onDue(dueMs: number): void {
    const lane = this.#idle.pop();
    if (lane === undefined) this.#queue.push(dueMs);
    else lane.send(this.#request, dueMs);
    // Read behind a request that does not count: one that does would have to wait for it.
    if (--this.#leadIn !== 0) return;
    this.#countAfterMs = dueMs;
    this.#cpuBefore = cpuMicros(this.#options.gatewayPids);
  }

  async drain(): Promise<void> {
    const deadline = performance.now() + graceMs;
    const busy = (): Lane[] => this.#connections.filter(({ isBusy }) => isBusy);
    while (busy().length > 0 && this.#failure === null && performance.now() < deadline) await sleep(5);
    for (const dueMs of [...busy().map((lane) => lane.dueMs), ...this.#queue.slice(this.#queueStart)]) {
      this.#unanswered++;
      this.#record(dueMs);
    }
    for (const lane of this.#connections) lane.close();
  }

  result(): OpenLoopResult {
    const histogram = this.#histogram;
    return {
      requests: histogram.count,
      cpuMicros: cpuMicros(this.#options.gatewayPids) - this.#cpuBefore,
      p50Micros: histogram.percentile(50),
      p99Micros: histogram.percentile(99),
      maxMicros: histogram.max,
      unanswered: this.#unanswered,
      failure: this.#failure,
    };
  }

  #onAnswer(lane: Lane, dueMs: number, status: number): void {
    this.#record(dueMs);
    if (status !== 200) this.#failure ??= `an answer had status ${status}`;
    const next = this.#queue[this.#queueStart];
    if (next === undefined) {
      this.#idle.push(lane);
      return;
    }
    // The front of the queue moves instead of the queue: shift() of a long array copies it.
    if (++this.#queueStart === 4096) {
      this.#queue = this.#queue.slice(4096);
      this.#queueStart = 0;
    }
    lane.send(this.#request, next);
  }

  #onClosed(lane: Lane, reason: string): void {
    // A server may close a connection that it finds idle.
    if (lane.isBusy) this.#failure ??= `a request was cut off: ${reason}`;
    else this.#idle.splice(this.#idle.indexOf(lane), 1);
  }

  #record(dueMs: number): void {
    if (dueMs > this.#countAfterMs) this.#histogram.record((performance.now() - dueMs) * 1000);
  }
}

interface LaneEvents {
  onAnswer(lane: Lane, dueMs: number, status: number): void;
  onClosed(lane: Lane, reason: string): void;
}

/** A connection with the request that it is busy with. */
class Lane {
  #connection: LoadConnection | undefined;
  dueMs = 0;
  isBusy = false;

  static async open(port: number, events: LaneEvents): Promise<Lane> {
    const lane = new Lane();
    lane.#connection = await LoadConnection.open(port, {
      onBody: () => {},
      onResponse: (status) => {
        lane.isBusy = false;
        events.onAnswer(lane, lane.dueMs, status);
      },
      onClose: (reason) => events.onClosed(lane, reason),
    });
    return lane;
  }

  send(request: Buffer, dueMs: number): void {
    this.isBusy = true;
    this.dueMs = dueMs;
    this.#connection?.send(request);
  }

  close(): void {
    this.#connection?.close();
  }
}
