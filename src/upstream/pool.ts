import type { Socket } from 'node:net';
import type { WeirError } from '../base/errors.ts';
import type { Deadlines } from '../http/deadlines.ts';
import type { ResponseHead } from '../http/response-head.ts';
import {
  UpstreamConnection,
  type ConnectionOwner,
  type PoolUse,
  type ResponseHandler,
  type WireRequest,
} from './connection.ts';
import type { ClientCertificate } from './client-certificate.ts';
import type { Connector } from './connector.ts';
import { mayUse } from './health/target-health.ts';
import { hostOf, originKey, type Origin } from './origin.ts';

/** Where requests go and how connections to there are made; connections with equal settings are shared. */
export interface PoolKey {
  readonly origin: Origin;
  readonly verifyTls: boolean;
  /** The name for SNI and the certificate. Default: the origin's host. */
  readonly servername?: string;
  /** What the gateway shows of itself in TLS. Default: nothing. */
  readonly clientCertificate?: ClientCertificate;
}

// A connection pins an address; a name that moves is followed at the latest after this long.
const defaultLifetimeMs = 5 * 60_000;

// A close that crossed our request on its way is here within a round trip. Later the upstream has begun to work on the
// request, and would do so, and bill, a second time.
const staleWindowMs = 1000;

const maxNamedPools = 1000;

/** The parts of a worker that its pools share. */
interface PoolParts {
  readonly connector: Connector;
  readonly deadlines: Deadlines;
  /** A connection older than this is not used for another request. Default 5 minutes. */
  readonly maxLifetimeMs?: number;
}

/** Keep-alive connections of one worker to one origin. */
export class Pool implements ConnectionOwner {
  readonly key: PoolKey;
  readonly connector: Connector;
  readonly #deadlines: Deadlines;
  readonly #maxLifetimeMs: number;
  #closed = false;
  // Last in, first out: the warmest connection is used first and the surplus ages out.
  #idle: UpstreamConnection[] = [];

  constructor(key: PoolKey, { connector, deadlines, maxLifetimeMs = defaultLifetimeMs }: PoolParts) {
    this.key = key;
    this.connector = connector;
    this.#deadlines = deadlines;
    this.#maxLifetimeMs = maxLifetimeMs;
  }

  /** Nothing keeps connections here any more: whoever holds on to this pool does better to ask for it anew. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Sends a request. `handler` is never called before this has returned. */
  call(request: WireRequest, use: PoolUse, handler: ResponseHandler): UpstreamCall {
    return new UpstreamCall(this, { request, use, handler });
  }

