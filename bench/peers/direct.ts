import { mockPorts } from '../rig/rig.ts';
import type { Peer } from './peer.ts';

/** No gateway: what the load and the mock can do by themselves. Every result is read beside this one. */
export const direct: Peer = {
  name: 'direct',
  request: (target) => ({
    port: target === 'paced' ? mockPorts.paced : mockPorts.plain,
    path: '/v1/chat/completions',
    headers: {},
  }),
  processes: () => [],
  cores: '',
  stop: () => Promise.resolve(),
};
