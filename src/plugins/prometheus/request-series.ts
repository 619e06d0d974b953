import { metrics } from '../../observability/metrics/metric-list.ts';
import type { CounterSeries, HistogramSeries } from '../../observability/metrics/worker-metrics.ts';
import type { LlmCall, RequestContext } from '../../pipeline/context.ts';
import type { Labels, SeriesSource } from './series-source.ts';

/** The series of LLM calls whose usage is known. */
interface TokenSeries {
  readonly prompt: CounterSeries;
  readonly completion: CounterSeries;
  readonly promptDist: HistogramSeries;
  readonly completionDist: HistogramSeries;
}

/** The series in which requests with the same labels count. Each is opened by the first request that needs it. */
export class RequestSeries {
  readonly #source: SeriesSource;
  readonly #labels: Labels;
  readonly #statuses = new Map<number, CounterSeries>();
  #latency: { readonly request: HistogramSeries; readonly gateway: HistogramSeries } | null = null;
  #upstreamLatency: HistogramSeries | null = null;
  #bandwidth: { readonly ingress: CounterSeries; readonly egress: CounterSeries } | null = null;
  #running: CounterSeries | null = null;
  #tokens: TokenSeries | null = null;
  #llmTotal: HistogramSeries | null = null;
  #llmFirstToken: HistogramSeries | null = null;

  constructor(source: SeriesSource, labels: Labels) {
    this.#source = source;
    this.#labels = labels;
  }

  /** The gauge of LLM calls that are being served. */
  runningGauge(ctx: RequestContext): CounterSeries {
    this.#running ??= this.#source.counter(metrics.llmActiveConnections, this.#runningLabels(ctx), ctx);
    return this.#running;
  }

  /** Takes the metrics of a request that has ended. */
  measure(ctx: RequestContext): void {
    const { exchange, llm } = ctx;
    const totalMs = performance.now() - exchange.startedAt;
    const upstreamMs = upstreamTime(ctx);

    const latency = (this.#latency ??= {
      request: this.#latencyOf('request', ctx),
      gateway: this.#latencyOf('apisix', ctx),
    });
    latency.request.observe(totalMs);
    latency.gateway.observe(Math.max(0, totalMs - (upstreamMs ?? 0)));
    if (upstreamMs !== null) {
      this.#upstreamLatency ??= this.#latencyOf('upstream', ctx);
      this.#upstreamLatency.observe(upstreamMs);
    }
    const bandwidth = (this.#bandwidth ??= {
      ingress: this.#bandwidthOf('ingress', ctx),
      egress: this.#bandwidthOf('egress', ctx),
    });
    bandwidth.ingress.add(exchange.head.byteLength + exchange.bodyBytesReceived);
    bandwidth.egress.add(exchange.bytesSent);
    if (llm !== null) this.#measureCall(ctx, llm);
    // The last: who sees the request counted sees all of it.
    this.#status(ctx).add(1);
  }

  #measureCall(ctx: RequestContext, llm: LlmCall): void {
    const { usage, timeToFirstTokenMs, requestType, rawUsage } = llm;
    if (ctx.isUpstreamAnswer && ctx.loggedStatus < 400) {
      this.#llmTotal ??= this.#histogram(metrics.llmLatency, 'total', ctx);
      this.#llmTotal.observe(ctx.attempts.at(-1)?.responseMs ?? 0);
      // 0: no token came.
      if (requestType === 'ai_stream' && timeToFirstTokenMs > 0) {
        this.#llmFirstToken ??= this.#histogram(metrics.llmLatency, 'ttft', ctx);
        this.#llmFirstToken.observe(timeToFirstTokenMs);
      }
    }
    // Nobody knows how many tokens a call without usage had: zeros would spoil the distributions.
    if (rawUsage === null) return;
    const tokens = (this.#tokens ??= {
      prompt: this.#source.counter(metrics.llmPromptTokens, this.#labels, ctx),
      completion: this.#source.counter(metrics.llmCompletionTokens, this.#labels, ctx),
      promptDist: this.#source.histogram(metrics.llmPromptTokensDist, this.#labels, ctx),
      completionDist: this.#source.histogram(metrics.llmCompletionTokensDist, this.#labels, ctx),
    });
    tokens.prompt.add(usage.promptTokens);
    tokens.completion.add(usage.completionTokens);
    tokens.promptDist.observe(usage.promptTokens);
    tokens.completionDist.observe(usage.completionTokens);
  }

  #status(ctx: RequestContext): CounterSeries {
    // Negative for answers of the gateway itself: one number tells both apart.
    const key = ctx.isUpstreamAnswer ? ctx.loggedStatus : -ctx.loggedStatus;
    let series = this.#statuses.get(key);
    if (series === undefined) {
      const response_source = ctx.isUpstreamAnswer ? 'upstream' : 'apisix';
      const labels = { ...this.#labels, code: String(ctx.loggedStatus), response_source };
      series = this.#source.counter(metrics.httpStatus, labels, ctx);
      this.#statuses.set(key, series);
    }
    return series;
  }

  /** This metric alone has names and ids beside each other, whatever is preferred. */
  #runningLabels({ route }: RequestContext): Labels {
    const { id = '', name = '', serviceId = '', serviceName = '' } = route ?? {};
    return { ...this.#labels, route: name, route_id: id, service: serviceName, service_id: serviceId };
  }

  #latencyOf(type: string, ctx: RequestContext): HistogramSeries {
    return this.#histogram(metrics.httpLatency, type, ctx);
  }

  #histogram(
    metric: typeof metrics.httpLatency | typeof metrics.llmLatency,
    type: string,
    ctx: RequestContext,
  ): HistogramSeries {
    return this.#source.histogram(metric, { ...this.#labels, type }, ctx);
  }

  #bandwidthOf(type: string, ctx: RequestContext): CounterSeries {
    return this.#source.counter(metrics.bandwidth, { ...this.#labels, type }, ctx);
  }
}

/** At all upstreams together, null when none was asked. */
function upstreamTime({ attempts }: RequestContext): number | null {
  if (attempts.length === 0) return null;
  let sum = 0;
  for (const { responseMs = 0 } of attempts) sum += responseMs;
  return sum;
}
