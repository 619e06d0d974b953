/** `mostly_healthy`: usable, with failures. `mostly_unhealthy`: not yet usable again, with successes. */
export type HealthStatus = 'healthy' | 'mostly_healthy' | 'mostly_unhealthy' | 'unhealthy';

/** What a probe or a request says about an address. */
export type HealthSignal = 'success' | 'http_failure' | 'tcp_failure' | 'timeout';

/** How many signals of a kind in a row change the status; 0: that kind says nothing. */
export type HealthThresholds = Readonly<Record<HealthSignal, number>>;

/** Signals since the last one that said the opposite, under the names of APISIX's control API. */
export interface HealthCounters {
  readonly success: number;
  readonly http_failure: number;
  readonly tcp_failure: number;
  readonly timeout_failure: number;
}

/** The part of `checks.active` and of `checks.passive` that both have. */
export interface SignalRules {
  readonly healthy: { readonly http_statuses: readonly number[]; readonly successes: number };
  readonly unhealthy: {
    readonly http_statuses: readonly number[];
    readonly http_failures: number;
    readonly tcp_failures: number;
    readonly timeouts: number;
  };
}

export function toThresholds({ healthy, unhealthy }: SignalRules): HealthThresholds {
  return {
    success: healthy.successes,
    http_failure: unhealthy.http_failures,
    tcp_failure: unhealthy.tcp_failures,
    timeout: unhealthy.timeouts,
  };
}

/** What the status of an answer says; null: nothing. */
export function classifyStatus(status: number, { healthy, unhealthy }: SignalRules): HealthSignal | null {
  if (healthy.http_statuses.includes(status)) return 'success';
  return unhealthy.http_statuses.includes(status) ? 'http_failure' : null;
}

/** Whether requests may go to an address with this status. */
export function isUsable(status: HealthStatus): boolean {
  return status === 'healthy' || status === 'mostly_healthy';
}

/**
 * The health of one address.
 *
 * ```
 *              first failure                 failures >= threshold
 *   healthy ------------------> mostly_healthy ------------------> unhealthy
 *      ^ ^                             |                            |   ^
 *      | +---- successes >= threshold -+              first success |   | failures >= threshold
 *      |                                                            v   |
 *      +---------------- successes >= threshold --------------- mostly_unhealthy
 * ```
 *
 * A threshold of 1 leaves out the status in between. A success sets the failures to 0, and a failure the successes.
 * Nothing is counted that confirms `healthy` or `unhealthy`. Active and passive signals count together, each against the
 * thresholds of its own kind.
 */
export class HealthState {
  #status: HealthStatus = 'healthy';
  readonly #counts: Record<HealthSignal, number> = { success: 0, http_failure: 0, tcp_failure: 0, timeout: 0 };

  get status(): HealthStatus {
    return this.#status;
  }

  get counters(): HealthCounters {
    const { success, http_failure, tcp_failure, timeout } = this.#counts;
    return { success, http_failure, tcp_failure, timeout_failure: timeout };
  }

  /** @returns Whether the status has changed. */
  apply(signal: HealthSignal, thresholds: HealthThresholds): boolean {
    const threshold = thresholds[signal];
    const goal: HealthStatus = signal === 'success' ? 'healthy' : 'unhealthy';
    if (threshold === 0 || this.#status === goal) return false;
    const counts = this.#counts;
    counts[signal]++;
    if (signal === 'success') counts.http_failure = counts.tcp_failure = counts.timeout = 0;
    else counts.success = 0;

    const before = this.#status;
    if (counts[signal] >= threshold) this.#status = goal;
    else if (before === 'healthy') this.#status = 'mostly_healthy';
    else if (before === 'unhealthy') this.#status = 'mostly_unhealthy';
    return this.#status !== before;
  }
}
