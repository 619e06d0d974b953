import type { Bench } from '../bench.ts';
import { leadInSeconds, measureClosedLoop, measured, measureOpenLoop } from '../measure.ts';
import type { Target } from '../peers/peer.ts';
import type { CurvePoint, Metric, Sample } from '../report/result.ts';
import { cpuPerRequest, p50, p99, perSecond } from './metrics.ts';
import type { Case, Group } from './scenario.ts';

interface PlainChat {
  readonly target: Target;
  /** Of the closed loop, and of the ladder of rates. */
  readonly connections: readonly number[];
  readonly ladderConnections: number;
  readonly latencyRate: number;
}

/** Limits of p99 for which the highest rate is looked for, in ms. */
const p99Limits = [1, 5, 10, 50, 100] as const;
const comparedLimit = 10;

/** The measurements of an answer that is not streamed, the same for a fast and for a slow upstream. */
export function plainChatGroups(bench: Bench, options: PlainChat): Group[] {
  const most: Most = new Map();
  return [
    {
      title: 'Closed loop: as many requests as the connections allow',
      metrics: [perSecond, p50, p99, cpuPerRequest],
      cases: options.connections.map((connections) => closedLoopCase(bench, options.target, connections, most)),
    },
    {
      title: 'One connection, open loop: latency that the gateway adds',
      metrics: [{ ...p50, isAdded: true }, { ...p99, isAdded: true }, cpuPerRequest],
      cases: [latencyCase(bench, options)],
    },
    {
      title: 'Open loop at rising rates: highest requests/s with p99 under a limit',
      metrics: p99Limits.map((limit): Metric => ({
        key: `under${limit}`,
        label: `p99 < ${limit} ms`,
        unit: 'per second',
        better: 'higher',
        isCapped: true,
        ...(limit === comparedLimit && { isCompared: true }),
      })),
      cases: [ladderCase(bench, options, most)],
      curve: { x: 'requests/s', y: 'p99 in ms' },
    },
  ];
}

/** The most requests/s of each peer by its name, from the closed loop: where the ladder of rates ends. */
type Most = Map<string, number>;

function closedLoopCase(bench: Bench, target: Target, connections: number, most: Most): Case {
  const seconds = bench.quick ? 0.6 : 2;
  return {
    label: connections === 1 ? '1 connection' : `${connections} connections`,
    subjects: bench.peerNames,
    seconds: leadInSeconds(bench) + seconds,
    async run(name) {
      const result = await measureClosedLoop(bench, name, { target, connections, seconds });
      most.set(name, Math.max(most.get(name) ?? 0, result.perSecond));
      return {
        metrics: measured({
          perSecond: result.perSecond,
          p50: result.p50Micros,
          p99: result.p99Micros,
          cpu: result.cpuMicros / result.requests,
        }),
        failure: result.failure,
      };
    },
  };
}

function latencyCase(bench: Bench, { target, latencyRate }: PlainChat): Case {
  const seconds = bench.quick ? 1 : 4;
  return {
    label: `${latencyRate} requests/s`,
    subjects: bench.peerNames,
    seconds: leadInSeconds(bench) + seconds + 0.3,
    async run(name) {
      const result = await measureOpenLoop(bench, name, { target, connections: 1, rate: latencyRate, seconds });
      return {
        metrics: measured({
          p50: result.p50Micros,
          p99: result.p99Micros,
          cpu: result.cpuMicros / result.requests,
        }),
        failure: failureOf(result),
      };
    },
  };
}

function ladderCase(bench: Bench, options: PlainChat, most: Most): Case {
  const steps = bench.quick ? [0.4, 0.8] : [0.15, 0.3, 0.5, 0.7, 0.85, 1];
  const seconds = bench.quick ? 0.4 : 1;
  return {
    label: `${options.ladderConnections} connections`,
    subjects: bench.peerNames,
    seconds: steps.length * (leadInSeconds(bench) + seconds + 0.4),
    run: (name) => climb(bench, name, { ...options, steps, seconds, most: most.get(name) ?? 0 }),
  };
}

interface Ladder extends PlainChat {
  /** Shares of the most that the closed loop reaches. */
  readonly steps: readonly number[];
  readonly most: number;
  readonly seconds: number;
}

async function climb(bench: Bench, name: string, ladder: Ladder): Promise<Sample> {
  const { target, ladderConnections: connections, seconds, most } = ladder;
  if (most === 0) return { metrics: {}, failure: 'the closed loop, which gives the rates, failed' };
  const curve: CurvePoint[] = [];
  for (const share of ladder.steps) {
    const rate = Math.max(10, Math.round(most * share));
    const result = await measureOpenLoop(bench, name, { target, connections, rate, seconds });
    if (result.failure !== null) return { metrics: {}, failure: result.failure };
    curve.push({ x: rate, y: result.unanswered > 0 ? Infinity : result.p99Micros / 1000 });
    // Beyond its limit a queue only grows.
    if ((curve.at(-1)?.y ?? 0) > 1000) break;
  }
  const highest = (limit: number): number => Math.max(0, ...curve.filter(({ y }) => y < limit).map(({ x }) => x));
  return {
    metrics: Object.fromEntries(p99Limits.map((limit) => [`under${limit}`, highest(limit)])),
    curve: curve.filter(({ y }) => y < Infinity),
    failure: null,
  };
}

function failureOf({ failure, unanswered }: { failure: string | null; unanswered: number }): string | null {
  return failure ?? (unanswered > 0 ? `${unanswered} requests without an answer` : null);
}
