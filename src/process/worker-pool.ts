import type { Log } from '../base/log.ts';
import type { GatewayConfig } from '../config/static/gateway-config.ts';
import type { ClientListen } from '../config/static/listen.ts';
import type { ResourceChange, StoreState } from '../config/store/store.ts';
import type { SharedRegion } from '../shared-memory/shared-memory.ts';
import type { HealthReport } from '../upstream/health/shared-health.ts';
import type { MetricsHub } from '../observability/metrics/metrics-hub.ts';
import type { ConfigurationMessage, SettingsMessage } from '../snapshot/messages.ts';
import { startWorkerThread, type WorkerThread } from './worker-thread.ts';

export interface WorkerPoolOptions {
  /** The worker's module, `worker.ts` in the sources and `worker.js` in the package. */
  readonly workerUrl: URL;
  /** Number of threads, at least 1. */
  readonly size: number;
  readonly config: GatewayConfig;
  /** Absolute path. */
  readonly prefix: string;
  /** Called whenever a thread starts: a replacement begins with what is true then. */
  readonly currentState: () => StoreState;
  readonly listen: readonly ClientListen[];
  readonly region: SharedRegion;
  readonly metrics: Pick<MetricsHub, 'openPage' | 'retirePage'>;
  /** Takes what workers have seen of the health of upstreams. */
  readonly onHealthReport: (report: HealthReport) => void;
  readonly log: Log;
  /**
   * How long a worker may take to put a change into effect before it is replaced; 1 ms for each resource that there is
   * comes on top. Default 5000.
   */
  readonly applyTimeoutMs?: number;
  /** How long a worker may take until it listens. Default 30000. */
  readonly startTimeoutMs?: number;
}

/** Worker threads that run the same config.yaml and replace each other. */
export interface WorkerPool {
  /** Resolves with the real addresses when every worker listens. Rejects when one cannot; then none is left running. */
  start(): Promise<readonly ClientListen[]>;
  /** Resolves when every worker serves the change, has died meanwhile, or was given up because it did not answer. */
  publish(changes: readonly ResourceChange[], revision: number): Promise<void>;
  /**
   * Hands a new config.yaml to the running workers.
   *
   * @returns False when one of them could not take it: then all have the old one again, and a new pool is needed.
   */
  reconfigure(config: GatewayConfig): Promise<boolean>;
  /** Whether every worker serves: none is missing, starting or about to end. */
  isReady(): boolean;
  reopenLogs(): void;
  /**
   * Ends the pool for good: no accept, no replacement; resolves when all threads have ended, at the deadline at the
   * latest. A second call may set a shorter deadline; 0 means at once.
   */
  drain(deadlineMs: number): Promise<void>;
}

/** A worker that lived shorter than this counts as one that dies again and again. */
const shortLifeMs = 10_000;
const maxRestartDelayMs = 10_000;

interface Slot {
  readonly index: number;
  thread: WorkerThread;
  startedAt: number;
  /** Deaths in a row after a short life. */
  shortLives: number;
  restart: NodeJS.Timeout | undefined;
}

export function createWorkerPool(options: WorkerPoolOptions): WorkerPool {
  return new ThreadPool(options);
}

