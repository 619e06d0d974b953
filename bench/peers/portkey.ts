import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { startServer } from '../rig/process.ts';
import { mockPorts, type Rig } from '../rig/rig.ts';
import { processTree } from '../rig/usage.ts';
import type { Peer, PeerKind } from './peer.ts';

const script = join(import.meta.dirname, 'node_modules/@portkey-ai/gateway/build/start-server.js');

/**
 * Portkey's open source gateway, as it comes from npm. @hono/node-server is held at 1.14.1, because with later ones the
 * gateway answers every streamed call with 500 (github.com/Portkey-AI/gateway/issues/1389).
 */
export const portkey: PeerKind = {
  name: 'portkey',
  setUp:
    '@portkey-ai/gateway 1.15.2 from npm, on the same Node; provider and upstream named by request headers; one process',
  writesAccessLog: false,
  missing: () => (existsSync(script) ? null : 'not installed (npm run bench -- --install)'),
  supports: (variant) => variant.workers === 1 && variant.extraRoutes === 0 && !variant.accessLog,
  prepare: (rig) => Promise.resolve(() => startPortkey(rig)),
};

async function startPortkey(rig: Rig): Promise<Peer> {
  const port = rig.newPort();
  const server = await startServer({
    name: 'portkey',
    command: [process.execPath, script, '--headless', `--port=${port}`],
    cores: rig.cores.gateway,
    port,
    logFile: join(rig.newFolder('portkey'), 'output.log'),
    // Without it the gateway refuses upstreams on the loopback address.
    env: { TRUSTED_CUSTOM_HOSTS: '127.0.0.1', NODE_ENV: 'production' },
  });
  return {
    name: 'portkey',
    request: (target) => {
      if (target === 'untouched') return null;
      const headers = {
        'x-portkey-provider': 'openai',
        'x-portkey-custom-host': `http://127.0.0.1:${mockPorts[target]}/v1`,
        Authorization: 'Bearer sk-bench',
      };
      return { port, path: '/v1/chat/completions', headers };
    },
    processes: () => processTree(server.pid),
    cores: rig.cores.gateway,
    stop: () => server.stop(),
  };
}
