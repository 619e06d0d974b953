import { leadInSeconds, measured, measureStreams } from '../measure.ts';
import { cpuPerEvent } from './metrics.ts';
import type { Scenario } from './scenario.ts';

const deltas = 512;
const connections = 16;

/** Server-sent events as fast as they go through. */
export const flatOutStreams: Scenario = {
  id: 'd',
  title: 'SSE flat out',
  groups(bench) {
    const seconds = bench.quick ? 1 : 4;
    return [
      {
        title: `${connections} connections, streams of ${deltas} deltas without a pause, each delta a write of the mock`,
        metrics: [
          { key: 'events', label: 'events/s', unit: 'per second', better: 'higher', isCapped: true, isCompared: true },
          cpuPerEvent,
        ],
        cases: [
          {
            label: `${connections} connections`,
            subjects: bench.peerNames,
            seconds: leadInSeconds(bench) + seconds + 0.4,
            async run(name) {
              const result = await measureStreams(bench, name, {
                deltas,
                paceMs: 0,
                connections,
                // Everything waits behind everything else here; only order and completeness are checked.
                lateAfterMs: 60_000,
                arrival: { kind: 'closed', leadInSeconds: leadInSeconds(bench), seconds },
                streamLimitSeconds: 30,
              });
              const { events, seconds: taken, cpuMicros, failure } = result;
              return { metrics: measured({ events: events / taken, cpu: cpuMicros / events }), failure };
            },
          },
        ],
      },
    ];
  },
};