class ThreadPool implements WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #applyTimeoutMs: number;
  readonly #slots: Slot[] = [];
  #config: GatewayConfig;
  #listen: readonly ClientListen[];
  #draining = false;
  #lastMessageId = 0;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#applyTimeoutMs = options.applyTimeoutMs ?? 5000;
    this.#config = options.config;
    this.#listen = options.listen;
  }

  async start(): Promise<readonly ClientListen[]> {
    const { size } = this.#options;
    try {
      // The first one alone finds out which port 0 stands for; the others then share that port.
      const first = this.#addSlot();
      if (this.#listen.some(({ port }) => port === 0)) {
        const ports = await first.thread.ready;
        this.#listen = this.#listen.map((address, index) => ({ ...address, port: ports[index] ?? address.port }));
      }
      while (this.#slots.length < size) this.#addSlot();
      await Promise.all(this.#slots.map((slot) => slot.thread.ready));
    } catch (error) {
      await this.drain(0);
      throw error;
    }
    for (const slot of this.#slots) this.#replaceWhenGone(slot);
    return this.#listen;
  }

  async publish(changes: readonly ResourceChange[], revision: number): Promise<void> {
    if (this.#draining) return;
    const message: ConfigurationMessage = { type: 'configuration', id: ++this.#lastMessageId, revision, changes };
    const timeoutMs = this.#timeoutMs();
    await Promise.all(this.#slots.map((slot) => this.#publishTo(slot, message, timeoutMs)));
  }

  async reconfigure(config: GatewayConfig): Promise<boolean> {
    const previous = this.#config;
    this.#config = config;
    if (await this.#sendSettings()) return true;
    this.#config = previous;
    await this.#sendSettings();
    return false;
  }

  isReady(): boolean {
    return !this.#draining && this.#slots.every(({ thread }) => thread.isReady());
  }

  reopenLogs(): void {
    for (const { thread } of this.#slots) thread.reopenLogs();
  }

  async drain(deadlineMs: number): Promise<void> {
    this.#draining = true;
    for (const slot of this.#slots) clearTimeout(slot.restart);
    await Promise.all(this.#slots.map((slot) => slot.thread.drain(deadlineMs)));
  }

  async #sendSettings(): Promise<boolean> {
    const message: SettingsMessage = { type: 'settings', id: ++this.#lastMessageId, config: this.#config };
    const timeoutMs = this.#timeoutMs();
    const outcomes = await Promise.all(this.#slots.map(({ thread }) => thread.apply(message, timeoutMs)));
    // One that died meanwhile is replaced by one that starts with these settings.
    return outcomes.every(({ kind }) => kind === 'applied' || kind === 'gone');
  }

  /**
   * Any change may mean to compile everything anew, say that of a global rule. Thousands of routes take seconds on a busy
   * machine, and to replace the worker would cut its streams.
   */
  #timeoutMs(): number {
    return this.#applyTimeoutMs + this.#options.currentState().resources.length;
  }

  async #publishTo({ thread, index }: Slot, message: ConfigurationMessage, timeoutMs: number): Promise<void> {
    const outcome = await thread.apply(message, timeoutMs);
    if (outcome.kind === 'failed') {
      const fields = { worker: index, revision: message.revision, error: outcome.message };
      this.#options.log.error('a worker refused a change of the configuration and serves the old one', fields);
    }
    // A thread that is still starting has its own time limit, and handles its messages before it serves.
    if (outcome.kind === 'late' && thread.isReady() && !this.#draining) {
      await thread.terminate(`did not take over revision ${message.revision} within ${timeoutMs} ms`);
    }
  }

  #addSlot(): Slot {
    const index = this.#slots.length;
    const slot = { index, thread: this.#startThread(index), startedAt: Date.now(), shortLives: 0, restart: undefined };
    this.#slots.push(slot);
    return slot;
  }

  #startThread(workerIndex: number): WorkerThread {
    const { workerUrl, prefix, currentState, region, metrics, onHealthReport, startTimeoutMs = 30_000 } = this.#options;
    const metricPage = metrics.openPage();
    const start = {
      config: this.#config,
      prefix,
      workerIndex,
      listen: this.#listen,
      state: currentState(),
      region,
      metricPage,
    };
    const thread = startWorkerThread(workerUrl, start, { startTimeoutMs, onHealthReport });
    void thread.gone.then(() => metrics.retirePage(metricPage));
    return thread;
  }

  #replaceWhenGone(slot: Slot): void {
    void slot.thread.gone.then((reason) => {
      if (this.#draining) return;
      slot.shortLives = Date.now() - slot.startedAt < shortLifeMs ? slot.shortLives + 1 : 1;
      const delayMs = restartDelayMs(slot.shortLives);
      this.#options.log.error(`worker ${slot.index} ended; ${describeRestart(slot.shortLives, delayMs)}`, {
        worker: slot.index,
        error: reason.stack ?? reason.message,
      });
      const restart = (): void => {
        slot.thread = this.#startThread(slot.index);
        slot.startedAt = Date.now();
        this.#replaceWhenGone(slot);
      };
      if (delayMs === 0) restart();
      else slot.restart = setTimeout(restart, delayMs);
    });
  }
}

/** The first replacement comes at once, the second after 100 ms, then twice as long each time up to 10 s. */
function restartDelayMs(shortLives: number): number {
  return shortLives <= 1 ? 0 : Math.min(100 * 2 ** (shortLives - 2), maxRestartDelayMs);
}

function describeRestart(shortLives: number, delayMs: number): string {
  if (delayMs === 0) return 'a new one takes its place at once';
  return `this happened ${shortLives} times within short, a new one takes its place in ${delayMs} ms`;
}
