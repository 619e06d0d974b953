import type { Metric, Row, Sample } from './result.ts';

/** Within this share of the run without a gateway a result tells of the rig, not of the gateway. */
const rigBoundShare = 0.9;

interface Runs {
  readonly subject: string;
  /** By round; undefined where there was none. */
  readonly samples: readonly (Sample | undefined)[];
  /** The same case without a gateway, by round; null if there is no such run. */
  readonly direct: readonly (Sample | undefined)[] | null;
}

/** Puts the runs of one subject together: medians of those that count, and what keeps the others from counting. */
export function summarise({ subject, samples, direct }: Runs, metrics: readonly Metric[]): Row {
  const counted = samples.map((sample) => (sample?.failure === null ? sample : undefined));
  const values: Record<string, number> = {};
  const added: Record<string, number> = {};
  const rigBound: string[] = [];
  for (const metric of metrics) {
    const value = medianOf(counted.map((sample) => sample?.metrics[metric.key]));
    if (value === null) continue;
    values[metric.key] = value;
    if (direct === null) continue;

    const limits = direct.map((sample) => (sample?.failure === null ? sample.metrics[metric.key] : undefined));
    if (metric.isAdded) {
      const extra = medianOf(counted.map((sample, round) => difference(sample?.metrics[metric.key], limits[round])));
      if (extra !== null) added[metric.key] = extra;
    }
    const limit = medianOf(limits);
    if (metric.isCapped && limit !== null && limit > 0 && value >= rigBoundShare * limit) rigBound.push(metric.key);
  }
  const taken = samples.filter((sample) => sample !== undefined);
  return {
    subject,
    values,
    added,
    rigBound,
    curve: medianCurve(counted),
    runs: taken.length,
    countedRuns: counted.filter((sample) => sample !== undefined).length,
    disturbance: medianOf(counted.map((sample) => sample?.disturbance)) ?? 0,
    failures: [...new Set(taken.flatMap(({ failure }) => (failure === null ? [] : [failure])))],
  };
}

/** The median of the values that are there; null if none is. */
export function medianOf(values: readonly (number | undefined)[]): number | null {
  const sorted = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  return upper === undefined || lower === undefined ? null : (lower + upper) / 2;
}

function difference(value: number | undefined, base: number | undefined): number | undefined {
  return value === undefined || base === undefined ? undefined : value - base;
}

/** The n-th points of all curves make the n-th point: rates differ a little from round to round. */
function medianCurve(samples: readonly (Sample | undefined)[]): Row['curve'] {
  const curves = samples.flatMap((sample) => (sample?.curve === undefined ? [] : [sample.curve]));
  const length = Math.min(...curves.map((curve) => curve.length));
  if (curves.length === 0) return [];
  return Array.from({ length }, (_, i) => ({
    x: medianOf(curves.map((curve) => curve[i]?.x)) ?? 0,
    y: medianOf(curves.map((curve) => curve[i]?.y)) ?? 0,
  }));
}
