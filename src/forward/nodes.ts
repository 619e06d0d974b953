import type { Upstream } from '../config/upstream.ts';
import type { RankedCandidate } from '../upstream/balancer/priority-groups.ts';
import { hostPort, type Origin } from '../upstream/origin.ts';

/** One server of an upstream. Its name is `host:port`, with a number behind it when there are several of that. */
export interface UpstreamNode extends RankedCandidate {
  readonly origin: Origin;
}

/** Port by scheme, for nodes that name none. */
export const defaultPorts: Readonly<Record<Origin['scheme'], number>> = { http: 80, https: 443 };

interface NodeConf {
  readonly host: string;
  readonly port?: number | undefined;
  readonly weight: number;
  readonly priority?: number | undefined;
}

/** The nodes in both of their forms: `{"host:port": weight}`, or a list of objects. */
export function listNodes({ nodes = [] }: Pick<Upstream, 'nodes'>, scheme: Origin['scheme']): readonly UpstreamNode[] {
  const given: readonly NodeConf[] = isList(nodes)
    ? nodes
    : Object.entries(nodes).map(([name, weight]) => ({ ...splitHostPort(name), weight }));
  const seen = new Map<string, number>();
  return given.map(({ host, port = defaultPorts[scheme], weight, priority = 0 }) => {
    const origin: Origin = { scheme, host: withoutBrackets(host), port };
    const address = hostPort(origin.host, port);
    const count = (seen.get(address) ?? 0) + 1;
    seen.set(address, count);
    return { name: count === 1 ? address : `${address} (${count})`, origin, weight, priority };
  });
}

function isList(nodes: NonNullable<Upstream['nodes']>): nodes is Extract<typeof nodes, readonly unknown[]> {
  return Array.isArray(nodes);
}

function splitHostPort(name: string): { host: string; port: number | undefined } {
  const [, host = name, port] = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(name) ?? [];
  return { host, port: port === undefined ? undefined : Number(port) };
}

function withoutBrackets(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}
