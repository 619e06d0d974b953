import type { CounterSeries, WorkerMetrics } from './worker-metrics.ts';
import { metrics } from './metric-list.ts';

/** Counts connections and requests of a worker, whatever their routes. */
export class TrafficCounters {
  readonly #requests: CounterSeries;
  readonly #accepted: CounterSeries;
  readonly #active: CounterSeries;
  readonly #running: CounterSeries;

  constructor(worker: WorkerMetrics) {
    this.#requests = worker.counter(metrics.requests, []);
    this.#accepted = worker.counter(metrics.acceptedConnections, []);
    this.#active = worker.counter(metrics.activeConnections, []);
    this.#running = worker.counter(metrics.runningRequests, []);
  }

  connectionOpened(): void {
    this.#accepted.add(1);
    this.#active.add(1);
  }

  connectionClosed(): void {
    this.#active.add(-1);
  }

  requestBegan(): void {
    this.#requests.add(1);
    this.#running.add(1);
  }

  requestEnded(): void {
    this.#running.add(-1);
  }
}
