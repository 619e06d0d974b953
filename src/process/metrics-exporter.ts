import { hostname } from 'node:os';
import { createMetricsServer, type MetricsServer } from '../admin/metrics-server.ts';
import type { Log } from '../base/log.ts';
import { version } from '../base/version.ts';
import type { GatewayConfig } from '../config/static/gateway-config.ts';
import type { NodeListen } from '../config/static/listen.ts';
import { type ReadMetric, renderMetrics } from '../observability/metrics/exposition.ts';
import { metrics } from '../observability/metrics/metric-list.ts';
import { type MergedMetrics, MetricsHub } from '../observability/metrics/metrics-hub.ts';
import type { ResourceHealth } from '../upstream/health/instance-monitor.ts';
import { isUsable } from '../upstream/health/health-state.ts';
import { ConfiguredEndpoint } from './configured-endpoint.ts';

/** What the main thread knows that no worker counts. */
export interface GatewayFacts {
  readonly health: () => readonly ResourceHealth[];
  /** Of etcd; null where the configuration comes from elsewhere. */
  readonly etcd: () => EtcdFacts | null;
}

interface EtcdFacts {
  readonly isReachable: boolean;
  /** The last change: of each kind of resource, and of all (`max_modify_index`). */
  readonly modifiedIndexes: Readonly<Record<string, number>>;
}

interface MetricsExporterOptions extends GatewayFacts {
  readonly config: GatewayConfig;
  readonly log: Log;
  readonly serverHeader: string;
}

/** The metrics of all workers, and the port where Prometheus asks for them. */
export class MetricsExporter {
  readonly hub: MetricsHub;
  readonly #options: MetricsExporterOptions;
  readonly #endpoint: ConfiguredEndpoint<MetricsServer>;
  #prefix: string;

  constructor(options: MetricsExporterOptions) {
    const { config, log, serverHeader } = options;
    const { prometheus } = config.plugin_attr;
    this.#options = options;
    this.hub = new MetricsHub(prometheus);
    this.#prefix = prometheus.metric_prefix;
    this.#endpoint = new ConfiguredEndpoint({
      wanted: metricsAddress,
      create: ({ plugin_attr }) =>
        createMetricsServer({
          render: () => this.render(),
          path: plugin_attr.prometheus.export_uri,
          log,
          serverHeader,
        }),
      reconfigure: (server, { plugin_attr }) => server.setPath(plugin_attr.prometheus.export_uri),
    });
  }

  /** Where it really listens, null when it is off. */
  get address(): NodeListen | null {
    return this.#endpoint.address;
  }

  /** Without its port the gateway serves as ever: the log says what is missing. */
  async open(config: GatewayConfig): Promise<void> {
    await this.#openOrTell(() => this.#endpoint.open(config));
  }

  async reconfigure(config: GatewayConfig): Promise<void> {
    const { prometheus } = config.plugin_attr;
    this.#prefix = prometheus.metric_prefix;
    if (bucketFields.some((field) => String(prometheus[field]) !== String(this.hub.buckets[field]))) {
      this.#options.log.warn('plugin_attr.prometheus: the buckets changed; they stay as they are until a restart');
    }
    await this.#openOrTell(() => this.#endpoint.reconfigure(config));
  }

  close(): Promise<void> {
    return this.#endpoint.close();
  }

  render(): string {
    const merged = this.hub.merge();
    return renderMetrics(merged, [...nodeMetrics(), ...connectionMetrics(merged), ...this.#factMetrics()], {
      prefix: this.#prefix,
      buckets: this.hub.buckets,
    });
  }

  async #openOrTell(open: () => Promise<void>): Promise<void> {
    try {
      await open();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#options.log.error('the metrics are not served: set plugin_attr.prometheus.export_addr', { reason });
    }
  }

  #factMetrics(): readonly ReadMetric[] {
    const { health, etcd } = this.#options;
    const facts = etcd();
    return [
      {
        name: 'upstream_status',
        type: 'gauge',
        help: 'Health of addresses that are checked: 1 healthy, 0 unhealthy',
        samples: health().flatMap(toStatusSamples),
      },
      ...(facts === null ? [] : etcdMetrics(facts)),
    ];
  }
}

/** Instances may share an address: it is healthy if it is so for all of them. */
function toStatusSamples({ owner, instances }: ResourceHealth): ReadMetric['samples'] {
  const samples = new Map<string, ReadMetric['samples'][number]>();
  for (const { hostname: name, port, addresses } of instances) {
    for (const { ip: address, status } of addresses) {
      // A name that does not resolve stands for itself.
      const ip = address === '' ? name : address;
      const key = `${ip} ${port}`;
      const value = isUsable(status) ? (samples.get(key)?.value ?? 1) : 0;
      samples.set(key, { labels: { name: `/apisix/${owner}`, ip, port: String(port) }, value });
    }
  }
  return [...samples.values()];
}

const bucketFields = [
  'default_buckets',
  'llm_latency_buckets',
  'llm_prompt_tokens_buckets',
  'llm_completion_tokens_buckets',
] as const;

/** `plugin_attr.prometheus.export_addr`, unless the server is off or the plugin is not in the list of `plugins`. */
export function metricsAddress({ plugin_attr, plugins }: GatewayConfig): NodeListen | null {
  const { enable_export_server, export_addr } = plugin_attr.prometheus;
  const isUsed = plugins === undefined || plugins.includes('prometheus');
  return enable_export_server && isUsed ? export_addr : null;
}

function nodeMetrics(): readonly ReadMetric[] {
  const labels = { hostname: hostname(), version };
  return [{ name: 'node_info', type: 'gauge', help: 'The gateway', samples: [{ labels, value: 1 }] }];
}

/** The names of nginx. Reading and waiting are not told apart here: a connection waits until its request is complete. */
function connectionMetrics(merged: MergedMetrics): readonly ReadMetric[] {
  const sumOf = (metric: (typeof metrics)[keyof typeof metrics]): number => {
    let sum = 0;
    for (const cells of merged.get(metric)?.values() ?? []) sum += cells[0] ?? 0;
    return sum;
  };
  const active = sumOf(metrics.activeConnections);
  const accepted = sumOf(metrics.acceptedConnections);
  const writing = sumOf(metrics.runningRequests);
  const states = { accepted, active, handled: accepted, reading: 0, waiting: Math.max(0, active - writing), writing };
  return [
    {
      name: 'nginx_http_current_connections',
      type: 'gauge',
      help: 'Connections of clients by their state; accepted and handled since the start',
      samples: Object.entries(states).map(([state, value]) => ({ labels: { state }, value })),
    },
  ];
}

function etcdMetrics({ isReachable, modifiedIndexes }: EtcdFacts): readonly ReadMetric[] {
  return [
    {
      name: 'etcd_reachable',
      type: 'gauge',
      help: 'Whether etcd can be followed: 1 yes, 0 no',
      samples: [{ labels: {}, value: isReachable ? 1 : 0 }],
    },
    {
      name: 'etcd_modify_indexes',
      type: 'gauge',
      help: 'Revision of the last change by kind of resource',
      samples: Object.entries(modifiedIndexes).map(([key, value]) => ({ labels: { key }, value })),
    },
  ];
}
