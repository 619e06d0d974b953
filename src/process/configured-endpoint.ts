import type { GatewayConfig } from '../config/static/gateway-config.ts';
import type { NodeListen } from '../config/static/listen.ts';
import { ListenError } from './listen-probe.ts';

/** An HTTP server of the main thread. */
interface EndpointServer {
  /** @throws Error of the system (`EADDRINUSE`, `EACCES`) when the address cannot be had. Port 0: any free one. */
  listen(host: string, port: number): Promise<{ readonly port: number }>;
  /** Stops accepting and waits for running requests. */
  close(): Promise<void>;
}

interface EndpointOptions<S> {
  /** Where the configuration wants it; null: it is off. */
  readonly wanted: (config: GatewayConfig) => NodeListen | null;
  readonly create: (config: GatewayConfig) => S;
  /** Hands what else the configuration says to a server that stays where it is. */
  readonly reconfigure: (server: S, config: GatewayConfig) => void;
}

/** A client that never finishes must not hold up the end of the gateway. */
const closeTimeoutMs = 2000;

/** A server of the main thread on its port: where config.yaml wants it, or off. */
export class ConfiguredEndpoint<S extends EndpointServer> {
  readonly #options: EndpointOptions<S>;
  #server: S | undefined;
  #bound: NodeListen | null = null;
  /** As configured: port 0 stays 0. */
  #wanted: NodeListen | null = null;

  constructor(options: EndpointOptions<S>) {
    this.#options = options;
  }

  /** Where it really listens, `null` when it is off. */
  get address(): NodeListen | null {
    return this.#bound;
  }

  /** Opens it where the configuration says, unless that turns it off. @throws ListenError */
  async open(config: GatewayConfig): Promise<void> {
    const wanted = this.#options.wanted(config);
    this.#wanted = wanted;
    if (!wanted) return;
    const server = this.#options.create(config);
    try {
      const { port } = await server.listen(wanted.ip, wanted.port);
      this.#server = server;
      this.#bound = { ip: wanted.ip, port };
    } catch (error) {
      // The next reload tries again.
      this.#wanted = null;
      await server.close();
      if (!(error instanceof Error && 'code' in error)) throw error;
      throw new ListenError(String(error.code), wanted, { cause: error });
    }
  }

  /** Takes over a new configuration for the next request on; another address is moved to. @throws ListenError */
  async reconfigure(config: GatewayConfig): Promise<void> {
    const wanted = this.#options.wanted(config);
    if (isSame(wanted, this.#wanted) || isSame(wanted, this.#bound)) {
      if (this.#server !== undefined) this.#options.reconfigure(this.#server, config);
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

function isSame(a: NodeListen | null, b: NodeListen | null): boolean {
  return a?.ip === b?.ip && a?.port === b?.port;
}
