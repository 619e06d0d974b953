import type { Machine } from '../rig/machine.ts';

/** A number that a scenario measures. */
export interface Metric {
  readonly key: string;
  readonly label: string;
  readonly unit: 'per second' | 'µs' | 'ms' | 'bytes' | 'count';
  readonly better: 'higher' | 'lower';
  /** The run without a gateway is the limit of the rig: results close to it are marked as rig-bound. */
  readonly isCapped?: true;
  /** What the gateway adds is shown: the number minus that of the run without a gateway in the same round. */
  readonly isAdded?: true;
  /** Shown as a multiple of nginx's, too. */
  readonly isCompared?: true;
}

/** A point of a curve, such as p99 over the rate. */
export interface CurvePoint {
  readonly x: number;
  readonly y: number;
}

/** One run of one subject. */
export interface Sample {
  /** Values by the key of their metric; one that could not be measured is missing. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly curve?: readonly CurvePoint[];
  /** Why the run does not count: a request failed, a frame was lost or late. */
  readonly failure: string | null;
  /** What strangers took meanwhile from the cores of gateway, load and mock, as a share of one core. */
  readonly disturbance?: number;
  /** The runs that were more disturbed, and that this one stands for: why each would not have counted. */
  readonly discarded?: readonly (string | null)[];
}

/** A sample is disturbed when strangers took more than this share of one core. */
export const disturbedShare = 0.05;

/** All runs of one subject in one case, put together. */
export interface Row {
  readonly subject: string;
  /** Medians of the runs that count, by the key of the metric; empty if none counts. */
  readonly values: Readonly<Record<string, number>>;
  /** Medians of what it adds to the run without a gateway. */
  readonly added: Readonly<Record<string, number>>;
  /** Keys of metrics that are within 10 % of the rig's own limit. */
  readonly rigBound: readonly string[];
  readonly curve: readonly CurvePoint[];
  /** The values of each round, by the key of the metric; null for one that does not count. */
  readonly rounds: readonly (Readonly<Record<string, number>> | null)[];
  readonly runs: number;
  readonly countedRuns: number;
  /** How many of the runs were measured again because they were disturbed. */
  readonly repeatedRuns: number;
  /** What strangers took, as a share of one core: the median of the runs that count; of all if none does. */
  readonly disturbance: number;
  /** Why runs do not count, those that were measured again too; each reason once. */
  readonly failures: readonly string[];
}

export interface CaseResult {
  readonly label: string;
  readonly rows: readonly Row[];
}

/** Cases that measure the same things. */
export interface GroupResult {
  readonly title: string;
  readonly metrics: readonly Metric[];
  readonly cases: readonly CaseResult[];
  readonly curve: CurveAxes | null;
}

/** What the axes of a curve mean. */
export interface CurveAxes {
  readonly x: string;
  readonly y: string;
}

export interface ScenarioResult {
  readonly id: string;
  readonly title: string;
  readonly groups: readonly GroupResult[];
  /** What the numbers come to, and what could not be measured. */
  readonly notes: readonly string[];
}

/** A whole run of the bench. */
export interface Report {
  /** ISO 8601. */
  readonly date: string;
  readonly machine: Machine;
  readonly mode: 'full' | 'quick';
  readonly rounds: number;
  readonly seconds: number;
  /** How each peer was set up, by its name. */
  readonly setUps: Readonly<Record<string, string>>;
  readonly scenarios: readonly ScenarioResult[];
}
