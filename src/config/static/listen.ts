import type { GatewayConfig } from './gateway-config.ts';

/** One listener of the data plane. */
export interface NodeListen {
  readonly ip: string;
  /** 0 asks the kernel for a free port. */
  readonly port: number;
}

const anyIpv4 = '0.0.0.0';

/** Brings every form of `apisix.node_listen` into one. */
export function toNodeListens(nodeListen: GatewayConfig['apisix']['node_listen']): readonly NodeListen[] {
  if (typeof nodeListen === 'number') return [{ ip: anyIpv4, port: nodeListen }];
  return nodeListen.map((item) =>
    typeof item === 'number' ? { ip: anyIpv4, port: item } : { ip: item.ip, port: item.port },
  );
}

/** Whether two listeners cannot both be opened: the same port, on the same address or on all addresses. */
export function listensCollide(a: NodeListen, b: NodeListen): boolean {
  return a.port === b.port && a.port !== 0 && (a.ip === b.ip || isWildcard(a) || isWildcard(b));
}

function isWildcard({ ip }: NodeListen): boolean {
  return ip === anyIpv4 || ip === '::';
}
