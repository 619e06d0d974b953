import type { Scenario } from './scenario.ts';
import { compareVariants, startVariants, variantsGroup, type ComparedVariant } from './variants.ts';

const compared: readonly ComparedVariant[] = [
  { label: 'access log off', variant: { accessLog: false } },
  { label: 'access log on', variant: { accessLog: true } },
];

/** What the access log costs. */
export const accessLog: Scenario = {
  id: 'j',
  title: 'Access log on and off',
  prepare: (bench) => startVariants(bench, compared),
  prepareSeconds: () => 3,
  groups: (bench) => [variantsGroup(bench, '64 connections', compared)],
  conclude: compareVariants,
};
