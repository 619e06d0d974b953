import type { WorkerMetrics } from '../../observability/metrics/worker-metrics.ts';
import type { LlmCall, RequestContext, RouteFacts } from '../../pipeline/context.ts';
import type { MetricsEnv } from '../../pipeline/define-plugin.ts';
import { compileMatchedPattern } from './matched-pattern.ts';
import { RequestSeries } from './request-series.ts';
import type { Labels, SeriesSource } from './series-source.ts';

interface LabelCacheOptions {
  readonly source: SeriesSource;
  readonly env: MetricsEnv;
  /** Print the names of route and service in place of their ids, where a metric does not have both. */
  readonly prefersNames: boolean;
}

/** What tells the series of one request from those of another. */
interface Facts {
  readonly route: RouteFacts | null;
  readonly consumer: string;
  readonly node: string;
  readonly requestType: string;
  readonly requestModel: string;
  readonly model: string;
}

/** Beyond, series are looked up anew: with extra labels a client could otherwise fill the memory. */
const maxKept = 2000;
const noRoute = compileMatchedPattern({ uris: [], hosts: [] });

/** Finds the series of requests. Most have the labels of the one before. */
export class LabelCache {
  readonly #options: LabelCacheOptions;
  readonly #patterns = new WeakMap<RouteFacts, ReturnType<typeof compileMatchedPattern>>();
  readonly #kept = new Map<string, RequestSeries>();
  #last: { readonly facts: Facts; readonly series: RequestSeries } | null = null;

  constructor(options: LabelCacheOptions) {
    this.#options = options;
  }

  seriesOf(ctx: RequestContext): RequestSeries {
    const facts = this.#factsOf(ctx);
    const last = this.#last;
    if (last !== null && isSame(last.facts, facts) && !hasChoice(facts.route)) {
      const extra = this.#options.source.extraValues(ctx);
      if (extra === '') return last.series;
    }
    const series = this.#find(ctx, facts);
    this.#last = { facts, series };
    return series;
  }

  #find(ctx: RequestContext, facts: Facts): RequestSeries {
    const { source } = this.#options;
    const { route, consumer, node, requestType, requestModel, model } = facts;
    const pattern = this.#patternOf(route);
    const [uri, host] = [pattern.uri(ctx.path), pattern.host(ctx.host)];
    // Names are in here as well: a route of the same id may have got another one.
    const ofRoute = `${route?.id}\n${route?.name}\n${route?.serviceId}\n${route?.serviceName}\n${uri}\n${host}`;
    const ofCall = `${consumer}\n${node}\n${requestType}\n${requestModel}\n${model}`;
    const key = `${ofRoute}\n${ofCall}${source.extraValues(ctx)}`;
    let series = this.#kept.get(key);
    if (series === undefined) {
      if (this.#kept.size >= maxKept) this.#kept.clear();
      series = new RequestSeries(source, this.#toLabels(facts, uri, host));
      this.#kept.set(key, series);
    }
    return series;
  }

  #factsOf(ctx: RequestContext): Facts {
    const { llm } = ctx;
    const { worker } = this.#options.env;
    return {
      route: ctx.route,
      consumer: ctx.consumer?.name ?? '',
      node: nodeOf(ctx),
      requestType: llm?.requestType ?? 'traditional_http',
      requestModel: llm === null ? '' : worker.requestModels.get(llm.requestModel),
      model: llm === null ? '' : modelOf(llm, worker),
    };
  }

  #toLabels(facts: Facts, uri: string, host: string): Labels {
    const { route, consumer, node, requestType, requestModel, model } = facts;
    const { id = '', name = '', serviceId = '', serviceName = '' } = route ?? {};
    const { prefersNames } = this.#options;
    const shownRoute = prefersNames && name !== '' ? name : id;
    const shownService = prefersNames && serviceName !== '' ? serviceName : serviceId;
    return {
      route: shownRoute,
      route_id: shownRoute,
      matched_uri: uri,
      matched_host: host,
      service: shownService,
      service_id: shownService,
      consumer,
      node,
      request_type: requestType,
      request_llm_model: requestModel,
      llm_model: model,
    };
  }

  #patternOf(route: RouteFacts | null): ReturnType<typeof compileMatchedPattern> {
    if (route === null) return noRoute;
    let pattern = this.#patterns.get(route);
    if (pattern === undefined) this.#patterns.set(route, (pattern = compileMatchedPattern(route)));
    return pattern;
  }
}

function modelOf({ model, requestModel }: LlmCall, { models, configuredModels }: WorkerMetrics): string {
  if (model !== requestModel) return configuredModels.get(model);
  return configuredModels.has(model) ? model : models.get(model);
}

function isSame(a: Facts, b: Facts): boolean {
  return (
    a.route === b.route &&
    a.consumer === b.consumer &&
    a.node === b.node &&
    a.requestType === b.requestType &&
    a.requestModel === b.requestModel &&
    a.model === b.model
  );
}

/** Which uri or host was matched is another question for each request. */
function hasChoice(route: RouteFacts | null): boolean {
  return route !== null && (route.uris.length > 1 || route.hosts.length > 1);
}

/** The instance of an LLM call, the IP address of an ordinary upstream, '' when none was asked. */
function nodeOf({ attempts, llm, target }: RequestContext): string {
  const last = attempts.at(-1);
  if (last === undefined) return llm === null || target === null ? '' : target.name;
  if (llm !== null) return last.target;
  const { address } = last;
  const begin = address.lastIndexOf(' ') + 1;
  return address.slice(begin, Math.max(begin, address.lastIndexOf(':')));
}
