import { cutLabelValue } from '../../observability/metrics/label-text.ts';
import type { Metric } from '../../observability/metrics/metric-list.ts';
import type { CounterSeries, HistogramSeries } from '../../observability/metrics/worker-metrics.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import type { MetricsEnv } from '../../pipeline/define-plugin.ts';
import { resolvePluginVariable } from '../../pipeline/variables.ts';
import { compileTemplate, type Template } from '../../router/template.ts';

/** Values of labels by their name. */
export type Labels = Readonly<Record<string, string>>;

/** Names of labels that are printed empty, by the name of the metric. */
export type DisabledLabels = Readonly<Record<string, readonly string[]>>;

interface ExtraLabel {
  readonly name: string;
  readonly template: Template<RequestContext>;
}

/** Opens series with the labels that the configuration wants. */
export class SeriesSource {
  readonly #env: MetricsEnv;
  readonly #disabled: DisabledLabels;
  readonly #extra: ReadonlyMap<string, readonly ExtraLabel[]>;

  constructor(env: MetricsEnv, disabled: DisabledLabels) {
    this.#env = env;
    this.#disabled = disabled;
    this.#extra = new Map(
      Object.entries(env.extraLabels).map(([metric, labels]) => [metric, compileExtraLabels(labels)]),
    );
  }

  /** The values of all extra labels for a request, which tell apart what {@link counter} gives for it; '' without any. */
  extraValues(ctx: RequestContext): string {
    let values = '';
    for (const labels of this.#extra.values()) {
      for (const { template } of labels) values += `\n${cutLabelValue(template.resolve(ctx).text)}`;
    }
    return values;
  }

  /** @param ctx - A request with the labels, for the extra ones. */
  counter(metric: Metric, labels: Labels, ctx: RequestContext): CounterSeries {
    return this.#env.worker.counter(metric, this.#valuesOf(metric, labels), this.#extraFor(metric, ctx));
  }

  histogram(metric: Metric & { readonly type: 'histogram' }, labels: Labels, ctx: RequestContext): HistogramSeries {
    return this.#env.worker.histogram(metric, this.#valuesOf(metric, labels), this.#extraFor(metric, ctx));
  }

  #valuesOf({ name, labels: names }: Metric, labels: Labels): readonly string[] {
    const disabled = this.#disabled[name] ?? [];
    return names.map((label) => (disabled.includes(label) ? '' : (labels[label] ?? '')));
  }

  #extraFor({ name, labels: own }: Metric, ctx: RequestContext): readonly string[] {
    // A name of its own keeps its meaning.
    const labels = (this.#extra.get(name) ?? []).filter((extra) => !own.includes(extra.name));
    return labels.flatMap(({ name: label, template }) => [label, template.resolve(ctx).text]);
  }
}

/** Prometheus refuses everything when a label stands twice: the last one counts. */
function compileExtraLabels(labels: readonly Labels[]): readonly ExtraLabel[] {
  const texts = new Map(labels.flatMap((each) => Object.entries(each)));
  return Array.from(texts, ([name, text]) => ({ name, template: compileTemplate(text, resolvePluginVariable) }));
}
