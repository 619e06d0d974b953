import { MetricPage } from '../../shared-memory/metric-page.ts';
import { otherLabels } from './label-text.ts';
import { type Buckets, type Metric, metricList } from './metric-list.ts';
import type { WorkerPage } from './worker-metrics.ts';

/** Untouched parts of it take no memory of the machine. About what APISIX reserves for its metrics. */
const pageBytes = 16 * 1024 * 1024;
/** Of all workers that ever were, of one metric. Beyond, what they have counted is kept under {@link otherLabels}. */
const maxRetiredSeries = 20_000;

/** Sums over the workers: by metric, then by the text of the labels, the cells of a series. */
export type MergedMetrics = ReadonlyMap<Metric, ReadonlyMap<string, Float64Array>>;

/**
 * The main thread's view of what the workers count. Each writes into a page of its own; when it ends, what it has counted
 * is kept, while its gauges are gone with it: its connections are.
 */
export class MetricsHub {
  /** Of all workers: what they count in other ones cannot be added up. */
  readonly buckets: Buckets;
  readonly #pages = new Set<WorkerPage>();
  readonly #retired = new Map<Metric, Map<string, Float64Array>>();

  constructor(buckets: Buckets) {
    this.buckets = buckets;
  }

  /** For a worker that starts. */
  openPage(): WorkerPage {
    const page = { memory: new SharedArrayBuffer(pageBytes), buckets: this.buckets };
    this.#pages.add(page);
    return page;
  }

  /** The worker has ended. */
  retirePage(page: WorkerPage): void {
    if (!this.#pages.delete(page)) return;
    addPage(this.#retired, page, { takesGauges: false, maxSeries: maxRetiredSeries });
  }

  merge(): MergedMetrics {
    const merged = new Map<Metric, Map<string, Float64Array>>();
    for (const [metric, series] of this.#retired) {
      merged.set(metric, new Map(Array.from(series, ([text, cells]) => [text, cells.slice()])));
    }
    for (const page of this.#pages) addPage(merged, page, { takesGauges: true, maxSeries: Infinity });
    return merged;
  }
}

interface AddOptions {
  readonly takesGauges: boolean;
  /** Of a metric. */
  readonly maxSeries: number;
}

function addPage(
  sums: Map<Metric, Map<string, Float64Array>>,
  { memory }: WorkerPage,
  { takesGauges, maxSeries }: AddOptions,
): void {
  for (const { metric: index, text: ownText, cells } of new MetricPage(memory).read()) {
    const metric = metricList[index];
    if (metric === undefined || (metric.type === 'gauge' && !takesGauges)) continue;
    let series = sums.get(metric);
    if (series === undefined) sums.set(metric, (series = new Map()));
    const text = series.has(ownText) || series.size < maxSeries ? ownText : otherLabels(metric.labels);
    const sum = series.get(text);
    if (sum !== undefined) for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (cells[i] ?? 0);
    // A copy on memory that nobody shares.
    else series.set(text, Float64Array.from(cells));
  }
}
