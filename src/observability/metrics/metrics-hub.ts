import { MetricPage } from '../../shared-memory/metric-page.ts';
import { type Metric, metricList } from './metric-list.ts';

/** Untouched parts of it take no memory of the machine. About what APISIX reserves for its metrics. */
const pageBytes = 16 * 1024 * 1024;
/** Of all workers that ever were, of one metric. */
const maxRetiredSeries = 20_000;

/** Sums over the workers: by metric, then by the text of the labels, the cells of a series. */
export type MergedMetrics = ReadonlyMap<Metric, ReadonlyMap<string, Float64Array>>;

/**
 * The main thread's view of what the workers count. Each writes into a page of its own; when it ends, what it has counted
 * is kept, while its gauges are gone with it: its connections are.
 */
export class MetricsHub {
  readonly #pages = new Set<SharedArrayBuffer>();
  readonly #retired = new Map<Metric, Map<string, Float64Array>>();

  /** Memory for a worker that starts. */
  openPage(): SharedArrayBuffer {
    const page = new SharedArrayBuffer(pageBytes);
    this.#pages.add(page);
    return page;
  }

  /** The worker has ended. */
  retirePage(page: SharedArrayBuffer): void {
    if (!this.#pages.delete(page)) return;
    addPage(this.#retired, page, ({ type }, known) => type !== 'gauge' && known < maxRetiredSeries);
  }

  merge(): MergedMetrics {
    const merged = new Map<Metric, Map<string, Float64Array>>();
    for (const [metric, series] of this.#retired) {
      merged.set(metric, new Map(Array.from(series, ([text, cells]) => [text, cells.slice()])));
    }
    for (const page of this.#pages) addPage(merged, page, () => true);
    return merged;
  }
}

/** @param takes - Whether a metric gets one more series; `known` is how many it has. */
function addPage(
  sums: Map<Metric, Map<string, Float64Array>>,
  page: SharedArrayBuffer,
  takes: (metric: Metric, known: number) => boolean,
): void {
  for (const { metric: index, text, cells } of new MetricPage(page).read()) {
    const metric = metricList[index];
    if (metric === undefined) continue;
    let series = sums.get(metric);
    if (series === undefined) sums.set(metric, (series = new Map()));
    const sum = series.get(text);
    if (sum !== undefined) for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (cells[i] ?? 0);
    // A copy on memory that nobody shares.
    else if (takes(metric, series.size)) series.set(text, Float64Array.from(cells));
  }
}
