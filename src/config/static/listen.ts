import type { GatewayConfig } from './gateway-config.ts';

/** One listener of the data plane. */
export interface NodeListen {
  readonly ip: string;
  /** 0 asks the kernel for a free port. */
  readonly port: number;
}

/** A listener for clients. */
export interface ClientListen extends NodeListen {
  /** HTTPS. */
  readonly tls?: true;
  /** HTTP/2 without TLS beside HTTP/1.1, for clients that know of it. */
  readonly cleartextHttp2?: true;
}

const anyIpv4 = '0.0.0.0';

/** Brings every form of `apisix.node_listen` into one. */
export function toNodeListens(nodeListen: GatewayConfig['apisix']['node_listen']): readonly ClientListen[] {
  if (typeof nodeListen === 'number') return [{ ip: anyIpv4, port: nodeListen }];
  return nodeListen.map((item) => {
    if (typeof item === 'number') return { ip: anyIpv4, port: item };
    const { ip, port, enable_http2 } = item;
    return enable_http2 ? { ip, port, cleartextHttp2: true } : { ip, port };
  });
}

/** The listeners of `apisix.ssl`: none unless it is enabled. */
export function toTlsListens({ enable, listen }: GatewayConfig['apisix']['ssl']): readonly ClientListen[] {
  return enable ? listen.map(({ ip, port }) => ({ ip, port, tls: true })) : [];
}

/** Whether two listeners cannot both be opened: the same port, on the same address or on all addresses. */
export function listensCollide(a: NodeListen, b: NodeListen): boolean {
  return a.port === b.port && a.port !== 0 && (a.ip === b.ip || isWildcard(a) || isWildcard(b));
}

function isWildcard({ ip }: NodeListen): boolean {
  return ip === anyIpv4 || ip === '::';
}
