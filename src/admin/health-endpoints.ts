import type { AddressReport } from '../upstream/health/address-monitor.ts';
import type { InstanceReport, ResourceHealth } from '../upstream/health/instance-monitor.ts';
import type { ControlEndpoint, ControlReply } from './control-server.ts';

interface HealthSource {
  /** Everything that is checked. */
  readonly describe: () => readonly ResourceHealth[];
  readonly hasResource: (kind: string, id: string) => boolean;
}

/** One address of one instance, under the names of APISIX's control API; those after `counter` are additions. */
interface HealthNode {
  readonly ip: string;
  readonly port: number;
  readonly hostname: string;
  readonly status: string;
  readonly counter: AddressReport['counters'];
  readonly instance: string;
  readonly type: string;
  /** When the status became what it is; times are in ISO 8601. */
  readonly status_since: string;
  readonly last_probe_at: string | null;
  readonly last_error: string | null;
  readonly last_error_at: string | null;
}

interface HealthItem {
  readonly name: string;
  /** Several, joined by a comma, when the instances differ. */
  readonly type: string;
  /** Why nodes are missing, if they are: an addition to APISIX's fields. */
  readonly reason?: string;
  readonly nodes: readonly HealthNode[];
}

const kinds: ReadonlySet<string> = new Set(['routes', 'services', 'upstreams', 'stream_routes']);

/** `GET /v1/healthcheck` and `GET /v1/healthcheck/{kind}/{id}`: JSON, or a page for a browser. */
export function createHealthEndpoints(source: HealthSource): readonly ControlEndpoint[] {
  const show = (accept: string, body: HealthItem | readonly HealthItem[]): ControlReply =>
    accept.includes('text/html') ? { status: 200, body: toPage([body].flat()), isHtml: true } : { status: 200, body };
  return [
    { method: 'GET', url: '/v1/healthcheck', answer: ({ accept }) => show(accept, source.describe().map(toItem)) },
    {
      method: 'GET',
      url: '/v1/healthcheck/:kind/:id',
      answer({ params: { kind = '', id = '' }, accept }) {
        if (!kinds.has(kind)) return refusal(400, `invalid src type ${kind}`);
        const found = source.describe().find(({ owner }) => owner === `${kind}/${id}`);
        if (found !== undefined) return show(accept, toItem(found));
        return refusal(
          404,
          source.hasResource(kind, id) ? `no checker for ${kind}[${id}]` : `${kind}[${id}] not found`,
        );
      },
    },
  ];
}

function refusal(status: number, message: string): ControlReply {
  return { status, body: { error_msg: message } };
}

function toItem({ owner, reason, instances }: ResourceHealth): HealthItem {
  return {
    name: `/apisix/${owner}`,
    type: [...new Set(instances.map(({ type }) => type))].join(','),
    ...(reason !== null && { reason }),
    nodes: instances.flatMap((instance) => instance.addresses.map((address) => toNode(instance, address))),
  };
}

function toNode(
  of: InstanceReport,
  { ip, status, counters, since, lastProbeAt, lastError }: AddressReport,
): HealthNode {
  return {
    ip,
    port: of.port,
    hostname: of.hostname,
    status,
    counter: counters,
    instance: of.instance,
    type: of.type,
    status_since: toTime(since),
    last_probe_at: lastProbeAt === null ? null : toTime(lastProbeAt),
    last_error: lastError === null ? null : lastError.reason,
    last_error_at: lastError === null ? null : toTime(lastError.at),
  };
}

function toTime(ms: number): string {
  return new Date(ms).toISOString();
}

function toPage(items: readonly HealthItem[]): string {
  const columns = ['Resource', 'Instance', 'Type', 'Address', 'Host', 'Status', 'Since', 'Counters', 'Last error'];
  const rows = items.flatMap(({ name, reason, nodes }) => [
    ...(reason === undefined ? [] : [toReasonRow(name, reason, columns.length - 1)]),
    ...nodes.map((node) => toRow(name, node)),
  ]);
  const headings = columns.map((column) => `<th>${column}</th>`).join('');
  return `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Weir: health checks</title>
<style>body{font-family:sans-serif}table{border-collapse:collapse}th,td{border:1px solid #bbb;padding:4px 8px;text-align:left}</style>
</head>
<body><h1>Health checks</h1>
<table>
<tr>${headings}</tr>
${rows.join('\n')}
</table>
</body></html>
`;
}

function toReasonRow(name: string, reason: string, width: number): string {
  return `<tr><td>${escapeHtml(name)}</td><td colspan="${width}">${escapeHtml(`not probed: ${reason}`)}</td></tr>`;
}

function toRow(name: string, node: HealthNode): string {
  const { success, http_failure, tcp_failure, timeout_failure } = node.counter;
  const counters = `${success} successes, ${http_failure} http, ${tcp_failure} tcp, ${timeout_failure} timeouts`;
  const lastError = node.last_error === null ? '' : `${node.last_error} (${node.last_error_at ?? ''})`;
  const { instance, type, ip, port, hostname, status, status_since: since } = node;
  const cells = [name, instance, type, `${ip} ${port}`, hostname, status, since, counters, lastError];
  return `<tr>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`;
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
