import type { Checks } from './check-schema.ts';
import type { FailureSignal } from './failure-signal.ts';

/** How one attempt at an instance ended, as far as health is concerned. */
export interface PassiveOutcome {
  /** `ip:port` where the attempt went, several joined by `, ` after failures to connect; '' when it did not come to that. */
  readonly address: string;
  /** The status of the answer, or how the attempt failed without one. */
  readonly result: number | FailureSignal;
}

/** Which addresses of an instance are fit to be used. */
export interface AddressHealth {
  /** False when none is: then all may be used, for the lack of a better one. One read of shared memory. */
  readonly healthy: boolean;
  /** True as well for an address that nobody has probed. */
  isAddressHealthy(ip: string): boolean;
}

/** What a worker knows and says about the health of one instance. */
export interface TargetHealth extends AddressHealth {
  /** Tells how an attempt ended. Does nothing for an instance without a `passive` block. */
  report(outcome: PassiveOutcome): void;
}

/** The health of everything that is checked, as a worker sees it. */
export interface HealthView {
  /**
   * @param owner - The resource with the check: `PluginEnv.owner`.
   * @param name - The instance: {@link HealthCheck.name}.
   * @param checks - Of the instance; undefined: it counts as healthy always.
   */
  of(owner: string, name: string, checks: Checks | undefined): TargetHealth;
}

/** The health of what is not checked. */
export const alwaysHealthy: TargetHealth = {
  healthy: true,
  isAddressHealthy: () => true,
  report: () => {},
};

/** Whether requests may go to an address: it is healthy, or none is. */
export function mayUse(health: AddressHealth, ip: string): boolean {
  return !health.healthy || health.isAddressHealthy(ip);
}
