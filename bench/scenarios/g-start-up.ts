import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench } from '../bench.ts';
import { smallBody } from '../load/bodies.ts';
import { requestFor } from '../measure.ts';
import type { Scenario } from './scenario.ts';

const limitMs = 20_000;
const retryMs = 2;

/** How long it takes from the start of the process to the first answer. */
export const startUp: Scenario = {
  id: 'g',
  title: 'Start to first answer',
  groups: (bench) => [
    {
      title: 'From the start of the process to the first answer through a route',
      metrics: [{ key: 'start', label: 'start', unit: 'ms', better: 'lower', isCompared: true }],
      cases: [
        {
          label: 'cold process, warm disk',
          subjects: bench.kinds.map(({ name }) => name),
          seconds: 2,
          run: async (name) => ({ metrics: { start: await measureStart(bench, name) }, failure: null }),
        },
      ],
    },
  ],
};

async function measureStart(bench: Bench, name: string): Promise<number> {
  await bench.peer(name).stop();
  const startedMs = performance.now();
  await bench.restart(name);
  while (!(await isAnswered(bench, name))) {
    if (performance.now() - startedMs > limitMs) throw new Error(`no answer within ${limitMs / 1000} s`);
    await sleep(retryMs);
  }
  return performance.now() - startedMs;
}

async function isAnswered(bench: Bench, name: string): Promise<boolean> {
  const { port, path, headers, body } = requestFor(bench.peer(name), 'plain', smallBody);
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body,
  }).catch(() => null);
  if (response === null) return false;
  await response.arrayBuffer();
  return response.status === 200;
}
