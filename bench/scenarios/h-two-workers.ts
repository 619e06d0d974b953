import type { Scenario } from './scenario.ts';
import { compareVariants, startVariants, variantsGroup, type ComparedVariant } from './variants.ts';

const compared: readonly ComparedVariant[] = [
  { label: 'one worker', variant: { workers: 1 } },
  { label: 'two workers', variant: { workers: 2 } },
];

/** Two workers against one. */
export const twoWorkers: Scenario = {
  id: 'h',
  title: 'Two workers against one',
  prepare: (bench) => startVariants(bench, compared),
  prepareSeconds: () => 3,
  groups: (bench) => [variantsGroup(bench, '64 connections', compared)],
  conclude: (results, { rig }) => [
    ...compareVariants(results),
    ...(rig.cores.secondWorkerHasCore
      ? []
      : [
          `rig-bound: ${rig.machine.cores} cores; the second worker shares its core with load and mock, so that requests/s say nothing. Read CPU/request, or run on four cores.`,
        ]),
  ],
};
