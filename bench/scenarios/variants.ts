import type { Bench } from '../bench.ts';
import { leadInSeconds, measureClosedLoop, measured } from '../measure.ts';
import { direct } from '../peers/direct.ts';
import { normalVariant, type PeerKind, type Variant } from '../peers/peer.ts';
import type { GroupResult } from '../report/result.ts';
import { medianRatio } from '../report/summarise.ts';
import { cpuPerRequest, p99, perSecond } from './metrics.ts';
import type { Case, Group } from './scenario.ts';

/** One of the set-ups that are compared, of each kind of gateway that knows it. */
export interface ComparedVariant {
  readonly label: string;
  readonly variant: Partial<Variant>;
  /** Instead of the normal route's. */
  readonly paths?: readonly string[];
}

const connections = 64;

/** Starts every kind in every set-up. */
export async function startVariants(bench: Bench, compared: readonly ComparedVariant[]): Promise<void> {
  for (const { label, variant } of compared) {
    for (const kind of kindsFor(bench, compared)) {
      await bench.startVariant(variantName(kind.name, label), kind, { ...normalVariant, ...variant });
    }
  }
}

/** Measures all set-ups side by side, closed loop. */
export function variantsGroup(bench: Bench, title: string, compared: readonly ComparedVariant[]): Group {
  const seconds = bench.quick ? 0.4 : 2;
  const cases = compared.map(({ label, paths }): Case => ({
    label,
    subjects: [direct.name, ...kindsFor(bench, compared).map(({ name }) => name)],
    seconds: leadInSeconds(bench) + seconds + 0.5,
    async run(name) {
      const load = { target: 'plain', connections, seconds, ...(paths && { paths }) } as const;
      const result = await measureClosedLoop(bench, name === direct.name ? name : variantName(name, label), load);
      const metrics = measured({
        perSecond: result.perSecond,
        p99: result.p99Micros,
        cpu: result.cpuMicros / result.requests,
      });
      return { metrics, failure: result.failure };
    },
  }));
  return { title, metrics: [perSecond, p99, cpuPerRequest], cases };
}

/** For each gateway what the last set-up comes to beside the first: requests a second, and CPU. */
export function compareVariants(results: readonly GroupResult[]): string[] {
  return results.flatMap(({ cases }) => {
    const [first] = cases;
    const last = cases.at(-1);
    if (first === undefined || last === undefined) return [];
    return first.rows.flatMap((base) => {
      const other = last.rows.find(({ subject }) => subject === base.subject);
      const rate = other && medianRatio(other, base, 'perSecond');
      const cpu = other && medianRatio(other, base, 'cpu');
      if (rate === undefined || cpu === undefined) return [];
      return [
        `${base.subject}: ${last.label} against ${first.label}: ${rate.toFixed(2)} x of the requests/s, ${cpu.toFixed(2)} x of the CPU a request.`,
      ];
    });
  });
}

function kindsFor(bench: Bench, compared: readonly ComparedVariant[]): readonly PeerKind[] {
  return bench.kinds.filter((kind) => compared.every(({ variant }) => kind.supports({ ...normalVariant, ...variant })));
}

function variantName(kind: string, label: string): string {
  return `${kind}, ${label}`;
}
