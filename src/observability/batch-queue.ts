import type { Log } from '../base/log.ts';

/** Brings a batch to where it belongs. Rejects when it could not; ends soon when the signal fires. */
type Deliver = (entries: readonly string[], signal: AbortSignal) => Promise<void>;

export interface BatchQueueOptions {
  /** Facts for reports: which queue this is. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** As soon as so many entries wait they are sent. */
  readonly maxBatchEntries: number;
  /** Entries that may wait or be on their way; beyond that the oldest that waits is dropped. */
  readonly maxPendingEntries: number;
  /** What the waiting entries may take together, in characters. Default 32 Mi. */
  readonly maxPendingCharacters?: number;
  /** No entry waits longer than this before a first attempt is made, as long as attempts succeed. */
  readonly bufferDurationMs: number;
  /** Entries are sent when none has been added for so long. */
  readonly inactiveTimeoutMs: number;
  /** One attempt ends after this time. */
  readonly attemptTimeoutMs: number;
  /** Attempts after the first one; then the batch is dropped. */
  readonly maxRetries: number;
  readonly retryDelayMs: number;
  readonly deliver: Deliver;
}

const defaultMaxPendingCharacters = 32 * 1024 * 1024;
const reportIntervalMs = 60_000;
const gatewayEnded = new Error('the gateway ended');

/** The queues of one worker. */
export class BatchQueues {
  readonly #log: Log;
  /** Those that hold entries. A queue of a route that is gone leaves once it has delivered them, and then nothing keeps it. */
  readonly #busy = new Set<BatchQueue>();

  constructor(log: Log) {
    this.#log = log;
  }

