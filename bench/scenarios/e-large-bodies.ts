import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Bench } from '../bench.ts';
import { bodyOfSize } from '../load/bodies.ts';
import { leadInSeconds, measureClosedLoop, measured } from '../measure.ts';
import type { GroupResult } from '../report/result.ts';
import { medianRatio } from '../report/summarise.ts';
import { cpuPerRequest, p50, p99, perSecond } from './metrics.ts';
import type { Case, Scenario } from './scenario.ts';

const connections = 16;
const withoutModel = 'weir, no options';
const jsonCost = 'JSON.parse + stringify';

/** Request bodies of several sizes, with and without a model that the route sets. */
export const largeBodies: Scenario = {
  id: 'e',
  title: 'Large request bodies',
  groups: (bench) => [
    {
      title: `${connections} connections; weir sets options.model, "${withoutModel}" forwards the body as it is`,
      metrics: [perSecond, p50, p99, cpuPerRequest],
      cases: (bench.quick ? [256] : [4, 64, 256, 1024]).map((kibibytes) => sizeCase(bench, kibibytes)),
    },
  ],
  conclude: (results) => results.flatMap(({ cases }) => cases.flatMap(compareWithJson)),
};

function sizeCase(bench: Bench, kibibytes: number): Case {
  const body = bodyOfSize(kibibytes * 1024);
  const seconds = bench.quick ? 0.6 : 1.5;
  return {
    label: kibibytes === 1024 ? '1 MB' : `${kibibytes} KB`,
    subjects: [...bench.peerNames, withoutModel, jsonCost],
    seconds: leadInSeconds(bench) + seconds,
    async run(subject) {
      if (subject === jsonCost) return { metrics: { cpu: await measureJson(bench, kibibytes) }, failure: null };
      const [name, target] =
        subject === withoutModel ? (['weir', 'untouched'] as const) : ([subject, 'plain'] as const);
      const result = await measureClosedLoop(bench, name, { target, connections, seconds, body });
      const metrics = measured({
        perSecond: result.perSecond,
        p50: result.p50Micros,
        p99: result.p99Micros,
        cpu: result.cpuMicros / result.requests,
      });
      return { metrics, failure: result.failure };
    },
  };
}

/** On the gateway's core, which is as fast as it is for the gateway. */
async function measureJson({ rig }: Bench, kibibytes: number): Promise<number> {
  const script = new URL('../load/json-cost.ts', import.meta.url).pathname;
  const args = ['-c', rig.cores.gateway, process.execPath, script, String(kibibytes * 1024)];
  return Number((await promisify(execFile)('taskset', args)).stdout);
}

function compareWithJson({ label, rows }: GroupResult['cases'][number]): string[] {
  const json = rows.find(({ subject }) => subject === jsonCost);
  const costOf = (wanted: string): number | undefined => {
    const row = rows.find(({ subject }) => subject === wanted);
    return row && json && medianRatio(row, json, 'cpu');
  };
  const [shaped, untouched] = [costOf('weir'), costOf(withoutModel)];
  if (shaped === undefined || untouched === undefined) return [];
  return [
    `${label}: with options.model a request costs weir ${shaped.toFixed(2)} of JSON.parse + JSON.stringify of its body (${(shaped - untouched).toFixed(2)} on top of a body forwarded as it is).`,
  ];
}
