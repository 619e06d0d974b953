import { createSecureContext, type ConnectionOptions } from 'node:tls';
import type { Cluster, ClusterOptions, Redis, RedisOptions } from 'ioredis';
import { longestTimerMs } from '../base/longest-timer.ts';
import { trustedCertificates } from '../upstream/tls-client.ts';
import type { PolicyConf } from './policy-schema.ts';

/** A connection to a Redis, or several to a cluster of them. Goes on trying to connect until it is told to disconnect. */
export interface RedisClient {
  readonly commands: Redis | Cluster;
  /** The server that has a key, '' for the only one: what fails there says nothing about the others. */
  serverOf(key: string): string;
  /** Makes sure that a new connection leads to the database that is configured. Rejects if it does not. */
  selectDatabase(): Promise<unknown>;
}

/** The Redis policies, what they connect to, and how long that may take. */
export interface RedisServer {
  /** For logs and errors: without credentials. */
  readonly name: string;
  /** What a request waits at most. */
  readonly timeoutMs: number;
  /** A connection that was not used for so long is closed. */
  readonly idleMs: number;
  /** Begins to connect. */
  connect(): Promise<RedisClient>;
}

// Without the one member whose type the library's constructors declare in another way.
type ServerOptions = Omit<RedisOptions, 'replyMapping'>;
type NodeOptions = Omit<NonNullable<ClusterOptions['redisOptions']>, 'replyMapping'>;
type NodesOptions = Omit<ClusterOptions, 'redisOptions'> & { readonly redisOptions: NodeOptions };

interface Node {
  readonly host: string;
  readonly port: number;
}

/** Longest pause between attempts to connect: a server that is back is found within that time. */
const longestRetryDelayMs = 500;
/** After so long without an answer a connection counts as dead, whatever TCP thinks of it. */
const minDeadAfterMs = 2000;
const clusterSlotsRefreshMs = 2000;

/** Reads further certificate authorities, as PEM, when a connection needs them. */
export type ReadTrustedCa = () => string | undefined;

/**
 * Reads where the Redis is.
 *
 * @param conf - Its policy is not `local`, and it has passed `checkPolicy`.
 */
export function redisServer(conf: PolicyConf, trustedCa: ReadTrustedCa): RedisServer {
  // Now, rather than while a request waits. Should it fail, connecting tells.
  library().catch(() => {});
  const idleMs = Math.min(conf.redis_keepalive_timeout, longestTimerMs);
  switch (conf.policy) {
    case 'local':
      throw new Error('the policy local has no Redis');
    case 'redis':
      return {
        name: `redis://${conf.redis_host}:${conf.redis_port}/${conf.redis_database}`,
        timeoutMs: Math.min(conf.redis_timeout, longestTimerMs),
        idleMs,
        connect: () => connectToOne(singleOptions(conf, trustedCa), conf.redis_database),
      };
    case 'redis-cluster':
      return {
        name: `redis-cluster ${conf.redis_cluster_name}`,
        timeoutMs: Math.min(conf.redis_timeout, longestTimerMs),
        idleMs,
        connect: () =>
          connectToCluster((conf.redis_cluster_nodes ?? []).map(parseNode), clusterOptions(conf, trustedCa)),
      };
    case 'redis-sentinel':
      return {
        name: `redis-sentinel ${conf.redis_master_name}`,
        timeoutMs: Math.min(conf.redis_read_timeout, longestTimerMs),
        idleMs,
        connect: () => connectToOne(sentinelOptions(conf, trustedCa), conf.redis_database),
      };
  }
}

/** Loaded with the first configuration that needs it: it costs 70 ms, which a gateway without Redis need not spend. */
function library() {
  return import('ioredis');
}

async function connectToOne(options: ServerOptions, database: number): Promise<RedisClient> {
  const { Redis } = await library();
  const redis = new Redis({ ...options, db: database });
  return {
    commands: redis,
    serverOf: () => '',
    // The library does so as well, but goes on in database 0 where that is refused.
    selectDatabase: async () => (database === 0 ? undefined : redis.select(database)),
  };
}

