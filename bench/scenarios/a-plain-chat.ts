import { plainChatGroups } from './plain-chat-groups.ts';
import type { Scenario } from './scenario.ts';

/** Plain chat, small body, an upstream that answers at once. */
export const plainChat: Scenario = {
  id: 'a',
  title: 'Plain chat, small body',
  groups: (bench) =>
    plainChatGroups(bench, {
      target: 'plain',
      connections: bench.quick ? [1, 64] : [1, 8, 64, 256],
      ladderConnections: 64,
      latencyRate: 200,
    }),
};
