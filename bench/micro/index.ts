import { headParser } from './head-parser.ts';
import type { MicroBench } from './micro-bench.ts';
import { jsonRoundTrip, largeRequestBody, smallRequestBody } from './request-body.ts';
import { router } from './router.ts';
import { sseTap } from './sse-tap.ts';

/** All micro benches. */
export const microBenches: readonly MicroBench[] = [
  headParser,
  router,
  sseTap,
  smallRequestBody,
  largeRequestBody,
  jsonRoundTrip,
];
