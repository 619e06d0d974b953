import { setTimeout as sleep } from 'node:timers/promises';
import { encodeRequest, type RequestSpec } from './connection.ts';
import { CountedPart } from './counted-part.ts';
import { Histogram } from './histogram.ts';
import { pace } from './pacer.ts';
import { StreamLane } from './stream-lane.ts';

export interface StreamsOptions {
  readonly request: RequestSpec;
  /** Connections, opened before the first stream: streams that can be open at once. */
  readonly connections: number;
  /** Content deltas that the mock sends in each. */
  readonly deltas: number;
  readonly lateAfterMs: number;
  readonly arrival: PacedArrival | ClosedArrival;
  /** The processes of the gateway; empty where they are unknown. */
  readonly gatewayPids: readonly number[];
  /** No stream takes longer; one that does counts as cut. */
  readonly streamLimitSeconds: number;
}

/**
 * So many streams, started at this rate. What counts is the time in which as many are open as there ever will be:
 * between the first end and the last start, whichever of the two comes first.
 */
interface PacedArrival {
  readonly kind: 'paced';
  readonly streams: number;
  readonly perSecond: number;
}

/** Each connection one stream after another. */
interface ClosedArrival {
  readonly kind: 'closed';
  /** Before anything counts. */
  readonly leadInSeconds: number;
  readonly seconds: number;
}

export interface StreamsResult {
  /** Streams that came whole. */
  readonly whole: number;
  readonly faulty: number;
  /** What was wrong with the first faulty streams. */
  readonly faults: readonly string[];
  /** Events in the part of the run that counts. */
  readonly events: number;
  /** CPU time that the gateway used for them. */
  readonly cpuMicros: number;
  /** How long that part was. */
  readonly seconds: number;
  /** From the meant start of a stream to its first content delta, in the part that counts. */
  readonly ttftP50Micros: number;
  readonly ttftP99Micros: number;
  /** From the mock's write of a delta to its arrival, in the whole run. */
  readonly transitP99Micros: number;
  readonly transitMaxMicros: number;
  /** How much longer the gap between two deltas was than the mock made it, in the part that counts. */
  readonly gapP99Micros: number;
  /** Most streams that were open at the same time. */
  readonly mostOpen: number;
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
  readonly #counted: CountedPart;
  #faulty = 0;
  #whole = 0;
  /** Of the streams that have ended. */
  #events = 0;
  #open = 0;
  #mostOpen = 0;
  #hasOneEnded = false;
  #closedUntilMs = 0;

  constructor(options: StreamsOptions) {
    this.#options = options;
    this.#request = encodeRequest(options.request);
    this.#counted = new CountedPart(options.gatewayPids);
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
        if (this.#counted.isRunning && !Number.isNaN(excessGapMicros)) this.#gap.record(excessGapMicros);
      },
      onFirstDelta: (micros) => {
        if (this.#counted.isRunning) this.#ttft.record(micros);
      },
      onEnd: (ended, fault) => this.#onEnd(ended, fault),
    });
    await lane.connect();
    this.#lanes.push(lane);
    this.#idle.push(lane);
  }

  async run(): Promise<void> {
    const { arrival, streamLimitSeconds } = this.#options;
    if (arrival.kind === 'paced') await this.#runPaced(arrival);
    else await this.#runClosed(arrival);
    const deadline = performance.now() + streamLimitSeconds * 1000;
    while (this.#open > 0 && performance.now() < deadline) await sleep(5);
    for (const lane of this.#lanes) lane.giveUp();
  }

  async #runPaced({ perSecond, streams }: PacedArrival): Promise<void> {
    await pace(perSecond, streams, (dueMs) => this.#start(dueMs));
    this.#onFirstEndOrLastStart();
  }

  async #runClosed({ leadInSeconds, seconds }: ClosedArrival): Promise<void> {
    this.#closedUntilMs = performance.now() + (leadInSeconds + seconds) * 1000;
    while (this.#idle.length > 0) this.#start(performance.now());
    await sleep(leadInSeconds * 1000);
    this.#counted.begin(this.#eventsSoFar());
    await sleep(this.#closedUntilMs - performance.now());
    this.#counted.end(this.#eventsSoFar());
  }

  #onFirstEndOrLastStart(): void {
    if (this.#counted.isRunning) this.#counted.end(this.#eventsSoFar());
    else this.#counted.begin(this.#eventsSoFar());
  }

  /** Those of streams that are still open too. */
  #eventsSoFar(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.eventsOfOpenStream, this.#events);
  }

  result(): StreamsResult {
    return {
      whole: this.#whole,
      faulty: this.#faulty,
      faults: this.#faults,
      events: this.#counted.events,
      cpuMicros: this.#counted.cpuMicros,
      seconds: this.#counted.seconds,
      ttftP50Micros: this.#ttft.percentile(50),
      ttftP99Micros: this.#ttft.percentile(99),
      transitP99Micros: this.#transit.percentile(99),
      transitMaxMicros: this.#transit.max,
      gapP99Micros: this.#gap.percentile(99),
      mostOpen: this.#mostOpen,
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
    this.#events += lane.events;
    if (!this.#hasOneEnded && this.#options.arrival.kind === 'paced') this.#onFirstEndOrLastStart();
    this.#hasOneEnded = true;
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
