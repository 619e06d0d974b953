import type { Bench } from '../bench.ts';
import { measureClosedLoop, measured } from '../measure.ts';
import { direct } from '../peers/direct.ts';
import { normalVariant, type PeerKind, type Variant } from '../peers/peer.ts';
import type { GroupResult } from '../report/result.ts';
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
  const seconds = bench.quick ? 0.6 : 2;
  const cases = compared.map(({ label, paths }): Case => ({
    label,
    subjects: [direct.name, ...kindsFor(bench, compared).map(({ name }) => name)],
    seconds: seconds + 0.5,
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
    return first.rows.flatMap(({ subject, values: base }) => {
      const other = last.rows.find((row) => row.subject === subject)?.values ?? {};
      const rate = ratio(other['perSecond'], base['perSecond']);
      const cpu = ratio(other['cpu'], base['cpu']);
      if (rate === null || cpu === null) return [];
      return [
        `${subject}: ${last.label} against ${first.label}: ${rate} of the requests/s, ${cpu} of the CPU a request.`,
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

function ratio(value: number | undefined, base: number | undefined): string | null {
  return value === undefined || base === undefined ? null : `${(value / base).toFixed(2)} x`;
}
