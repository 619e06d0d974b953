import type { GatewayConfig } from './gateway-config.ts';
import { type ClientListen, toNodeListens, toTlsListens } from './listen.ts';

/** Where the resources of a gateway come from. */
export type ConfigProvider = 'embedded' | 'etcd' | 'yaml' | 'json';

/** The provider that `deployment.role` chooses. */
export function configProvider({ deployment }: GatewayConfig): ConfigProvider {
  switch (deployment.role) {
    case 'traditional':
      return deployment.role_traditional.config_provider;
    case 'control_plane':
      return deployment.role_control_plane.config_provider;
    case 'data_plane':
      return deployment.role_data_plane.config_provider;
  }
}

/** Whether this gateway has the Admin API: not when it is only a data plane, whatever `apisix.enable_admin` says. */
export function servesAdmin({ apisix, deployment }: GatewayConfig): boolean {
  return apisix.enable_admin && deployment.role !== 'data_plane';
}

/** Whether this gateway has listeners for clients: not when it is only a control plane. */
export function servesClients({ deployment }: GatewayConfig): boolean {
  return deployment.role !== 'control_plane';
}

/** The listeners for clients that this gateway opens. */
export function clientListens(config: GatewayConfig): readonly ClientListen[] {
  if (!servesClients(config)) return [];
  return [...toNodeListens(config.apisix.node_listen), ...toTlsListens(config.apisix.ssl)];
}
