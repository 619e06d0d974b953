import type { Bench } from './bench.ts';
import { smallBody, streamingBody } from './load/bodies.ts';
import type { RequestSpec } from './load/connection.ts';
import type { OpenLoopOptions, OpenLoopResult } from './load/open-loop.ts';
import { runLoad } from './load/run-load.ts';
import type { StreamsOptions, StreamsResult } from './load/streams.ts';
import { runWrk, type WrkResult } from './load/wrk.ts';
import type { Peer, Target } from './peers/peer.ts';
import { coreBusyMicros, cpuMicros } from './rig/usage.ts';

/**
 * On a core that it shares with its own compiler Node takes 4 to 8 seconds of load to its final speed, and costs three times as
 * much in the first; gateways run for weeks.
 */
function warmUpSeconds({ quick }: Bench): number {
  return quick ? 0.5 : 8;
}

/** Any of the clients' results, with the CPU time that the gateway used meanwhile; NaN where there is none to read. */
type WithCpu<R> = R & { readonly cpuMicros: number };

interface ClosedLoopOptions {
  readonly target: Target;
  readonly connections: number;
  readonly seconds: number;
  readonly body?: string;
  /** Instead of the target's own path. */
  readonly paths?: readonly string[];
}

/** Measures the most that a peer does: wrk, closed loop. */
export async function measureClosedLoop(
  bench: Bench,
  peerName: string,
  options: ClosedLoopOptions,
): Promise<WithCpu<WrkResult>> {
  const { target, connections, seconds, body = smallBody } = options;
  await getReady(bench, peerName, target);
  const peer = bench.peer(peerName);
  const { port, path, headers } = requestFor(peer, target, body);
  const paths = options.paths ?? [path];
  const { rig } = bench;
  return withCpu(bench, peer, () =>
    runWrk({ port, headers, paths, body, connections, seconds, cores: rig.cores.load, folder: rig.folder }),
  );
}

/** Measures latency at a fixed rate: our own client, open loop. */
export async function measureOpenLoop(
  bench: Bench,
  peerName: string,
  { target, ...options }: { readonly target: Target } & Omit<OpenLoopOptions, 'request'>,
): Promise<WithCpu<OpenLoopResult>> {
  await getReady(bench, peerName, target);
  const peer = bench.peer(peerName);
  const request = requestFor(peer, target, smallBody);
  return withCpu(bench, peer, () => runLoad('open-loop', { ...options, request }, { cores: bench.rig.cores.load }));
}

/** Opens streams through a peer and checks every frame of them. */
export async function measureStreams(
  bench: Bench,
  peerName: string,
  options: Omit<StreamsOptions, 'request'> & { readonly paceMs: number },
): Promise<WithCpu<StreamsResult> & { readonly failure: string | null }> {
  const { paceMs, ...rest } = options;
  await getReady(bench, peerName, 'paced');
  const peer = bench.peer(peerName);
  if (bench.isFirst(peerName, 'streams')) await warmUpStreams(bench, peer);
  await bench.rig.setMock({ deltas: rest.deltas, paceMs, delayMs: 0 });
  const request = requestFor(peer, 'paced', streamingBody);
  const result = await withCpu(bench, peer, () =>
    runLoad('streams', { ...rest, request }, { cores: bench.rig.cores.load }),
  );
  const { faulty, whole, faults } = result;
  const failure = faulty === 0 ? null : `${faulty} of ${faulty + whole} streams faulty, such as: ${faults[0]}`;
  return { ...result, failure };
}

/**
 * A request to a target through a peer.
 *
 * @throws Error if the peer has no way to it; scenarios do not ask for that.
 */
export function requestFor(peer: Peer, target: Target, body: string): RequestSpec {
  const request = peer.request(target);
  if (request === null) throw new Error(`${peer.name} has no route for ${target}`);
  return { ...request, body };
}

/** Checks once that a peer really answers, and lets its code be compiled before anything counts. */
async function getReady(bench: Bench, peerName: string, target: Target): Promise<void> {
  if (!bench.isFirst(peerName, target)) return;
  const peer = bench.peer(peerName);
  const { port, path, headers, body } = requestFor(peer, target, smallBody);
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body,
  });
  const text = await response.text();
  if (response.status !== 200 || !text.includes('"total_tokens":87')) {
    throw new Error(`answered ${response.status} ${JSON.stringify(text.slice(0, 120))}, not what the mock says`);
  }
  if (peer.processes().length === 0) return;
  const { rig } = bench;
  const paths = [path];
  const load = { connections: 64, seconds: warmUpSeconds(bench), cores: rig.cores.load, folder: rig.folder };
  await runWrk({ port, headers, paths, body, ...load });
}

async function warmUpStreams(bench: Bench, peer: Peer): Promise<void> {
  if (peer.processes().length === 0) return;
  await bench.rig.setMock({ deltas: 64, paceMs: 1, delayMs: 0 });
  const options: StreamsOptions = {
    request: requestFor(peer, 'paced', streamingBody),
    connections: 16,
    deltas: 64,
    lateAfterMs: 60_000,
    arrival: { kind: 'closed', seconds: warmUpSeconds(bench) },
    streamLimitSeconds: 10,
  };
  await runLoad('streams', options, { cores: bench.rig.cores.load });
}

async function withCpu<R>(bench: Bench, peer: Peer, run: () => Promise<R>): Promise<WithCpu<R>> {
  const pids = peer.processes();
  if (pids.length === 0) return { ...(await run()), cpuMicros: NaN };
  const startedMs = performance.now();
  const before = { own: cpuMicros(pids), all: coreBusyMicros(peer.cores) };
  const result = await run();
  const own = cpuMicros(pids) - before.own;
  const foreign = coreBusyMicros(peer.cores) - before.all - own;
  bench.noteDisturbance(foreign / 1000 / (performance.now() - startedMs));
  return { ...result, cpuMicros: own };
}

/** Leaves out what could not be measured. */
export function measured(values: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => !Number.isNaN(value)));
}
