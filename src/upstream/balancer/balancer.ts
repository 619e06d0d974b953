import type { RequestView } from '../../router/request-view.ts';

/** What is chosen from: an instance of an AI route, or a node of an upstream. */
export interface Candidate {
  /** Unique among the candidates; what a hash ring is built from. */
  readonly name: string;
  /** A whole number of at least 0; relative to the others. 0: gets nothing while others have more. */
  readonly weight: number;
}

/** Spreads requests over candidates. Compiled when configuration changes. */
export interface Balancer {
  /** Begins the choice for one request. A Promise only where something has to be asked first. */
  begin(view: RequestView): Picker | Promise<Picker>;
}

/** A balancer that decides by what it has. */
export interface ImmediateBalancer extends Balancer {
  begin(view: RequestView): Picker;
}

/** The choice for one request: the first, and others after failures. */
export interface Picker {
  /**
   * @param excluded - Indexes of candidates that cannot be used, or were tried already.
   * @returns The index of a candidate; -1: all are excluded.
   */
  next(excluded: ReadonlySet<number>): number;
  /**
   * What {@link next} has given is done with. To be called once for each; absent: it does not matter.
   *
   * @param elapsedMs - How long the attempt took.
   */
  release?(index: number, elapsedMs: number): void;
}
