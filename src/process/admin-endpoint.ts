import { type AdminServer, type AdminServerOptions, type AdminSettings, createAdminServer } from '../admin/server.ts';
import type { GatewayConfig } from '../config/static/gateway-config.ts';
import type { NodeListen } from '../config/static/listen.ts';
import { servesAdmin } from '../config/static/role.ts';
import { ConfiguredEndpoint } from './configured-endpoint.ts';

/** The Admin API on its port. A reload changes keys, allow list and CORS for the next request on. */
export function createAdminEndpoint(
  parts: Omit<AdminServerOptions, keyof AdminSettings>,
): ConfiguredEndpoint<AdminServer> {
  return new ConfiguredEndpoint({
    wanted: adminAddress,
    create: (config) => createAdminServer({ ...parts, ...toAdminSettings(config) }),
    reconfigure: (server, config) => server.reconfigure(toAdminSettings(config)),
  });
}

/** `deployment.admin.admin_listen`, unless this gateway has no Admin API. */
export function adminAddress(config: GatewayConfig): NodeListen | null {
  return servesAdmin(config) ? config.deployment.admin.admin_listen : null;
}

function toAdminSettings({ deployment: { admin } }: GatewayConfig): AdminSettings {
  return {
    keys: admin.admin_key,
    adminKeyRequired: admin.admin_key_required,
    allowAdmin: admin.allow_admin,
    enableCors: admin.enable_admin_cors,
  };
}
