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
  const isAnyCounted = counted.some((sample) => sample !== undefined);
  return {
    subject,
    values,
    added,
    rigBound,
    curve: medianCurve(counted),
    rounds: counted.map((sample) => sample?.metrics ?? null),
    runs: taken.length,
    countedRuns: counted.filter((sample) => sample !== undefined).length,
    repeatedRuns: taken.filter(({ discarded = [] }) => discarded.length > 0).length,
    disturbance: medianOf((isAnyCounted ? counted : taken).map((sample) => sample?.disturbance)) ?? 0,
    failures: [...new Set(taken.flatMap(({ failure, discarded = [] }) => [failure, ...discarded]))].filter(
      (failure) => failure !== null,
    ),
  };
}

/**
 * One row as a multiple of another: the median of what each round gives. Within a round the two are measured close
 * together, so that what changes on the machine from round to round changes both.
 *
 * @returns undefined where there is no round that counts for both.
 */
export function medianRatio(row: Row, base: Row, key: string): number | undefined {
  const ratios = row.rounds.map((values, round) => {
    const [value, unit] = [values?.[key], base.rounds[round]?.[key]];
    return value === undefined || unit === undefined || unit === 0 ? undefined : value / unit;
  });
  return medianOf(ratios) ?? undefined;
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
