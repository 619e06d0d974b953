import type { SettingSchema } from './setting-schema.ts';

const bounds = { type: 'array', minItems: 1, items: { type: 'integer', minimum: 0 } } as const;
const latencyBounds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000];
const tokenBounds = [
  1, 10, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
];

/** `plugin_attr`: what plugins are told for the whole gateway. */
export const pluginSettings = {
  type: 'object',
  additionalProperties: { type: 'object' },
  default: {},
  properties: {
    redirect: {
      type: 'object',
      properties: {
        https_port: {
          type: 'integer',
          minimum: 1,
          maximum: 65535,
          description:
            'Port that `redirect` sends clients to from HTTP to HTTPS. Absent: the first of `apisix.ssl.listen`, or 443 without TLS.',
        },
      },
    },
    prometheus: {
      type: 'object',
      default: {},
      properties: {
        enable_export_server: {
          type: 'boolean',
          default: true,
          description: 'Serve the metrics at `export_addr`.',
        },
        export_addr: {
          type: 'object',
          default: {},
          properties: {
            ip: {
              type: 'string',
              format: 'ip',
              default: '127.0.0.1',
              description: 'Address of the metrics, which ask for no key.',
            },
            port: {
              type: 'integer',
              minimum: 0,
              maximum: 65535,
              default: 9091,
              description:
                'Port of the metrics. 0 takes a free one. When it cannot be had, the gateway serves without them and says so.',
            },
          },
        },
        export_uri: {
          type: 'string',
          format: 'path',
          default: '/apisix/prometheus/metrics',
          description: 'Path of the metrics.',
        },
        metric_prefix: {
          type: 'string',
          format: 'metric-prefix',
          default: 'apisix_',
          description: 'What the name of every metric begins with.',
        },
        refresh_interval: {
          type: 'integer',
          minimum: 0,
          default: 15,
          description: 'Accepted; without effect: the metrics are those of the moment in which they are asked for.',
        },
        metrics: {
          type: 'object',
          default: {},
          additionalProperties: {
            type: 'object',
            properties: {
              extra_labels: {
                type: 'array',
                default: [],
                items: {
                  type: 'object',
                  propertyNames: { format: 'label-name' },
                  additionalProperties: { type: 'string' },
                },
                description: 'Further labels of this metric: `- name: $variable`.',
              },
              expire: {
                type: 'integer',
                minimum: 0,
                default: 0,
                description: 'Accepted; without effect: series do not expire.',
              },
            },
          },
          description: 'By name of a metric, without prefix.',
        },
        default_buckets: {
          ...bounds,
          default: latencyBounds,
          description: 'Upper bounds of the buckets of `http_latency`, in milliseconds; read at the start.',
        },
        llm_latency_buckets: {
          ...bounds,
          default: latencyBounds,
          description: 'Upper bounds of the buckets of `llm_latency`, in milliseconds; read at the start.',
        },
        llm_prompt_tokens_buckets: {
          ...bounds,
          default: tokenBounds,
          description: 'Upper bounds of the buckets of `llm_prompt_tokens_dist`; read at the start.',
        },
        llm_completion_tokens_buckets: {
          ...bounds,
          default: tokenBounds,
          description: 'Upper bounds of the buckets of `llm_completion_tokens_dist`; read at the start.',
        },
      },
    },
  },
} as const satisfies SettingSchema;
