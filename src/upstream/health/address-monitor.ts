import type { ActiveCheck } from './check-schema.ts';
import {
  classifyStatus,
  HealthState,
  isUsable,
  toThresholds,
  type HealthCounters,
  type HealthSignal,
  type HealthStatus,
  type SignalRules,
} from './health-state.ts';
import type { ProbeResult } from './probe.ts';

/** Runs something after so many milliseconds. @returns Calls it off. */
export type Schedule = (run: () => void, delayMs: number) => () => void;

/** How an address is, for people. Times are milliseconds since 1970. */
export interface AddressReport {
  /** '' for a name that does not resolve. */
  readonly ip: string;
  readonly status: HealthStatus;
  readonly counters: HealthCounters;
  /** When the status became what it is. */
  readonly since: number;
  /** Null before the first one. */
  readonly lastProbeAt: number | null;
  /** The last failure, whatever has come since. */
  readonly lastError: { readonly reason: string; readonly at: number } | null;
}

export interface StatusChange {
  readonly ip: string;
  readonly from: HealthStatus;
  readonly to: HealthStatus;
  /** What the last signal was. */
  readonly reason: string;
}

interface AddressMonitorOptions {
  readonly ip: string;
  /** The check as it is configured now. */
  readonly active: () => ActiveCheck;
  /** Sends one probe. @returns Gives it up. */
  readonly probe: (ip: string, done: (result: ProbeResult) => void) => () => void;
  readonly onChange: (change: StatusChange) => void;
  readonly schedule: Schedule;
  /** From 0 up to 1. */
  readonly random: () => number;
}

/** The first probe of an address comes within this time, so that not all go out at once after a start. */
const firstProbeWithinMs = 1000;
/** Part of an interval by which it varies, so that gateways do not fall into step. */
const jitter = 0.1;

/** Probes one address again and again, never a second time before the first has ended, and keeps its health. */
export class AddressMonitor {
  readonly #options: AddressMonitorOptions;
  readonly #state = new HealthState();
  #since = Date.now();
  #lastProbeAt: number | null = null;
  #lastError: AddressReport['lastError'] = null;
  #cancel: () => void;
  #stopped = false;

  constructor(options: AddressMonitorOptions) {
    this.#options = options;
    this.#cancel = options.schedule(() => this.#probe(), options.random() * firstProbeWithinMs);
  }

  get status(): HealthStatus {
    return this.#state.status;
  }

  describe(): AddressReport {
    const { status, counters } = this.#state;
    const { ip } = this.#options;
    return { ip, status, counters, since: this.#since, lastProbeAt: this.#lastProbeAt, lastError: this.#lastError };
  }

  /** Takes what an answer, or the lack of one, says. @param rules - Those of the block it belongs to. */
  apply(signal: HealthSignal, rules: SignalRules, reason: string): void {
    const now = Date.now();
    if (signal !== 'success') this.#lastError = { reason, at: now };
    const from = this.#state.status;
    if (!this.#state.apply(signal, toThresholds(rules))) return;
    this.#since = now;
    this.#options.onChange({ ip: this.#options.ip, from, to: this.#state.status, reason });
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  #probe(): void {
    const startedAt = performance.now();
    this.#cancel = this.#options.probe(this.#options.ip, (result) => {
      this.#lastProbeAt = Date.now();
      this.#judge(result);
      // Who is told of a change may have ended this monitor.
      if (!this.#stopped) this.#scheduleNext(performance.now() - startedAt);
    });
  }

  #scheduleNext(elapsedMs: number): void {
    const { active, schedule, random } = this.#options;
    const { healthy, unhealthy } = active();
    const seconds = (isUsable(this.#state.status) ? healthy : unhealthy).interval;
    const intervalMs = seconds * 1000 * (1 + jitter * (random() - 0.5));
    this.#cancel = schedule(() => this.#probe(), Math.max(0, intervalMs - elapsedMs));
  }

  #judge(result: ProbeResult): void {
    const active = this.#options.active();
    if (result.kind === 'failure') this.apply(result.signal, active, result.reason);
    else if (result.kind === 'connected') this.apply('success', active, 'connected');
    else {
      const signal = classifyStatus(result.status, active);
      if (signal !== null) this.apply(signal, active, `status ${result.status}`);
    }
  }
}
