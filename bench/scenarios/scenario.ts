import type { Bench } from '../bench.ts';
import type { CurveAxes, GroupResult, Metric, Sample } from '../report/result.ts';

/** One thing to do with each of several subjects, in every round. */
export interface Case {
  readonly label: string;
  /** Names of peers of the bench, or whatever else `run` understands. */
  readonly subjects: readonly string[];
  /** How long the run of one subject takes, about. */
  readonly seconds: number;
  run(subject: string, round: number): Promise<Sample>;
  /** Given, the subjects of a round run together in one call and `run` is not used. */
  readonly runTogether?: (round: number) => Promise<ReadonlyMap<string, Sample>>;
}

/** Cases that measure the same things; their rounds are interleaved. */
export interface Group {
  readonly title: string;
  readonly metrics: readonly Metric[];
  readonly cases: readonly Case[];
  /** Given, the samples have curves. */
  readonly curve?: CurveAxes;
}

/** One of the things that the bench measures. */
export interface Scenario {
  /** `a` to `j`. */
  readonly id: string;
  readonly title: string;
  /** What to measure, in this bench with its peers. Starts nothing. */
  groups(bench: Bench): readonly Group[];
  /** Starts gateways of its own; the bench stops them when the scenario is over. */
  readonly prepare?: (bench: Bench) => Promise<void>;
  /** How long `prepare` takes, about. */
  readonly prepareSeconds?: (bench: Bench) => number;
  /** What the results come to, in sentences. */
  readonly conclude?: (results: readonly GroupResult[], bench: Bench) => readonly string[];
}
