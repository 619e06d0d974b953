import { escapeLabelValue, otherValue } from './label-text.ts';
import type { Buckets, Metric } from './metric-list.ts';
import type { MergedMetrics } from './metrics-hub.ts';

/** https://prometheus.io/docs/instrumenting/exposition_formats/ */
export const expositionType = 'text/plain; version=0.0.4; charset=utf-8';

/** A metric that is not counted by requests but read when somebody asks. */
export interface ReadMetric {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly samples: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

interface ExpositionOptions {
  /** In front of every name. */
  readonly prefix: string;
  readonly buckets: Buckets;
}

/** The metrics as text, which Prometheus reads. A metric without a sample is left out. */
export function renderMetrics(
  merged: MergedMetrics,
  read: readonly ReadMetric[],
  { prefix, buckets }: ExpositionOptions,
): string {
  const parts: string[] = [];
  for (const { name, type, help, samples } of read) {
    if (samples.length === 0) continue;
    parts.push(headOf(prefix + name, type, help));
    for (const { labels, value } of samples) {
      const text = Object.entries(labels).map(([label, each]) => `${label}="${escapeLabelValue(each)}"`);
      parts.push(sample(prefix + name, text.join(','), value));
    }
  }
  for (const [metric, series] of merged) {
    if (metric.isInternal === true) continue;
    const lines = Array.from(series, ([labels, cells]) => renderSeries(metric, { prefix, buckets }, labels, cells));
    const text = lines.join('');
    if (text !== '') parts.push(headOf(prefix + metric.name, metric.type, metric.help), text);
  }
  return parts.join('');
}

function renderSeries(
  metric: Metric,
  { prefix, buckets }: ExpositionOptions,
  labels: string,
  cells: Float64Array,
): string {
  const name = prefix + metric.name;
  // The series for what found no room is there from the beginning.
  if (labels.includes(`"${otherValue}"`) && cells.every((cell) => cell === 0)) return '';
  if (metric.type !== 'histogram') return sample(name, labels, cells[0] ?? 0);
  const beginning = `${name}_bucket{${labels},le="`;
  const bounds = buckets[metric.buckets];
  let text = '';
  let count = 0;
  for (let index = 0; index <= bounds.length; index++) {
    count += cells[index] ?? 0;
    text += `${beginning}${bounds[index] ?? '+Inf'}"} ${count}\n`;
  }
  // The count is that of the buckets, so that they agree although the worker goes on counting.
  return `${text}${sample(`${name}_sum`, labels, cells.at(-1) ?? 0)}${sample(`${name}_count`, labels, count)}`;
}

function headOf(name: string, type: string, help: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
}

function sample(name: string, labels: string, value: number): string {
  return labels === '' ? `${name} ${value}\n` : `${name}{${labels}} ${value}\n`;
}
