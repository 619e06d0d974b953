import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startServer } from '../rig/process.ts';
import { mockPorts, type Rig } from '../rig/rig.ts';
import { processTree } from '../rig/usage.ts';
import { extraRoutePath, type Peer, type PeerKind, type Variant } from './peer.ts';

const main = new URL('../../src/main.ts', import.meta.url).pathname;
const adminKey = 'bench-admin-key';
const chatPath = '/v1/chat/completions';

/** Weir as it would be run: the model set by the route, usage read from every answer, the access log with LLM fields. */
export const weir: PeerKind = {
  name: 'weir',
  setUp:
    'one worker; the route sets options.model; usage and time to first token are read and written to the access log',
  writesAccessLog: true,
  missing: () => null,
  supports: () => true,
  prepare: prepareWeir,
};

/** Writes the configuration and stores the routes, with a first start of their own. */
async function prepareWeir(rig: Rig, variant: Variant): Promise<() => Promise<Peer>> {
  const folder = rig.newFolder('weir');
  const port = rig.newPort();
  const adminPort = rig.newPort();
  mkdirSync(join(folder, 'conf'));
  writeFileSync(join(folder, 'conf/config.yaml'), configurationOf(variant, port, adminPort));
  const start = (): Promise<Peer> => startWeir(rig, variant, { folder, port });

  const peer = await start();
  try {
    await putRoutes(adminPort, routesOf(variant));
  } finally {
    await peer.stop();
  }
  return start;
}

async function startWeir(rig: Rig, variant: Variant, place: { folder: string; port: number }): Promise<Peer> {
  const { folder, port } = place;
  const cores = variant.workers === 2 ? rig.cores.gatewayTwoWorkers : rig.cores.gateway;
  const server = await startServer({
    name: 'weir',
    command: [process.execPath, main, 'start', '-p', folder],
    cores,
    port,
    logFile: join(folder, 'output.log'),
  });
  return {
    name: 'weir',
    request: (target) => ({ port, path: `/${target}${chatPath}`, headers: {} }),
    processes: () => processTree(server.pid),
    cores,
    stop: () => server.stop(),
  };
}

/** JSON is YAML too. */
function configurationOf(variant: Variant, port: number, adminPort: number): string {
  return JSON.stringify({
    apisix: { node_listen: [{ ip: '127.0.0.1', port }], enable_control: false },
    plugin_attr: { prometheus: { enable_export_server: false } },
    nginx_config: {
      worker_processes: variant.workers,
      http: {
        enable_access_log: variant.accessLog,
        access_log_format:
          '$remote_addr - $remote_user [$time_local] $http_host "$request" $status $body_bytes_sent $request_time "$http_referer" "$http_user_agent" $upstream_addr $upstream_status $upstream_response_time "$upstream_scheme://$upstream_host$upstream_uri" "$apisix_request_id" "$request_type" "$llm_time_to_first_token" "$llm_model" "$request_llm_model" "$llm_prompt_tokens" "$llm_completion_tokens"',
      },
    },
    deployment: {
      admin: {
        admin_key: [{ name: 'admin', key: adminKey, role: 'admin' }],
        admin_listen: { ip: '127.0.0.1', port: adminPort },
      },
    },
  });
}

function routesOf({ extraRoutes }: Variant): Map<string, unknown> {
  const setsModel = { options: { model: 'bench-model-2026' } };
  const routes = new Map<string, unknown>([
    ['plain', route(`/plain${chatPath}`, mockPorts.plain, setsModel)],
    ['paced', route(`/paced${chatPath}`, mockPorts.paced, setsModel)],
    ['untouched', route(`/untouched${chatPath}`, mockPorts.plain, {})],
  ]);
  for (let i = 0; i < extraRoutes; i++) routes.set(`r${i}`, route(extraRoutePath(i), mockPorts.plain, setsModel));
  return routes;
}

function route(uri: string, upstreamPort: number, more: object): unknown {
  const aiProxy = {
    provider: 'openai-compatible',
    auth: { header: { Authorization: 'Bearer sk-bench' } },
    override: { endpoint: `http://127.0.0.1:${upstreamPort}${chatPath}` },
    // As many as nginx keeps in its upstream blocks.
    keepalive_pool: 512,
    timeout: 60_000,
    ...more,
  };
  return { uri, plugins: { 'ai-proxy': aiProxy } };
}

async function putRoutes(adminPort: number, routes: ReadonlyMap<string, unknown>): Promise<void> {
  await untilAdminAnswers(adminPort);
  const left = routes.entries();
  const putSome = async (): Promise<void> => {
    // The clients share one iterator, so that each route is taken by one of them.
    for (const [id, conf] of left) {
      const response = await fetch(`http://127.0.0.1:${adminPort}/apisix/admin/routes/${id}`, {
        method: 'PUT',
        headers: { 'X-API-KEY': adminKey, 'Content-Type': 'application/json' },
        body: JSON.stringify(conf),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`weir refused the route ${id}: ${response.status} ${text}`);
    }
  };
  await Promise.all(Array.from({ length: 16 }, putSome));
}

/** The data plane listens first. */
async function untilAdminAnswers(adminPort: number): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    const answer = await fetch(`http://127.0.0.1:${adminPort}/apisix/admin/routes`).catch(() => null);
    if (answer !== null) return void (await answer.arrayBuffer());
    await sleep(10);
  }
  throw new Error('the Admin API of weir does not answer');
}