  takeIdle({ health }: PoolUse): UpstreamConnection | null {
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (connection.dead) continue;
      if (health === undefined || mayUse(health, hostOf(connection.address))) return connection;
      connection.destroy();
    }
    return null;
  }

  adopt(socket: Socket, address: string): UpstreamConnection {
    return new UpstreamConnection(socket, { address, owner: this, deadlines: this.#deadlines });
  }

  onIdle(connection: UpstreamConnection, use: PoolUse): void {
    const { maxRequests = Infinity } = use;
    const isSpent =
      performance.now() - connection.openedAt > this.#maxLifetimeMs || connection.requestCount >= maxRequests;
    if (this.#closed || !use.keepAlive || isSpent || this.#idle.length >= use.maxIdle) {
      connection.destroy();
      return;
    }
    connection.expireAfter(use.idleTimeoutMs);
    this.#idle.push(connection);
  }

  onGone(connection: UpstreamConnection): void {
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
  }

  /** Closes the idle connections; running ones end with their answer. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }
}

/** All pools of a worker. They outlive configuration changes, so that an edit of a route drops no warm connection. */
export class Pools {
  readonly #parts: PoolParts;
  readonly #pools = new Map<string, Pool>();
  /** The least recently made one first. */
  readonly #named = new Map<string, Pool>();

  constructor(parts: PoolParts) {
    this.#parts = parts;
  }

  /** The pool of this key, made at first use. Looked up when configuration is compiled, not per request. */
  get(key: PoolKey): Pool {
    const name = nameOf(key);
    let pool = this.#pools.get(name);
    if (pool === undefined) {
      pool = new Pool(key, this.#parts);
      this.#pools.set(name, pool);
    }
    return pool;
  }

  /** Like {@link get}, where clients choose the `servername`: of those pools only so many are remembered. */
  getNamed(key: PoolKey): Pool {
    const name = nameOf(key);
    let pool = this.#named.get(name);
    if (pool !== undefined) return pool;
    pool = new Pool(key, this.#parts);
    this.#named.set(name, pool);
    for (const [oldest, surplus] of this.#named) {
      if (this.#named.size <= maxNamedPools) break;
      this.#named.delete(oldest);
      surplus.close();
    }
    return pool;
  }

  /** Closes all idle connections. */
  close(): void {
    for (const pool of [...this.#pools.values(), ...this.#named.values()]) pool.close();
  }
}

function nameOf({ origin, verifyTls, servername = '', clientCertificate }: PoolKey): string {
  return `${originKey(origin)} ${verifyTls ? 'verified' : 'unverified'} ${servername} ${clientCertificate?.id ?? ''}`;
}

/** One request on its way: connects if needed, and sends again once if a reused connection turned out to be dead. */
export class UpstreamCall implements ResponseHandler {
  /** `ip:port` of the connection, '' until there is one. */
  address = '';
  /** 0 when a kept connection was used. */
  connectMs = 0;
  reused = false;

  #pool: Pool;
  #request: WireRequest;
  #use: PoolUse;
  #handler: ResponseHandler;
  #connection: UpstreamConnection | null = null;
  #cancelConnect: (() => void) | null = null;
  #aborted = false;

  constructor(pool: Pool, options: { request: WireRequest; use: PoolUse; handler: ResponseHandler }) {
    this.#pool = pool;
    this.#request = options.request;
    this.#use = options.use;
    this.#handler = options.handler;
    // An idle connection may turn out to be dead, and a body that is not in memory cannot be sent again.
    const idle = options.request.source === undefined ? pool.takeIdle(options.use) : null;
    if (idle === null) this.#connect();
    else this.#send(idle);
  }

  /** Closes the connection at once; the handler hears nothing more. */
  abort(): void {
    this.#aborted = true;
    this.#cancelConnect?.();
    this.#connection?.destroy();
  }

  pause(): void {
    this.#connection?.pause();
  }

  resume(): void {
    this.#connection?.resume();
  }

  #connect(): void {
    const { timeoutMs, connectTimeoutMs = timeoutMs, health } = this.#use;
    this.#cancelConnect = this.#pool.connector.connect(
      { ...this.#pool.key, timeoutMs: connectTimeoutMs, ...(health && { health }) },
      (error, socket, details) => {
        this.#cancelConnect = null;
        this.address = details.address;
        this.connectMs = details.connectMs;
        if (socket !== null) this.#send(this.#pool.adopt(socket, details.address));
        else if (error !== null) this.#handler.onError(error);
      },
    );
  }

  #send(connection: UpstreamConnection): void {
    this.#connection = connection;
    this.address = connection.address;
    this.reused = connection.requestCount > 0;
    connection.send(this.#request, this.#use, this);
  }

  onHead(head: ResponseHead): void {
    this.#handler.onHead(head);
  }

  onData(bytes: Buffer): void {
    this.#handler.onData(bytes);
  }

  onReadEnd(): void {
    this.#handler.onReadEnd();
  }

  onEnd(): void {
    this.#connection = null;
    this.#handler.onEnd();
  }

  onError(error: WeirError): void {
    const connection = this.#connection;
    this.#connection = null;
    if (this.#aborted) return;
    const wasStale =
      this.reused &&
      this.#request.isRepeatable !== false &&
      error.code === 'UPSTREAM_RESET' &&
      connection?.answerStarted === false &&
      connection.waitedMs < staleWindowMs;
    if (wasStale) this.#connect();
    else this.#handler.onError(error);
  }
}
