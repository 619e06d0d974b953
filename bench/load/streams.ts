import { setTimeout as sleep } from 'node:timers/promises';
import { nowMicros } from '../rig/clock.ts';
import { encodeRequest, LoadConnection, type RequestSpec } from './connection.ts';
import { Histogram } from './histogram.ts';
import { pace } from './pacer.ts';
import { StreamChecker } from './stream-checker.ts';

export interface StreamsOptions {
  readonly request: RequestSpec;
  /** Connections, opened before the first stream: streams that can be open at once. */
  readonly connections: number;
  /** Content deltas that the mock sends in each. */
  readonly deltas: number;
  readonly lateAfterMs: number;
  /** `paced`: so many streams, started at this rate. `closed`: each connection one after another for so long. */
  readonly arrival:
    | { readonly kind: 'paced'; readonly streams: number; readonly perSecond: number }
    | { readonly kind: 'closed'; readonly seconds: number };
  /** No stream takes longer; one that does counts as cut. */
  readonly streamLimitSeconds: number;
}

export interface StreamsResult {
  /** Streams that came whole. */
  readonly whole: number;
  readonly faulty: number;
  /** What was wrong with the first faulty streams. */
  readonly faults: readonly string[];
  /** Events of all streams. */
  readonly events: number;
  /** From the meant start of a stream to its first content delta. */
  readonly ttftP50Micros: number;
  readonly ttftP99Micros: number;
  /** From the mock's write of a delta to its arrival. */
  readonly transitP99Micros: number;
  readonly transitMaxMicros: number;
  /** How much longer the gap between two deltas was than the mock made it. */
  readonly gapP99Micros: number;
  /** Most streams that were open at the same time. */
  readonly mostOpen: number;
  /** From the first start to the last end. */
  readonly seconds: number;
}

const openAtOnce = 64;

/** Opens streams through a gateway and checks every frame of each: that it comes, in order, and in time. */
export async function runStreams(options: StreamsOptions): Promise<StreamsResult> {
  const run = new StreamRun(options);
  await run.connect();
  await run.run();
  return run.result();
}

class StreamRun {
  readonly #options: StreamsOptions;
  readonly #request: Buffer;
  readonly #ttft = new Histogram();
  readonly #transit = new Histogram();
  readonly #gap = new Histogram();
  readonly #idle: StreamLane[] = [];
  readonly #lanes: StreamLane[] = [];
  readonly #faults: string[] = [];
  #faulty = 0;
  #whole = 0;
  #events = 0;
  #open = 0;
  #mostOpen = 0;
  #startedMs = 0;
  #endedMs = 0;
  #closedUntilMs = 0;

  constructor(options: StreamsOptions) {
    this.#options = options;
    this.#request = encodeRequest(options.request);
  }

  async connect(): Promise<void> {
    const { connections } = this.#options;
    for (let opened = 0; opened < connections; opened += openAtOnce) {
      const count = Math.min(openAtOnce, connections - opened);
      await Promise.all(Array.from({ length: count }, () => this.#addLane()));
    }
  }

  async #addLane(): Promise<void> {
    const lane = new StreamLane(this.#options, {
      onDelta: (transitMicros, excessGapMicros) => {
        this.#transit.record(transitMicros);
        if (!Number.isNaN(excessGapMicros)) this.#gap.record(excessGapMicros);
      },
      onFirstDelta: (micros) => this.#ttft.record(micros),
      onEnd: (ended, fault) => this.#onEnd(ended, fault),
    });
    await lane.connect();
    this.#lanes.push(lane);
    this.#idle.push(lane);
  }

  async run(): Promise<void> {
    const { arrival, streamLimitSeconds } = this.#options;
    this.#startedMs = performance.now();
    if (arrival.kind === 'paced') await pace(arrival.perSecond, arrival.streams, (dueMs) => this.#start(dueMs));
    else {
      this.#closedUntilMs = performance.now() + arrival.seconds * 1000;
      while (this.#idle.length > 0) this.#start(performance.now());
      await sleep(arrival.seconds * 1000);
    }
    const deadline = performance.now() + streamLimitSeconds * 1000;
    while (this.#open > 0 && performance.now() < deadline) await sleep(5);
    for (const lane of this.#lanes) lane.giveUp();
  }

  result(): StreamsResult {
    return {
      whole: this.#whole,
      faulty: this.#faulty,
      faults: this.#faults,
      events: this.#events,
      ttftP50Micros: this.#ttft.percentile(50),
      ttftP99Micros: this.#ttft.percentile(99),
      transitP99Micros: this.#transit.percentile(99),
      transitMaxMicros: this.#transit.max,
      gapP99Micros: this.#gap.percentile(99),
      mostOpen: this.#mostOpen,
      seconds: (this.#endedMs - this.#startedMs) / 1000,
    };
  }

  #start(dueMs: number): void {
    const lane = this.#idle.pop();
    if (lane === undefined) return this.#countFault('no connection was free when it was due');
    this.#mostOpen = Math.max(this.#mostOpen, ++this.#open);
    lane.start(this.#request, dueMs);
  }

  #onEnd(lane: StreamLane, fault: string | null): void {
    this.#open--;
    this.#endedMs = performance.now();
    this.#events += lane.events;
    if (fault === null) this.#whole++;
    else this.#countFault(fault);
    if (lane.isClosed) return;
    this.#idle.push(lane);
    if (performance.now() < this.#closedUntilMs) this.#start(performance.now());
  }

  #countFault(fault: string): void {
    this.#faulty++;
    if (this.#faults.length < 3) this.#faults.push(fault);
  }
}

interface LaneEvents {
  onDelta(transitMicros: number, excessGapMicros: number): void;
  onFirstDelta(micros: number): void;
  onEnd(lane: StreamLane, fault: string | null): void;
}

/** A connection that carries one stream after another. */
class StreamLane {
  readonly #options: StreamsOptions;
  readonly #events: LaneEvents;
  #connection: LoadConnection | undefined;
  #checker: StreamChecker | null = null;
  #dueMs = 0;
  isClosed = false;
  /** Of the stream that ended last. */
  events = 0;

  constructor(options: StreamsOptions, events: LaneEvents) {
    this.#options = options;
    this.#events = events;
  }

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
