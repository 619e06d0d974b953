import type { Bench } from '../bench.ts';
import { measured, measureStreams } from '../measure.ts';
import { cpuPerEvent } from './metrics.ts';
import type { Case, Group, Scenario } from './scenario.ts';

const lateAfterMs = 100;
const normalStream = { deltas: 64, paceMs: 20, openAtOnce: 64 };

/**
 * Streams that are open at once, and the pace of each: slower where there are more, so that load and mock keep up with
 * a few thousand events a second on their core.
 */
const held = [
  { streams: 64, paceMs: 20 },
  { streams: 512, paceMs: 100 },
  { streams: 2000, paceMs: 400 },
  { streams: 10_000, paceMs: 1000 },
] as const;

/** Files that a gateway needs beside two for each stream. */
const spareFiles = 200;

/** Server-sent events at a fixed pace. */
export const pacedStreams: Scenario = {
  id: 'c',
  title: 'SSE at a fixed pace',
  groups: (bench) => [latencyGroup(bench), heldGroup(bench)],
};

function latencyGroup(bench: Bench): Group {
  const { deltas, paceMs, openAtOnce } = normalStream;
  const seconds = bench.quick ? 0.6 : 6;
  const streamSeconds = (deltas * paceMs) / 1000;
  const perSecond = openAtOnce / streamSeconds;
  return {
    title: `${deltas} deltas ${paceMs} ms apart, ${openAtOnce} streams open: what the gateway adds`,
    metrics: [
      { key: 'ttft50', label: 'TTFT p50', unit: 'µs', better: 'lower', isAdded: true },
      { key: 'ttft99', label: 'TTFT p99', unit: 'µs', better: 'lower', isAdded: true },
      { key: 'gap99', label: 'gap p99', unit: 'µs', better: 'lower', isAdded: true },
      cpuPerEvent,
    ],
    cases: [
      {
        label: `${perSecond} streams started a second`,
        subjects: bench.peerNames,
        // Nothing counts until as many are open as are meant to be, nor when fewer are left at the end.
        seconds: streamSeconds + seconds + streamSeconds + 0.4,
        async run(name) {
          const result = await measureStreams(bench, name, {
            deltas,
            paceMs,
            // How late is what is measured here; only order and completeness are checked.
            lateAfterMs: 60_000,
            connections: openAtOnce * 2,
            arrival: { kind: 'paced', streams: Math.round(perSecond * (streamSeconds + seconds)), perSecond },
            streamLimitSeconds: 10,
          });
          const metrics = measured({
            ttft50: result.ttftP50Micros,
            ttft99: result.ttftP99Micros,
            gap99: result.gapP99Micros,
            cpu: result.cpuMicros / result.events,
          });
          return { metrics, failure: result.failure };
        },
      },
    ],
  };
}

function heldGroup(bench: Bench): Group {
  // By peer and round: more streams are not tried in a round in which fewer failed.
  const failedAt = new Map<string, number>();
  return {
    title: `Streams open at once without a lost or late frame (late: ${lateAfterMs} ms after the mock wrote it)`,
    metrics: [
      { key: 'open', label: 'streams open', unit: 'count', better: 'higher' },
      { key: 'transit99', label: 'transit p99', unit: 'µs', better: 'lower', isAdded: true },
      { key: 'worst', label: 'worst', unit: 'ms', better: 'lower' },
      cpuPerEvent,
    ],
    cases: (bench.quick ? held.slice(1, 2) : held).map((step) => heldCase(bench, step, failedAt)),
  };
}

function heldCase(bench: Bench, step: (typeof held)[number], failedAt: Map<string, number>): Case {
  const { paceMs } = step;
  // Each stream takes two files of a gateway; where the system gives fewer, as many streams as fit.
  const streams = Math.min(step.streams, Math.floor((bench.rig.openFiles - spareFiles) / 2));
  const fewer = streams === step.streams ? '' : ` (of ${step.streams.toLocaleString('en')}: the limit of open files)`;
  const seconds = bench.quick ? 1.2 : Math.max(4, (paceMs * 8) / 1000);
  const rampSeconds = Math.min(seconds / 2, Math.max(1, streams / 2500));
  return {
    label: `${streams.toLocaleString('en')} streams${fewer}, an event every ${paceMs} ms`,
    subjects: bench.peerNames,
    seconds: seconds + 1 + streams / 2000,
    async run(name, round) {
      const key = `${name} ${round}`;
      const known = failedAt.get(key);
      if (known !== undefined && known < step.streams) return { metrics: {}, failure: `not tried: failed at ${known}` };
      const result = await measureStreams(bench, name, {
        deltas: Math.round((seconds * 1000) / paceMs),
        paceMs,
        lateAfterMs,
        connections: streams,
        arrival: { kind: 'paced', streams, perSecond: streams / rampSeconds },
        streamLimitSeconds: seconds + 10,
      });
      if (result.failure !== null) failedAt.set(key, step.streams);
      // It had failed at this, was disturbed, and was measured again.
      else failedAt.delete(key);
      const metrics = measured({
        open: result.mostOpen,
        transit99: result.transitP99Micros,
        worst: result.transitMaxMicros / 1000,
        cpu: result.cpuMicros / result.events,
      });
      return { metrics, failure: result.failure };
    },
  };
}
