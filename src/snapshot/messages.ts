import type { GatewayConfig } from '../config/static/gateway-config.ts';
import type { ClientListen } from '../config/static/listen.ts';
import type { ResourceChange, StoreState } from '../config/store/store.ts';
import type { SharedRegion } from '../shared-memory/shared-memory.ts';
import type { WorkerPage } from '../observability/metrics/worker-metrics.ts';
import type { HealthReport } from '../upstream/health/shared-health.ts';

/** What a worker thread is started with (`workerData`). Plain data: it crosses the thread border as a copy. */
export interface WorkerStart {
  readonly config: GatewayConfig;
  /** Absolute path; relative paths in `config` lie under it. */
  readonly prefix: string;
  /** 0 up to the number of workers. A worker that replaces a dead one has its index. */
  readonly workerIndex: number;
  /** The data-plane addresses. The worker listens on each itself, with `reusePort`. */
  readonly listen: readonly ClientListen[];
  /** The whole configuration at this moment; later changes come as messages, in order and without a gap. */
  readonly state: StoreState;
  /** The same memory for all workers, not a copy. */
  readonly region: SharedRegion;
  /** Where this worker alone counts its requests, and the main thread reads. */
  readonly metricPage: WorkerPage;
}

/**
 * What changed in the configuration since the last message or the start. The worker puts it into a new snapshot,
 * swaps, and answers `applied` or `failed` with the same id.
 */
export interface ConfigurationMessage {
  readonly type: 'configuration';
  readonly id: number;
  readonly revision: number;
  readonly changes: readonly ResourceChange[];
}

/**
 * A new config.yaml whose listeners and number of workers are the old ones. The worker builds everything from it as
 * at its start, except that it keeps its listening and client sockets: closing a listener of a SO_REUSEPORT group
 * resets the connections in its queue, so a reload that closed it would drop requests. Answered with `applied`, or
 * with `failed`, upon which a whole new set of workers is started and this one is drained.
 */
export interface SettingsMessage {
  readonly type: 'settings';
  readonly id: number;
  readonly config: GatewayConfig;
}

/** Main thread to worker. */
export type MessageToWorker =
  | ConfigurationMessage
  | SettingsMessage
  /** SIGUSR1: close and open each log file again, so that a rotated file is let go. Not answered. */
  | { readonly type: 'reopen-logs' }
  /**
   * Stop accepting, close idle connections, finish running requests; when `deadlineMs` have passed, cut those that are
   * left. Then write out the logs and answer `drained`. A second message replaces the first one's deadline; 0 means at
   * once.
   */
  | { readonly type: 'drain'; readonly deadlineMs: number };

/** Worker to main thread. */
export type MessageFromWorker =
  /** All listeners are open; `ports` are the real ones, in the order of `WorkerStart.listen`. Sent once. */
  | { readonly type: 'ready'; readonly ports: readonly number[] }
  /** A listener cannot be opened; the main thread ends the worker. `code` is the system's, e.g. `EADDRINUSE`. */
  | {
      readonly type: 'listen-failed';
      readonly code: string;
      readonly address: string;
      readonly port: number;
      readonly message: string;
    }
  /** The change is in effect: every request from now on sees it. */
  | { readonly type: 'applied'; readonly id: number }
  /** The change could not be put into effect; everything is as before. */
  | { readonly type: 'failed'; readonly id: number; readonly message: string }
  /** How a client's request to an instance with passive checks went. Sent only when it may change the health. */
  | { readonly type: 'health'; readonly report: HealthReport }
  /** Nothing runs any more and the logs are written out; the main thread ends the worker. */
  | { readonly type: 'drained' };
