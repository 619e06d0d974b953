import { type ControlServer, type ControlServerOptions, createControlServer } from '../admin/control-server.ts';
import type { GatewayConfig } from '../config/static/gateway-config.ts';
import type { NodeListen } from '../config/static/listen.ts';
import { ConfiguredEndpoint } from './configured-endpoint.ts';

/** The control API on its port. */
export function createControlEndpoint(options: ControlServerOptions): ConfiguredEndpoint<ControlServer> {
  return new ConfiguredEndpoint({
    wanted: controlAddress,
    create: () => createControlServer(options),
    reconfigure: () => {},
  });
}

/** `apisix.control`, unless `apisix.enable_control` is false. */
export function controlAddress({ apisix }: GatewayConfig): NodeListen | null {
  return apisix.enable_control ? apisix.control : null;
}
