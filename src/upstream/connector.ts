import type { LookupAddress } from 'node:dns';
import type { Socket } from 'node:net';
import { WeirError, type ErrorCode } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { ClientCertificate } from './client-certificate.ts';
import { parseConnectTo, type Destination } from './connect-to.ts';
import { describeFailures, raceToConnect, startAnywhere, type RaceResult } from './happy-eyeballs.ts';
import { mayUse, type AddressHealth } from './health/target-health.ts';
import { hostPort, type Origin } from './origin.ts';
import type { Resolver } from './resolver.ts';
import { createTlsClient, type HandshakeFailure, type TlsClient } from './tls-client.ts';

export interface ConnectorOptions {
  readonly resolver: Resolver;
  /** `weir.connect_to`: `host:port` in lower case -> the `host:port` to connect to instead. */
  readonly connectTo: ReadonlyMap<string, string>;
  /** PEM of authorities that are trusted beside those of Node and of the operating system. */
  readonly trustedCa?: string;
  readonly log: Log;
  /** From 0 up to 1: where among the addresses of a name a connection begins. Default: that of the system. */
  readonly random?: () => number;
}

export interface ConnectOptions {
  readonly origin: Origin;
  /** For name, TCP and TLS together, above 0. */
  readonly timeoutMs: number;
  /** False accepts any certificate. */
  readonly verifyTls: boolean;
  /** The name for SNI and the check of the certificate, default: the origin's host. */
  readonly servername?: string;
  /** Default: none is shown. */
  readonly clientCertificate?: ClientCertificate;
  /** Keeps the connection from addresses that are unhealthy, as long as others are not. */
  readonly health?: AddressHealth;
}

/** What is known about the connection, also when it failed. */
export interface ConnectDetails {
  /** `1.2.3.4:443` or `[::1]:443`; after a failure all addresses that were tried, joined by `, ` as nginx does, or empty. */
  readonly address: string;
  /** Time for name, TCP and TLS together. */
  readonly connectMs: number;
}

/** Gets either an error or a socket. */
export type ConnectDone = (error: WeirError | null, socket: Socket | null, details: ConnectDetails) => void;

export interface Connector {
  /**
   * Opens a connection to an origin.
   *
   * The socket is connected (https: through TLS, and authorised unless `verifyTls` is false), has TCP_NODELAY and keep-alive probes on and
   * nothing was read from it; from then on its errors belong to the caller. Errors: `UPSTREAM_DNS`, `UPSTREAM_CONNECT`,
   * `UPSTREAM_CONNECT_TIMEOUT`, `UPSTREAM_TLS`.
   *
   * @param done - Called once, never before this function has returned.
   * @returns Gives the attempt up: everything is closed and `done` is never called. No effect after `done`.
   */
  connect(options: ConnectOptions, done: ConnectDone): () => void;
}

interface ConnectorParts {
  readonly resolver: Resolver;
  readonly destinations: ReadonlyMap<string, Destination>;
  readonly tls: TlsClient;
  readonly log: Log;
  readonly random: () => number;
}

/** @throws {TypeError} when `connectTo` or `trustedCa` cannot be read; the message names the setting. */
export function createConnector(options: ConnectorOptions): Connector {
  const { resolver, connectTo, trustedCa, log, random = Math.random } = options;
  const parts = { resolver, destinations: parseConnectTo(connectTo), tls: createTlsClient(trustedCa), log, random };
  return {
    connect(options, done) {
      const attempt = new ConnectAttempt(parts, options, done);
      attempt.start();
      return () => attempt.cancel();
    },
  };
}

/** One way from a name to a usable socket: resolve -> race to connect -> TLS, under one clock. */
class ConnectAttempt {
  readonly #parts: ConnectorParts;
  readonly #options: ConnectOptions;
  readonly #done: ConnectDone;
  /** The origin as `host:port`, for messages; connect_to does not change it. */
  readonly #name: string;
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  #settled = false;
  /** Closes what the current stage has open. */
  #stop: () => void = () => {};
  #stage = 'while resolving';
  #tried: readonly string[] = [];

  constructor(parts: ConnectorParts, options: ConnectOptions, done: ConnectDone) {
    this.#parts = parts;
    this.#options = options;
    this.#done = done;
    this.#name = hostPort(options.origin.host.toLowerCase(), options.origin.port);
    this.#timer = setTimeout(() => this.#onTimeout(), options.timeoutMs);
  }

