import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startServer } from '../rig/process.ts';
import { mockPorts, type Rig } from '../rig/rig.ts';
import { fillTemplate } from '../rig/template.ts';
import { processTree } from '../rig/usage.ts';
import { extraRoutePath, type Peer, type PeerKind, type Variant } from './peer.ts';

/** nginx, the limit for a proxy. */
export const nginx: PeerKind = {
  name: 'nginx',
  setUp:
    'proxy_pass with kept-alive upstream connections, proxy_buffering off for SSE, no access log (except in scenario j)',
  writesAccessLog: false,
  missing: () => null,
  supports: () => true,
  prepare(rig, variant) {
    const folder = rig.newFolder('nginx');
    const port = rig.newPort();
    const conf = join(folder, 'nginx.conf');
    const routes = Array.from(
      { length: variant.extraRoutes },
      (_, i) => `location = ${extraRoutePath(i)} { proxy_pass http://plain/v1/chat/completions; proxy_buffering on; }`,
    );
    const values = {
      ...rig.nginxLimits,
      folder,
      port,
      workers: variant.workers,
      access_log: variant.accessLog ? `${folder}/access.log combined buffer=16k` : 'off',
      plain_port: mockPorts.plain,
      paced_port: mockPorts.paced,
      routes: routes.join('\n    '),
    };
    writeFileSync(conf, fillTemplate(new URL('./nginx.conf', import.meta.url), values));
    return Promise.resolve(() => startNginx(rig, variant, { folder, conf, port }));
  },
};

async function startNginx(
  rig: Rig,
  variant: Variant,
  place: { folder: string; conf: string; port: number },
): Promise<Peer> {
  const { folder, conf, port } = place;
  const cores = variant.workers === 2 ? rig.cores.gatewayTwoWorkers : rig.cores.gateway;
  const server = await startServer({
    name: 'nginx',
    command: ['nginx', '-c', conf, '-e', 'stderr'],
    cores,
    port,
    logFile: join(folder, 'output.log'),
  });
  return {
    name: 'nginx',
    request: (target) =>
      target === 'untouched' ? null : { port, path: `/${target}/v1/chat/completions`, headers: {} },
    processes: () => processTree(server.pid),
    cores,
    stop: () => server.stop(),
  };
}
