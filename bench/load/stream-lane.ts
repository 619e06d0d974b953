import { nowMicros } from '../rig/clock.ts';
import { LoadConnection, type RequestSpec } from './connection.ts';
import { StreamChecker } from './stream-checker.ts';

interface LaneOptions {
  readonly request: RequestSpec;
  /** Content deltas that the mock sends in each stream. */
  readonly deltas: number;
  readonly lateAfterMs: number;
}

interface LaneEvents {
  onDelta(transitMicros: number, excessGapMicros: number): void;
  onFirstDelta(micros: number): void;
  onEnd(lane: StreamLane, fault: string | null): void;
}

/** A connection that carries one stream after another. */
export class StreamLane {
  readonly #options: LaneOptions;
  readonly #events: LaneEvents;
  #connection: LoadConnection | undefined;
  #checker: StreamChecker | null = null;
  #dueMs = 0;
  isClosed = false;
  /** Of the stream that ended last. */
  events = 0;

  constructor(options: LaneOptions, events: LaneEvents) {
    this.#options = options;
    this.#events = events;
  }

  /** 0 where none is open. */
  get eventsOfOpenStream(): number {
    return this.#checker?.events ?? 0;
  }

  /** @throws Error when the connection cannot be made. */
  async connect(): Promise<void> {
    this.#connection = await LoadConnection.open(this.#options.request.port, {
      onBody: (text) => this.#checker?.push(text, nowMicros()),
      onResponse: (status) => this.#end(status === 200 ? null : `the answer had status ${status}`),
      onClose: (reason) => {
        this.isClosed = true;
        this.#end(`the connection broke: ${reason}`);
      },
    });
  }

  start(request: Buffer, dueMs: number): void {
    this.#dueMs = dueMs;
    this.#checker = new StreamChecker(this.#options, {
      onDelta: (transitMicros, excessGapMicros) => {
        if (Number.isNaN(excessGapMicros)) this.#events.onFirstDelta((performance.now() - this.#dueMs) * 1000);
        this.#events.onDelta(transitMicros, excessGapMicros);
      },
    });
    this.#connection?.send(request);
  }

  /** The time is over: a stream that still runs is a faulty one. */
  giveUp(): void {
    this.#connection?.close();
    this.isClosed = true;
    this.#end('it had not ended when the time was up');
  }

  #end(fault: string | null): void {
    const checker = this.#checker;
    if (checker === null) return;
    this.#checker = null;
    this.events = checker.events;
    this.#events.onEnd(this, fault ?? checker.end());
  }
}
