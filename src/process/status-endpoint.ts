import { type ControlServer, createControlServer } from '../admin/control-server.ts';
import { createStatusEndpoints } from '../admin/status-endpoints.ts';
import type { Log } from '../base/log.ts';
import type { GatewayConfig } from '../config/static/gateway-config.ts';
import type { NodeListen } from '../config/static/listen.ts';
import { ConfiguredEndpoint } from './configured-endpoint.ts';

interface StatusOptions {
  /** `null`, or what requests would have to wait for. */
  readonly whyNotReady: () => string | null;
  readonly log: Log;
  readonly serverHeader: string;
}

/** The status server on its port: for whoever starts, watches and balances gateways. */
export function createStatusEndpoint({
  whyNotReady,
  log,
  serverHeader,
}: StatusOptions): ConfiguredEndpoint<ControlServer> {
  const endpoints = createStatusEndpoints(whyNotReady);
  return new ConfiguredEndpoint({
    wanted: statusAddress,
    create: () => createControlServer({ endpoints, log, serverHeader }),
    reconfigure: () => {},
  });
}

/** `apisix.status`; null: it is not configured. */
export function statusAddress({ apisix }: GatewayConfig): NodeListen | null {
  return apisix.status ?? null;
}
