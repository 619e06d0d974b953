import { plainChatGroups } from './plain-chat-groups.ts';
import type { Scenario } from './scenario.ts';

const delayMs = 20;

/** Plain chat, small body, an upstream that takes 20 ms. */
export const slowUpstream: Scenario = {
  id: 'b',
  title: `Plain chat, an upstream that takes ${delayMs} ms`,
  prepare: (bench) => bench.rig.setMock({ deltas: 0, paceMs: 0, delayMs }),
  groups: (bench) => {
    const groups = plainChatGroups(bench, {
      target: 'paced',
      connections: bench.quick ? [64] : [1, 8, 64, 256],
      ladderConnections: 256,
      latencyRate: 20,
    });
    return bench.quick ? groups.slice(0, 1) : groups;
  },
};
