import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../base/log.ts';
import type { GatewayConfig } from '../config/static/gateway-config.ts';
import type { InstanceReport } from '../upstream/health/instance-monitor.ts';
import type { HealthStatus } from '../upstream/health/health-state.ts';
import { type GatewayFacts, MetricsExporter } from './metrics-exporter.ts';

const prometheus = {
  metric_prefix: 'apisix_',
  default_buckets: [1],
  llm_latency_buckets: [1],
  llm_prompt_tokens_buckets: [1],
  llm_completion_tokens_buckets: [1],
};
const config = { plugin_attr: { prometheus } } as unknown as GatewayConfig;

function samplesOf(name: string, facts: Partial<GatewayFacts>): string[] {
  const exporter = new MetricsExporter({
    health: () => [],
    etcd: () => null,
    ...facts,
    config,
    log: silentLog,
    serverHeader: '',
  });
  const lines = exporter.render().split('\n');
  return lines.filter((line) => line.startsWith(`apisix_${name}`)).map((line) => line.slice(`apisix_${name}`.length));
}

function instance(hostname: string, port: number, addresses: Readonly<Record<string, HealthStatus>>): InstanceReport {
  const unknown = { counters: {} as never, since: 0, lastProbeAt: null, lastError: null };
  const reports = Object.entries(addresses).map(([ip, status]) => ({ ip, status, ...unknown }));
  return { instance: hostname, type: 'tcp', hostname, port, addresses: reports };
}

test('an address is healthy if all of its checks say so; each resource has its own; a name without one stands for itself', () => {
  const health: GatewayFacts['health'] = () => [
    {
      owner: 'routes/1',
      reason: null,
      instances: [
        instance('a', 80, { '10.0.0.1': 'healthy', '10.0.0.2': 'mostly_healthy' }),
        instance('b', 80, { '10.0.0.1': 'unhealthy' }),
        instance('c', 80, { '10.0.0.1': 'healthy', '': 'unhealthy' }),
      ],
    },
    { owner: 'upstreams/u', reason: null, instances: [instance('a', 80, { '10.0.0.1': 'healthy' })] },
  ];
  assert.deepEqual(samplesOf('upstream_status', { health }), [
    '{name="/apisix/routes/1",ip="10.0.0.1",port="80"} 0',
    '{name="/apisix/routes/1",ip="10.0.0.2",port="80"} 1',
    '{name="/apisix/routes/1",ip="c",port="80"} 0',
    '{name="/apisix/upstreams/u",ip="10.0.0.1",port="80"} 1',
  ]);
});

test('etcd has metrics where it is used', () => {
  const etcd = (): ReturnType<GatewayFacts['etcd']> => ({
    isReachable: false,
    modifiedIndexes: { max_modify_index: 7, routes: 7 },
  });
  assert.deepEqual(samplesOf('etcd_', { etcd }), [
    'reachable 0',
    'modify_indexes{key="max_modify_index"} 7',
    'modify_indexes{key="routes"} 7',
  ]);
  assert.deepEqual(samplesOf('etcd_', {}), []);
});
