import type { Bench } from '../bench.ts';
import { extraRoutePath } from '../peers/peer.ts';
import type { Scenario } from './scenario.ts';
import { compareVariants, startVariants, variantsGroup, type ComparedVariant } from './variants.ts';

// The same number of different paths everywhere: only how many routes lie between them differs.
const usedRoutes = 10;
const routesPutPerSecond = 300;

/** What a request costs as routes grow. */
export const manyRoutes: Scenario = {
  id: 'i',
  title: 'Cost as routes grow',
  prepare: (bench) => startVariants(bench, compared(bench)),
  prepareSeconds: (bench) => 3 + sizes(bench).reduce((sum, size) => sum + size, 0) / routesPutPerSecond,
  groups: (bench) => [
    variantsGroup(bench, `64 connections; requests go to ${usedRoutes} of the routes in turn`, compared(bench)),
  ],
  conclude: compareVariants,
};

function sizes(bench: Bench): number[] {
  return bench.quick ? [10, 200] : [10, 1000, 10_000];
}

function compared(bench: Bench): ComparedVariant[] {
  return sizes(bench).map((size) => ({
    label: `${size.toLocaleString('en')} routes`,
    variant: { extraRoutes: size },
    paths: Array.from({ length: usedRoutes }, (_, i) => extraRoutePath(Math.floor(((i + 0.5) * size) / usedRoutes))),
  }));
}
