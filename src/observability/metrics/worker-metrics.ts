import type { Log } from '../../base/log.ts';
import { MetricPage } from '../../shared-memory/metric-page.ts';
import { BoundedValues, labelText, otherLabels, otherValue } from './label-text.ts';
import { type Buckets, type Metric, metricList } from './metric-list.ts';

/** Of one metric in one worker. Beyond, what is counted comes under one series whose labels are all {@link otherValue}. */
const maxSeries = 10_000;
/** Of each label that clients choose, in one worker. */
const maxClientValues = 256;
const maxConfiguredModels = 1024;

/** Goes up and, if it is a gauge, down. */
export class CounterSeries {
  readonly #cells: Float64Array;

  constructor(cells: Float64Array) {
    this.#cells = cells;
  }

  add(amount: number): void {
    this.#cells[0] = (this.#cells[0] ?? 0) + amount;
  }
}

/** Cells: one for each bucket, one for what is above them, and the sum. */
export class HistogramSeries {
  readonly #cells: Float64Array;
  readonly #bounds: readonly number[];

  constructor(cells: Float64Array, bounds: readonly number[]) {
    this.#cells = cells;
    this.#bounds = bounds;
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    const cells = this.#cells;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] ?? Infinity)) bucket++;
    cells[bucket] = (cells[bucket] ?? 0) + 1;
    const sum = bounds.length + 1;
    cells[sum] = (cells[sum] ?? 0) + value;
  }
}

interface Family {
  readonly cells: Map<string, Float64Array>;
  readonly overflow: Float64Array;
}

/** What one worker counts in. Plain data: it crosses the thread border. */
export interface WorkerPage {
  /** Zeros at first, of at least 64 KiB. */
  readonly memory: SharedArrayBuffer;
  /** Whoever adds the pages up takes them for those of all workers. */
  readonly buckets: Buckets;
}

/** The counters of one worker, in memory that the main thread reads. They outlive changes of the configuration. */
export class WorkerMetrics {
  /** Models as clients name them: the values of `request_llm_model` and `llm_model`. */
  readonly requestModels = new BoundedValues(maxClientValues);
  readonly models = new BoundedValues(maxClientValues);
  /** Models that the configuration has put in place of those: clients leave them their room. */
  readonly configuredModels = new BoundedValues(maxConfiguredModels);
  readonly #page: MetricPage;
  readonly #buckets: Buckets;
  readonly #families: ReadonlyMap<Metric, Family>;
  readonly #log: Pick<Log, 'warn'>;
  #toldFull = false;

  constructor({ memory, buckets }: WorkerPage, log: Pick<Log, 'warn'>) {
    this.#page = new MetricPage(memory);
    this.#buckets = buckets;
    this.#log = log;
    this.#families = new Map(metricList.map((metric) => [metric, this.#createFamily(metric)]));
  }

  /** @param extra - Further labels behind those of the metric: name, value, … */
  counter(metric: Metric, values: readonly string[], extra: readonly string[] = []): CounterSeries {
    return new CounterSeries(this.#open(metric, values, extra));
  }

  histogram(
    metric: Metric & { readonly type: 'histogram' },
    values: readonly string[],
    extra: readonly string[] = [],
  ): HistogramSeries {
    return new HistogramSeries(this.#open(metric, values, extra), this.#buckets[metric.buckets]);
  }

  #open(metric: Metric, values: readonly string[], extra: readonly string[]): Float64Array {
    const family = this.#families.get(metric);
    if (family === undefined) throw new Error(`no metric ${metric.name}`);
    const names = [...metric.labels, ...extra.filter((_, index) => index % 2 === 0)];
    const text = labelText(names, [...values, ...extra.filter((_, index) => index % 2 === 1)]);
    const known = family.cells.get(text);
    if (known !== undefined) return known;
    const cells = family.cells.size < maxSeries ? this.#claim(metric, text) : null;
    if (cells === null) {
      this.#tellFull(metric);
      return family.overflow;
    }
    family.cells.set(text, cells);
    return cells;
  }

  #createFamily(metric: Metric): Family {
    const overflow = this.#claim(metric, otherLabels(metric.labels));
    if (overflow === null) throw new RangeError('the memory for metrics is too small');
    return { cells: new Map(), overflow };
  }

  #claim(metric: Metric, text: string): Float64Array | null {
    const cells = metric.type === 'histogram' ? this.#buckets[metric.buckets].length + 2 : 1;
    return this.#page.claim(metricList.indexOf(metric), cells, text);
  }

  #tellFull(metric: Metric): void {
    if (this.#toldFull) return;
    this.#toldFull = true;
    this.#log.warn(`there is no room for more series of metrics: the rest is counted under ${otherValue}`, {
      metric: metric.name,
    });
  }
}
