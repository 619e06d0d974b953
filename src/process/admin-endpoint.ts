import { type AdminServer, type AdminServerOptions, type AdminSettings, createAdminServer } from '../admin/server.ts';
import type { GatewayConfig } from '../config/static/gateway-config.ts';
import type { NodeListen } from '../config/static/listen.ts';
import { servesAdmin } from '../config/static/role.ts';
import { ListenError } from './listen-probe.ts';

/** A client of the Admin API that never finishes must not hold up the end of the gateway. */
const closeTimeoutMs = 2000;

/** The Admin API on its port: where the configuration wants it, or off. */
export class AdminEndpoint {
  readonly #parts: Omit<AdminServerOptions, keyof AdminSettings>;
  #server: AdminServer | undefined;
  #bound: NodeListen | null = null;
  /** As configured: port 0 stays 0. */
  #wanted: NodeListen | null = null;

  constructor(parts: Omit<AdminServerOptions, keyof AdminSettings>) {
    this.#parts = parts;
  }

  /** Where it really listens, `null` when it is off. */
  get address(): NodeListen | null {
    return this.#bound;
  }

  /** Opens it where `deployment.admin.admin_listen` says, unless this gateway has none. @throws ListenError */
  async open(config: GatewayConfig): Promise<void> {
    const wanted = wantedAddress(config);
    this.#wanted = wanted;
    if (!wanted) return;
    const server = createAdminServer({ ...this.#parts, ...toAdminSettings(config) });
    try {
      const { port } = await server.listen(wanted.ip, wanted.port);
      this.#server = server;
      this.#bound = { ip: wanted.ip, port };
    } catch (error) {
      await server.close();
      if (!(error instanceof Error && 'code' in error)) throw error;
      throw new ListenError(String(error.code), wanted, { cause: error });
    }
  }

  /** Takes over a new configuration: keys, allow list and CORS for the next request on; another address is moved to. */
  async reconfigure(config: GatewayConfig): Promise<void> {
    const wanted = wantedAddress(config);
    if (isSame(wanted, this.#wanted) || isSame(wanted, this.#bound)) {
      this.#server?.reconfigure(toAdminSettings(config));
      return;
    }
    await this.close();
    await this.open(config);
  }

  /** Stops accepting and waits for running requests, but not for long. */
  async close(): Promise<void> {
    const timeout = Promise.withResolvers<void>();
    const timer = setTimeout(timeout.resolve, closeTimeoutMs);
    await Promise.race([this.#server?.close(), timeout.promise]);
    clearTimeout(timer);
    this.#server = undefined;
    this.#bound = null;
  }
}

function wantedAddress(config: GatewayConfig): NodeListen | null {
  return servesAdmin(config) ? config.deployment.admin.admin_listen : null;
}

function isSame(a: NodeListen | null, b: NodeListen | null): boolean {
  return a?.ip === b?.ip && a?.port === b?.port;
}

function toAdminSettings({ deployment: { admin } }: GatewayConfig): AdminSettings {
  return {
    keys: admin.admin_key,
    adminKeyRequired: admin.admin_key_required,
    allowAdmin: admin.allow_admin,
    enableCors: admin.enable_admin_cors,
  };
}