  create(options: BatchQueueOptions): BatchQueue {
    return new BatchQueue(options, this.#busy, this.#log);
  }

  /** Sends what waits, one attempt for each batch. What is not delivered at the deadline is counted as lost. */
  async close(deadlineMs: number): Promise<void> {
    await Promise.all(Array.from(this.#busy, (queue) => queue.close(deadlineMs)));
  }
}

/**
 * Gathers log entries and delivers them in batches, one after the other. Adding an entry never waits and never throws;
 * a destination that is slow or dead costs bounded memory and the oldest entries, which are counted in the gateway log.
 *
 * ```
 * push -> #waiting (bounded, oldest dropped) -> batch on its way -> deliver, retried
 *          sent when full, old enough, or quiet for long enough
 * ```
 */
export class BatchQueue {
  readonly #options: BatchQueueOptions;
  readonly #busy: Set<BatchQueue>;
  readonly #log: Log;
  readonly #maxBatchEntries: number;
  readonly #maxPendingCharacters: number;
  readonly #waiting: string[] = [];
  #waitingCharacters = 0;
  #entriesOnTheWay = 0;
  /** Something that waits has waited long enough. */
  #due = false;
  #running: Promise<void> | null = null;
  #ageTimer: NodeJS.Timeout | undefined;
  #quietTimer: NodeJS.Timeout | undefined;

  #closing = false;
  #deadlinePassed = false;
  #attempt: AbortController | null = null;
  #wakeFromRetryDelay: () => void = () => {};

  #lost = 0;
  #lastFailure = '';
  #reportTimer: NodeJS.Timeout | undefined;
  #reportedAt = -Infinity;

  constructor(options: BatchQueueOptions, busy: Set<BatchQueue>, log: Log) {
    this.#options = options;
    this.#busy = busy;
    this.#log = log;
    // A batch larger than what may wait would never be complete.
    this.#maxBatchEntries = Math.min(options.maxBatchEntries, options.maxPendingEntries);
    this.#maxPendingCharacters = options.maxPendingCharacters ?? defaultMaxPendingCharacters;
  }

  push(entry: string): void {
    this.#busy.add(this);
    this.#waiting.push(entry);
    this.#waitingCharacters += entry.length;
    while (this.#isOverfull()) this.#dropOldest();
    this.#startTimers();
    if (this.#waiting.length >= this.#maxBatchEntries || this.#closing) this.#send();
  }

  async close(deadlineMs: number): Promise<void> {
    this.#closing = true;
    const timer = setTimeout(() => {
      this.#deadlinePassed = true;
      this.#attempt?.abort(gatewayEnded);
    }, deadlineMs);
    this.#wakeFromRetryDelay();
    this.#due = true;
    this.#send();
    await this.#running;
    clearTimeout(timer);
    this.#report();
  }

  #isOverfull(): boolean {
    if (this.#waiting.length === 0) return false;
    const tooMany = this.#waiting.length + this.#entriesOnTheWay > this.#options.maxPendingEntries;
    return tooMany || this.#waitingCharacters > this.#maxPendingCharacters;
  }

  #dropOldest(): void {
    this.#waitingCharacters -= this.#waiting.shift()?.length ?? 0;
    this.#countLost(1, this.#lastFailure === '' ? 'entries come faster than they are taken' : this.#lastFailure);
  }

  #startTimers(): void {
    this.#ageTimer ??= setTimeout(this.#onTimer, this.#options.bufferDurationMs).unref();
    if (this.#quietTimer === undefined) {
      this.#quietTimer = setTimeout(this.#onTimer, this.#options.inactiveTimeoutMs).unref();
    } else {
      this.#quietTimer.refresh();
    }
  }

  #stopTimers(): void {
    clearTimeout(this.#ageTimer);
    clearTimeout(this.#quietTimer);
    this.#ageTimer = undefined;
    this.#quietTimer = undefined;
  }

  readonly #onTimer = (): void => {
    this.#due = true;
    this.#send();
  };

  #send(): void {
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    while (this.#waiting.length >= (this.#due ? 1 : this.#maxBatchEntries)) {
      const batch = this.#waiting.splice(0, this.#maxBatchEntries);
      for (const entry of batch) this.#waitingCharacters -= entry.length;
      this.#entriesOnTheWay = batch.length;
      this.#stopTimers();
      if (this.#waiting.length === 0) this.#due = false;
      await this.#deliver(batch);
      this.#entriesOnTheWay = 0;
    }
    this.#running = null;
    if (this.#waiting.length === 0) this.#busy.delete(this);
    else this.#startTimers();
  }

  /** Never rejects. */
  async #deliver(batch: readonly string[]): Promise<void> {
    for (let retries = 0; ; retries++) {
      const failure = await this.#tryOnce(batch);
      this.#lastFailure = failure ?? '';
      if (failure === null) return;
      if (retries >= this.#options.maxRetries || this.#closing) return this.#countLost(batch.length, failure);
      await this.#retryDelay();
    }
  }

  /** @returns Why it failed; null: delivered. */
  async #tryOnce(batch: readonly string[]): Promise<string | null> {
    const { deliver, attemptTimeoutMs } = this.#options;
    if (this.#deadlinePassed) return gatewayEnded.message;
    const attempt = new AbortController();
    this.#attempt = attempt;
    // Not stopped when the batch is delivered: it also ends an answer whose body never does.
    setTimeout(() => attempt.abort(new Error(`no answer within ${attemptTimeoutMs} ms`)), attemptTimeoutMs).unref();
    try {
      await deliver(batch, attempt.signal);
      return null;
    } catch (error) {
      return reasonOf(error);
    }
  }

  async #retryDelay(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wakeFromRetryDelay = resolve;
    const timer = setTimeout(resolve, this.#options.retryDelayMs).unref();
    await promise;
    clearTimeout(timer);
  }

  #countLost(entries: number, reason: string): void {
    this.#lost += entries;
    this.#lastFailure = reason;
    const wait = this.#reportedAt + reportIntervalMs - performance.now();
    if (wait <= 0) this.#report();
    else this.#reportTimer ??= setTimeout(() => this.#report(), wait).unref();
  }

  #report(): void {
    clearTimeout(this.#reportTimer);
    this.#reportTimer = undefined;
    if (this.#lost === 0) return;
    this.#reportedAt = performance.now();
    this.#log.error('log entries are lost, requests go on', {
      ...this.#options.facts,
      lost_entries: this.#lost,
      reason: this.#lastFailure,
    });
    this.#lost = 0;
  }
}

/** An AbortError says only that it was aborted; why stands in its cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'AbortError' && error.cause instanceof Error) return error.cause.message;
  // Failed connections to several addresses of a host come as one error without a text of its own.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join('; ');
  return error.message;
}
