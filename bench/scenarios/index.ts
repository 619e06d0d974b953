import { plainChat } from './a-plain-chat.ts';
import { slowUpstream } from './b-slow-upstream.ts';
import { pacedStreams } from './c-paced-streams.ts';
import { flatOutStreams } from './d-flat-out-streams.ts';
import { largeBodies } from './e-large-bodies.ts';
import { memory } from './f-memory.ts';
import { startUp } from './g-start-up.ts';
import { twoWorkers } from './h-two-workers.ts';
import { manyRoutes } from './i-many-routes.ts';
import { accessLog } from './j-access-log.ts';
import type { Scenario } from './scenario.ts';

/** All scenarios, in the order in which they run. */
export const scenarios: readonly Scenario[] = [
  plainChat,
  slowUpstream,
  pacedStreams,
  flatOutStreams,
  largeBodies,
  memory,
  startUp,
  twoWorkers,
  manyRoutes,
  accessLog,
];
