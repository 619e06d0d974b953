/** Which list of bounds a histogram has. */
export type BucketSetting =
  | 'default_buckets'
  | 'llm_latency_buckets'
  | 'llm_prompt_tokens_buckets'
  | 'llm_completion_tokens_buckets';

/** Upper bounds of the buckets of histograms, rising. */
export type Buckets = Readonly<Record<BucketSetting, readonly number[]>>;

interface MetricShape {
  /** Without the prefix. */
  readonly name: string;
  readonly help: string;
  /** In the order in which they are printed. */
  readonly labels: readonly string[];
  /** Not printed under its own name: others are computed from it. */
  readonly isInternal?: boolean;
}

/** One metric that workers count. */
export type Metric = MetricShape &
  ({ readonly type: 'counter' | 'gauge' } | { readonly type: 'histogram'; readonly buckets: BucketSetting });

const request = ['consumer', 'node', 'request_type', 'request_llm_model', 'llm_model'] as const;
const llmLabels = ['route_id', 'service_id', ...request] as const;

/** What requests are counted by: the only list. Names and labels are those of APISIX 3.18. */
export const metrics = {
  requests: {
    name: 'http_requests_total',
    type: 'counter',
    help: 'Requests of clients',
    labels: [],
  },
  acceptedConnections: { name: 'accepted', type: 'counter', help: '', labels: [], isInternal: true },
  activeConnections: { name: 'active', type: 'gauge', help: '', labels: [], isInternal: true },
  runningRequests: { name: 'running', type: 'gauge', help: '', labels: [], isInternal: true },
  httpStatus: {
    name: 'http_status',
    type: 'counter',
    help: 'Requests by the status of their answer',
    labels: ['code', 'route', 'matched_uri', 'matched_host', 'service', ...request, 'response_source'],
  },
  httpLatency: {
    name: 'http_latency',
    type: 'histogram',
    buckets: 'default_buckets',
    help: 'Milliseconds that requests took: all of it (request), at the upstream, in the gateway (apisix)',
    labels: ['type', 'route', 'service', ...request],
  },
  bandwidth: {
    name: 'bandwidth',
    type: 'counter',
    help: 'Bytes received from clients (ingress) and sent to them (egress)',
    labels: ['type', 'route', 'service', ...request],
  },
  llmLatency: {
    name: 'llm_latency',
    type: 'histogram',
    buckets: 'llm_latency_buckets',
    help: 'Milliseconds of LLM calls until the first token (ttft) and until the end (total)',
    labels: ['type', ...llmLabels],
  },
  llmPromptTokens: {
    name: 'llm_prompt_tokens',
    type: 'counter',
    help: 'Tokens of prompts',
    labels: llmLabels,
  },
  llmCompletionTokens: {
    name: 'llm_completion_tokens',
    type: 'counter',
    help: 'Tokens of completions',
    labels: llmLabels,
  },
  llmPromptTokensDist: {
    name: 'llm_prompt_tokens_dist',
    type: 'histogram',
    buckets: 'llm_prompt_tokens_buckets',
    help: 'Tokens of the prompt of an LLM call',
    labels: llmLabels,
  },
  llmCompletionTokensDist: {
    name: 'llm_completion_tokens_dist',
    type: 'histogram',
    buckets: 'llm_completion_tokens_buckets',
    help: 'Tokens of the completion of an LLM call',
    labels: llmLabels,
  },
  llmActiveConnections: {
    name: 'llm_active_connections',
    type: 'gauge',
    help: 'LLM calls that are being served',
    labels: ['route', 'route_id', 'matched_uri', 'matched_host', 'service', 'service_id', ...request],
  },
} as const satisfies Readonly<Record<string, Metric>>;

/** Metrics in the order in which they are printed; workers name them by their place in it. */
export const metricList: readonly Metric[] = Object.values(metrics);

/** Labels that make a metric what it is: they cannot be disabled. */
export const structuralLabels: ReadonlySet<string> = new Set(['code', 'type']);
