import type { Bench } from './bench.ts';
import { smallBody, streamingBody } from './load/bodies.ts';
import type { RequestSpec } from './load/connection.ts';
import type { OpenLoopOptions, OpenLoopResult } from './load/open-loop.ts';
import { runLoad } from './load/run-load.ts';
import type { StreamsOptions, StreamsResult } from './load/streams.ts';
import { runWrk, type WrkResult } from './load/wrk.ts';
import { checkPeer } from './peers/check-peer.ts';
import type { Peer, Target } from './peers/peer.ts';
import { watchDisturbance } from './rig/disturbance.ts';
import { cpuMicros } from './rig/usage.ts';

/**
 * On a core that it shares with its own compiler Node takes 4 to 8 seconds of load to its final speed, and costs three times as
 * much in the first; gateways run for weeks.
 */
function warmUpSeconds({ quick }: Bench): number {
  return quick ? 0.5 : 8;
}

/**
 * Load of the same kind before each measurement, which does not count: a gateway that has been idle while the others had
 * their turns starts with cold caches, a core that sleeps and, with V8, code that was dropped.
 */
export function leadInSeconds({ quick }: Bench): number {
  return quick ? 0.1 : 1;
}

interface ClosedLoopOptions {
  readonly target: Target;
  readonly connections: number;
  readonly seconds: number;
  readonly body?: string;
  /** Instead of the target's own path. */
  readonly paths?: readonly string[];
}

/** Measures the most that a peer does: wrk, closed loop. CPU time is NaN where there is none to read; below too. */
export async function measureClosedLoop(
  bench: Bench,
  peerName: string,
  options: ClosedLoopOptions,
): Promise<WrkResult & { readonly cpuMicros: number }> {
  const { target, connections, seconds, body = smallBody } = options;
  await getReady(bench, peerName, target);
  const peer = bench.peer(peerName);
  const { port, path, headers } = requestFor(peer, target, body);
  const paths = options.paths ?? [path];
  const { rig } = bench;
  const load = { port, headers, paths, body, connections, cores: rig.cores.load, folder: rig.folder };
  await runWrk({ ...load, seconds: leadInSeconds(bench) });
  const pids = peer.processes();
  return watched(bench, peer, async () => {
    const before = cpuMicros(pids);
    const result = await runWrk({ ...load, seconds });
    return { ...result, cpuMicros: pids.length === 0 ? NaN : cpuMicros(pids) - before };
  });
}

/** Measures latency at a fixed rate: our own client, open loop. */
export async function measureOpenLoop(
  bench: Bench,
  peerName: string,
  { target, ...load }: { readonly target: Target } & Pick<OpenLoopOptions, 'connections' | 'rate' | 'seconds'>,
): Promise<OpenLoopResult> {
  await getReady(bench, peerName, target);
  const peer = bench.peer(peerName);
  const gatewayPids = peer.processes();
  const request = requestFor(peer, target, smallBody);
  const options: OpenLoopOptions = { ...load, request, gatewayPids, leadInSeconds: leadInSeconds(bench) };
  const result = await watched(bench, peer, () => runLoad('open-loop', options, { cores: bench.rig.cores.load }));
  return gatewayPids.length === 0 ? { ...result, cpuMicros: NaN } : result;
}

/** Opens streams through a peer and checks every frame of them. */
export async function measureStreams(
  bench: Bench,
  peerName: string,
  options: Omit<StreamsOptions, 'request' | 'gatewayPids'> & { readonly paceMs: number },
): Promise<StreamsResult & { readonly failure: string | null }> {
  const { paceMs, ...rest } = options;
  await getReady(bench, peerName, 'paced');
  const peer = bench.peer(peerName);
  if (bench.isFirst(peerName, 'streams')) await warmUpStreams(bench, peer);
  await bench.rig.setMock({ deltas: rest.deltas, paceMs, delayMs: 0 });
  const request = requestFor(peer, 'paced', streamingBody);
  const gatewayPids = peer.processes();
  const result = await watched(bench, peer, () =>
    runLoad('streams', { ...rest, request, gatewayPids }, { cores: bench.rig.cores.load }),
  );
  const { faulty, whole, faults } = result;
  const failure = faulty === 0 ? null : `${faulty} of ${faulty + whole} streams faulty, such as: ${faults[0]}`;
  return { ...result, cpuMicros: gatewayPids.length === 0 ? NaN : result.cpuMicros, failure };
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
  await checkPeer(peer, target);
  if (peer.processes().length === 0) return;
  const { port, path, headers, body } = requestFor(peer, target, smallBody);
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
    arrival: { kind: 'closed', leadInSeconds: 0, seconds: warmUpSeconds(bench) },
    gatewayPids: [],
    streamLimitSeconds: 10,
  };
  await runLoad('streams', options, { cores: bench.rig.cores.load });
}

async function watched<R>(bench: Bench, peer: Peer, run: () => Promise<R>): Promise<R> {
  const { cores } = bench.rig;
  const endWatch = watchDisturbance({
    cores: [peer.cores, cores.load, cores.mock],
    pids: [...peer.processes(), ...bench.rig.mockProcesses()],
  });
  const result = await run();
  bench.noteDisturbance(endWatch());
  return result;
}

/** Leaves out what could not be measured. */
export function measured(values: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => !Number.isNaN(value)));
}
