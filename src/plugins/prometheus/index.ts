import { metricList, structuralLabels } from '../../observability/metrics/metric-list.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import { definePlugin } from '../../pipeline/define-plugin.ts';
import type { JsonSchema } from '../../schema/infer.ts';
import { LabelCache } from './label-cache.ts';
import { type DisabledLabels, SeriesSource } from './series-source.ts';

const schema = {
  type: 'object',
  properties: {
    prefer_name: {
      type: 'boolean',
      default: false,
      description: 'Print the names of route and service in place of their ids, where they have one.',
    },
  },
} as const;

const metadataSchema = {
  type: 'object',
  properties: {
    disabled_labels: {
      type: 'object',
      additionalProperties: false,
      description: 'Labels that are printed empty, so that there are fewer series: `{"http_status": ["node"]}`.',
      properties: Object.fromEntries(
        metricList
          .filter(({ isInternal, labels }) => isInternal !== true && labels.length > 0)
          .map(({ name, labels }) => [
            name,
            { type: 'array', items: { type: 'string', enum: labels.filter((label) => !structuralLabels.has(label)) } },
          ]),
      ),
    },
  },
} as const satisfies JsonSchema;

/**
 * Counts the requests of a route, or all of them, for Prometheus.
 *
 * @see https://apisix.apache.org/docs/apisix/plugins/prometheus/
 */
export const prometheus = definePlugin({
  name: 'prometheus',
  priority: 500,
  version: 0.2,
  summary: 'Counts requests, their time and their tokens for Prometheus.',
  schema,
  metadataSchema,
  create({ prefer_name }, env) {
    const { disabled_labels = {} } = env.metadata as { readonly disabled_labels?: DisabledLabels };
    const source = new SeriesSource(env.metrics, disabled_labels);
    const cache = new LabelCache({ source, env: env.metrics, prefersNames: prefer_name });
    const onFirstAttempt = (ctx: RequestContext): void => {
      if (ctx.llm === null) return;
      ctx.runningGauge = cache.seriesOf(ctx).runningGauge(ctx);
      ctx.runningGauge.add(1);
    };
    return {
      access(ctx) {
        // After that of a global rule: the route's own settings count, as with APISIX's run policy `prefer_route`.
        ctx.meter = cache;
        ctx.onFirstAttempt = onFirstAttempt;
        return undefined;
      },
      log(ctx) {
        ctx.meter ??= cache;
        if (ctx.meter !== cache) return;
        cache.seriesOf(ctx).measure(ctx);
      },
    };
  },
});