  start(): void {
    const { host, port } = this.#parts.destinations.get(this.#name) ?? this.#options.origin;
    this.#parts.resolver.resolve(host.toLowerCase()).then(
      (addresses) => this.#connect(addresses, port),
      (error: unknown) => this.#fail('UPSTREAM_DNS', `${host}: ${describeLookupError(error)}`, error),
    );
  }

  cancel(): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#stop();
  }

  #connect(addresses: readonly LookupAddress[], port: number): void {
    if (this.#settled) return;
    const order = startAnywhere(this.#fit(addresses), this.#parts.random());
    const race = raceToConnect(order, port, (result) => this.#onRaceDone(result));
    this.#stop = () => race.cancel();
    this.#tried = race.tried;
    this.#stage = 'while connecting to';
  }

  #fit(addresses: readonly LookupAddress[]): readonly LookupAddress[] {
    const { health } = this.#options;
    if (health === undefined) return addresses;
    const fit = addresses.filter(({ address }) => mayUse(health, address));
    return fit.length > 0 ? fit : addresses;
  }

  #onRaceDone({ socket, address, failures }: RaceResult): void {
    if (socket === null) {
      this.#onUnreachable(failures);
      return;
    }
    if (failures.length > 0) {
      this.#parts.log.info(`${this.#name}: connected to ${address} after ${describeFailures(failures)}`);
    }
    this.#tried = [address];
    if (this.#options.origin.scheme === 'http') {
      this.#succeed(socket);
      return;
    }
    this.#stage = 'in the TLS handshake with';
    const { origin, servername = origin.host, verifyTls, clientCertificate } = this.#options;
    // The dot that ends an absolute name belongs to DNS: RFC 6066 section 3 excludes it from SNI.
    const name = servername.toLowerCase().replace(/\.$/, '');
    const handshake = { name, port: origin.port, verify: verifyTls, ...(clientCertificate && { clientCertificate }) };
    try {
      this.#stop = this.#parts.tls.handshake(socket, handshake, (failure, tlsSocket) => {
        if (failure === null) this.#succeed(tlsSocket);
        else this.#onHandshakeFailure(failure);
      });
    } catch (error) {
      // OpenSSL does not take the client certificate. It was checked when it was configured, perhaps by another version.
      socket.destroy();
      this.#fail('UPSTREAM_TLS', `${this.#name}: the client certificate cannot be used`, error);
    }
  }

  #onUnreachable(failures: RaceResult['failures']): void {
    const [first] = failures;
    const cause = failures.length === 1 ? first?.error : new AggregateError(failures.map(({ error }) => error));
    // The kernel's own limit, about two minutes, is a timeout as much as ours.
    const timedOut = failures.every(({ error }) => error.code === 'ETIMEDOUT');
    this.#fail(timedOut ? 'UPSTREAM_CONNECT_TIMEOUT' : 'UPSTREAM_CONNECT', describeFailures(failures), cause);
  }

  #onHandshakeFailure({ message, cause }: HandshakeFailure): void {
    this.#fail('UPSTREAM_TLS', `${this.#name}: ${message}`, cause);
  }

  #onTimeout(): void {
    this.#stop();
    const where = [this.#stage, this.#tried.join(', ')].join(' ').trim();
    this.#fail('UPSTREAM_CONNECT_TIMEOUT', `${this.#name} after ${this.#options.timeoutMs} ms (${where})`);
  }

  #succeed(socket: Socket): void {
    this.#settle(null, socket);
  }

  #fail(code: ErrorCode, text: string, cause?: unknown): void {
    this.#settle(new WeirError(code, [text], cause === undefined ? undefined : { cause }), null);
  }

  #settle(error: WeirError | null, socket: Socket | null): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#done(error, socket, { address: this.#tried.join(', '), connectMs: performance.now() - this.#startedAt });
  }
}

/** Why a name has no address, in words. */
export function describeLookupError(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOTFOUND' || code === 'ENODATA') return 'no such host';
  if (code === 'EAI_AGAIN') return 'the name server does not answer (EAI_AGAIN)';
  return String(code ?? error);
}
