import type { RequestSpec } from '../load/connection.ts';
import type { Rig } from '../rig/rig.ts';

/**
 * Where a request ends. `plain`: the fast mock. `paced`: the mock for streams and delayed answers. `untouched`: the
 * fast mock through a route that changes nothing in the body.
 */
export type Target = 'plain' | 'paced' | 'untouched';

/** How a gateway is set up where a scenario compares set-ups. */
export interface Variant {
  readonly workers: 1 | 2;
  readonly accessLog: boolean;
  /** Further routes, `/r0/v1/chat/completions` and so on, beside those of the targets. */
  readonly extraRoutes: number;
}

/** What most scenarios measure. */
export const normalVariant: Variant = { workers: 1, accessLog: true, extraRoutes: 0 };

/** Something that answers chat completions: a gateway in front of the mock, or the mock itself. */
export interface Peer {
  readonly name: string;
  /** A request that reaches the target; null where this peer has no such route. */
  request(target: Target): Omit<RequestSpec, 'body'> | null;
  /** The processes whose CPU time and memory count; empty where there are none or they are unknown. */
  processes(): readonly number[];
  /** The cores that it has for itself, as taskset takes them; '' where the bench did not choose them. */
  readonly cores: string;
  stop(): Promise<void>;
}

/** A kind of gateway that the bench can start, any number of times. */
export interface PeerKind {
  readonly name: string;
  /** How it is set up, for the report. */
  readonly setUp: string;
  /** In ordinary comparisons. */
  readonly writesAccessLog: boolean;
  /** Why it cannot take part; null if it can. */
  missing(): string | null;
  /** Set-ups that it does not know are left out of the scenarios that need them. */
  supports(variant: Variant): boolean;
  /**
   * Writes its configuration.
   *
   * @returns Starts it and resolves when it accepts connections; any number of times, but not twice at the same time.
   */
  prepare(rig: Rig, variant: Variant): Promise<() => Promise<Peer>>;
}

/** The path of one of {@link Variant.extraRoutes}. */
export function extraRoutePath(index: number): string {
  return `/r${index}/v1/chat/completions`;
}
