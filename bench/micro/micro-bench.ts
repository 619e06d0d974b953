/** Imports a module of the revision that is measured, by its path under src/. */
export type ImportSource = <M>(path: string) => Promise<M>;

/** A small piece of the data path, measured on its own. */
export interface MicroBench {
  readonly name: string;
  /**
   * Gets everything ready.
   *
   * @returns What is measured: one operation, which gives back its result so that it cannot be optimised away.
   * @throws Error if the revision does not have these functions yet.
   */
  prepare(importSource: ImportSource): Promise<() => unknown>;
}