async function connectToCluster(nodes: readonly Node[], options: NodesOptions): Promise<RedisClient> {
  const { Cluster, Command } = await library();
  const cluster = new Cluster([...nodes], options);
  return {
    commands: cluster,
    serverOf: (key) => cluster.slots[new Command('get', [key]).getSlot()]?.[0] ?? '',
    // A cluster has but one.
    selectDatabase: async () => {},
  };
}

function commonOptions(conf: PolicyConf, timeoutMs: number): ServerOptions {
  return {
    ...(conf.redis_username !== undefined && { username: conf.redis_username }),
    // An empty password is none: that is how an unset variable is passed on.
    ...(conf.redis_password && { password: conf.redis_password }),
    protocol: 2,
    disableClientInfo: true,
    connectTimeout: timeoutMs,
    socketTimeout: Math.min(Math.max(2 * timeoutMs, minDeadAfterMs), longestTimerMs),
    disconnectTimeout: 100,
    // A command is sent once, over a connection that is there. One whose answer is lost may have been counted.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: retryDelayMs,
  };
}

function singleOptions(conf: PolicyConf, trustedCa: ReadTrustedCa): ServerOptions {
  return {
    ...commonOptions(conf, conf.redis_timeout),
    ...tlsOptions(conf.redis_ssl, conf.redis_ssl_verify, trustedCa),
    host: conf.redis_host ?? '',
    port: conf.redis_port,
  };
}

function clusterOptions(conf: PolicyConf, trustedCa: ReadTrustedCa): NodesOptions {
  const {
    retryStrategy: _ownStrategy,
    enableOfflineQueue: _ownQueue,
    ...node
  } = commonOptions(conf, conf.redis_timeout);
  return {
    redisOptions: { ...node, ...tlsOptions(conf.redis_cluster_ssl, conf.redis_cluster_ssl_verify, trustedCa) },
    clusterRetryStrategy: retryDelayMs,
    retryDelayOnFailover: 0,
    slotsRefreshInterval: clusterSlotsRefreshMs,
    slotsRefreshTimeout: conf.redis_timeout,
    // Names stay names, so that certificates can be verified.
    dnsLookup: (address, callback) => callback(null, address),
  };
}

function sentinelOptions(conf: PolicyConf, trustedCa: ReadTrustedCa): ServerOptions {
  return {
    ...commonOptions(conf, conf.redis_read_timeout),
    ...tlsOptions(conf.redis_ssl, conf.redis_ssl_verify, trustedCa),
    enableTLSForSentinelMode: conf.redis_ssl,
    connectTimeout: conf.redis_connect_timeout,
    sentinelCommandTimeout: conf.redis_read_timeout,
    sentinels: (conf.redis_sentinels ?? []).map(({ host, port }) => ({ host, port })),
    sentinelRetryStrategy: retryDelayMs,
    ...(conf.sentinel_username !== undefined && { sentinelUsername: conf.sentinel_username }),
    ...(conf.sentinel_password && { sentinelPassword: conf.sentinel_password }),
    name: conf.redis_master_name ?? '',
    role: conf.redis_role,
    // It has become a replica: the sentinels know who is the master now.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  };
}

function tlsOptions(
  use: boolean,
  verify: boolean,
  trustedCa: ReadTrustedCa,
): { readonly tls: ConnectionOptions } | undefined {
  if (!use) return undefined;
  // Made once: reading the authorities takes long, and attempts to connect are many while a server is away.
  const secureContext = createSecureContext(verify ? { ca: trustedCertificates(trustedCa()) } : { ca: [] });
  return { tls: { secureContext, rejectUnauthorized: verify } };
}

function retryDelayMs(attempts: number): number {
  return Math.min(25 * 2 ** attempts, longestRetryDelayMs);
}

/** `host:port`, as the schema demands; brackets around an IPv6 address go. */
function parseNode(node: string): Node {
  const colon = node.lastIndexOf(':');
  return { host: node.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(node.slice(colon + 1)) };
}
