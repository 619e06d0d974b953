import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench } from '../bench.ts';
import { errorText } from '../error-text.ts';
import { smallBody, streamingBody } from '../load/bodies.ts';
import type { HoldOptions } from '../load/hold.ts';
import { runLoad } from '../load/run-load.ts';
import { leadInSeconds, measureClosedLoop, requestFor } from '../measure.ts';
import type { Metric, Sample } from '../report/result.ts';
import { residentBytes } from '../rig/usage.ts';
import type { Scenario } from './scenario.ts';

const sampleEveryMs = 100;
const settleMs = 500;
const warmUpConnections = 50;

/** Resident memory. */
export const memory: Scenario = {
  id: 'f',
  title: 'Memory',
  groups(bench) {
    const restSeconds = bench.quick ? 1 : 60;
    const loadSeconds = bench.quick ? 1 : 5;
    const connections = bench.quick ? 200 : Math.min(5000, Math.floor(bench.rig.openFiles / 2) - 200);
    const bytes = (key: string, label: string): Metric => ({ key, label, unit: 'bytes', better: 'lower' });
    const perKind = 5 + leadInSeconds(bench) + loadSeconds + connections / 1500;
    return [
      {
        title: `Resident memory: after a start, under load with 64 connections, ${restSeconds} s later; and what ${connections} connections or streams add to a start`,
        metrics: [
          bytes('idle', 'idle'),
          bytes('load', 'under load'),
          bytes('after', `${restSeconds} s after`),
          bytes('connection', 'per idle connection'),
          bytes('stream', 'per open stream'),
        ],
        cases: [
          {
            label: 'small body',
            subjects: bench.gatewayNames,
            seconds: perKind + restSeconds / bench.gatewayNames.length,
            run: () => Promise.reject(new Error('the subjects of this case rest together')),
            runTogether: () => measureMemory(bench, { restSeconds, loadSeconds, connections }),
          },
        ],
      },
    ];
  },
  conclude: (results) =>
    results.flatMap(({ cases }) =>
      cases.flatMap(({ rows }) =>
        rows.flatMap(({ subject, values: { idle, after } }) =>
          idle === undefined || after === undefined
            ? []
            : [`${subject}: after the rest ${Math.round((after / idle - 1) * 100)} % above idle.`],
        ),
      ),
    ),
};

interface MemoryOptions {
  readonly restSeconds: number;
  readonly loadSeconds: number;
  readonly connections: number;
}

/** Loads one peer after the other, lets all rest at the same time, then fills one after the other, each started anew. */
async function measureMemory(bench: Bench, options: MemoryOptions): Promise<Map<string, Sample>> {
  const found = new Map<string, { metrics: Record<string, number>; failure: string | null }>();
  const step = async (run: (name: string) => Promise<Record<string, number>>): Promise<void> => {
    for (const [name, sample] of found) {
      if (sample.failure !== null) continue;
      try {
        Object.assign(sample.metrics, await run(name));
      } catch (error) {
        sample.failure = errorText(error);
      }
    }
  };
  const started = bench.kinds.map(({ name }) => name);
  for (const name of bench.gatewayNames) found.set(name, { metrics: {}, failure: null });
  const startAnew = async (): Promise<void> => {
    for (const name of started) await bench.restart(name);
    await sleep(2 * settleMs);
  };
  await startAnew();
  await step((name) => Promise.resolve({ idle: residentOf(bench, name) }));
  await step((name) => loadOne(bench, name, options));
  await sleep(options.restSeconds * 1000);
  await step((name) => Promise.resolve({ after: residentOf(bench, name) }));
  await startAnew();
  await step(async (name) => ({ connection: await hold(bench, name, 'answered', options.connections) }));
  await startAnew();
  await step(async (name) => ({ stream: await hold(bench, name, 'streaming', options.connections) }));
  return found;
}

async function loadOne(bench: Bench, name: string, { loadSeconds }: MemoryOptions): Promise<Record<string, number>> {
  let highest = 0;
  const sampler = setInterval(() => (highest = Math.max(highest, residentOf(bench, name))), sampleEveryMs);
  try {
    const load = { target: 'plain', connections: 64, seconds: loadSeconds } as const;
    const { failure } = await measureClosedLoop(bench, name, load);
    if (failure !== null) throw new Error(failure);
  } finally {
    clearInterval(sampler);
  }
  return { load: highest };
}

/** @returns What each of them adds to the memory of the gateway, in bytes. */
async function hold(bench: Bench, name: string, until: HoldOptions['until'], connections: number): Promise<number> {
  const isStream = until === 'streaming';
  const peer = bench.peer(name);
  const request = requestFor(peer, isStream ? 'paced' : 'plain', isStream ? streamingBody : smallBody);
  await bench.rig.setMock({ deltas: 120, paceMs: 1000, delayMs: 0 });
  const cores = bench.rig.cores.load;
  // What the code itself takes once it runs is not a part of each connection.
  const few = { request, connections: warmUpConnections, until, seconds: (2 * settleMs) / 1000 };
  await runLoad('hold', few, { cores, onHolding: () => {} });
  await sleep(settleMs);
  const before = residentOf(bench, name);
  let during = 0;
  const onHolding = (): void => void setTimeout(() => (during = residentOf(bench, name)), settleMs);
  const options = { request, connections, until, seconds: (2 * settleMs) / 1000 };
  const { failure } = await runLoad('hold', options, { cores, onHolding });
  if (failure !== null) throw new Error(failure);
  return (during - before) / connections;
}

function residentOf(bench: Bench, name: string): number {
  return residentBytes(bench.peer(name).processes());
}
