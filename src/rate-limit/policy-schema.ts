import type { Infer } from '../schema/infer.ts';

/** Text that holds a port behind its last colon: `10.0.0.1:7000`, `[::1]:7000`. */
const hostAndPort = '^.+:[0-9]{1,5}$';

/**
 * JSON Schema of the fields that say where a rate limit keeps its counters, with the names, defaults and limits of
 * APISIX 3.18. Times are in ms. The plugins that limit have them among their `properties`.
 *
 * @see https://apisix.apache.org/docs/apisix/plugins/limit-count/
 */
export const policyFields = {
  policy: {
    type: 'string',
    enum: ['local', 'redis', 'redis-cluster', 'redis-sentinel'],
    default: 'local',
    description:
      'Where the counters are: in the memory of this gateway, shared by its workers, or in a Redis that several gateways share.',
  },
  allow_degradation: {
    type: 'boolean',
    default: false,
    description: 'true: requests pass without a limit while the counters cannot be reached. false: they get 500.',
  },
  redis_host: { type: 'string', minLength: 2, description: 'redis: the server. Required for it.' },
  redis_port: { type: 'integer', minimum: 1, maximum: 65535, default: 6379, description: 'redis: the port.' },
  redis_username: { type: 'string', minLength: 1, description: 'A user of the ACL. Not set: the default user.' },
  redis_password: { type: 'string', description: 'The password of the servers that hold the counters.' },
  redis_database: {
    type: 'integer',
    minimum: 0,
    default: 0,
    description: 'redis, redis-sentinel: the number of the database.',
  },
  redis_timeout: {
    type: 'integer',
    minimum: 1,
    default: 1000,
    description: 'redis, redis-cluster: what a request waits at most, a new connection included.',
  },
  redis_ssl: { type: 'boolean', default: false, description: 'redis, redis-sentinel: use TLS.' },
  redis_ssl_verify: {
    type: 'boolean',
    default: false,
    description: 'redis, redis-sentinel: verify the certificate of the server.',
  },
  redis_keepalive_timeout: {
    type: 'integer',
    minimum: 1000,
    default: 10000,
    description: 'A connection that was not used for so long is closed.',
  },
  redis_keepalive_pool: {
    type: 'integer',
    minimum: 1,
    default: 100,
    description: 'Accepted without effect: the requests of a worker share one connection to each server.',
  },
  redis_cluster_nodes: {
    type: 'array',
    minItems: 1,
    items: { type: 'string', minLength: 2, maxLength: 100, pattern: hostAndPort },
    description: 'redis-cluster: some nodes as host:port, which know the others. Required for it.',
  },
  redis_cluster_name: { type: 'string', description: 'redis-cluster: a name for the logs. Required for it.' },
  redis_cluster_ssl: { type: 'boolean', default: false, description: 'redis-cluster: use TLS.' },
  redis_cluster_ssl_verify: {
    type: 'boolean',
    default: false,
    description: 'redis-cluster: verify the certificates of the nodes.',
  },
  redis_sentinels: {
    type: 'array',
    minItems: 1,
    items: {
      type: 'object',
      properties: {
        host: { type: 'string', minLength: 2, description: 'Name or address.' },
        port: { type: 'integer', minimum: 1, maximum: 65535, description: 'Usually 26379.' },
      },
      required: ['host', 'port'],
    },
    description: 'redis-sentinel: the sentinels to ask for the server. Required for it.',
  },
  redis_master_name: {
    type: 'string',
    minLength: 1,
    description: 'redis-sentinel: the name under which the sentinels know the server. Required for it.',
  },
  redis_role: {
    type: 'string',
    enum: ['master', 'slave'],
    default: 'master',
    description: 'redis-sentinel: which server to use. A replica refuses to count unless it is writable.',
  },
  redis_connect_timeout: {
    type: 'integer',
    minimum: 1,
    default: 1000,
    description: 'redis-sentinel: for connecting to a sentinel or a server.',
  },
  redis_read_timeout: {
    type: 'integer',
    minimum: 1,
    default: 1000,
    description: 'redis-sentinel: what a request waits at most, a new connection included.',
  },
  sentinel_username: { type: 'string', minLength: 1, description: 'redis-sentinel: a user of the sentinels.' },
  sentinel_password: { type: 'string', description: 'redis-sentinel: the password of the sentinels.' },
} as const;

/** The fields among {@link policyFields} that are credentials: for `encrypt_fields`. */
export const policyCredentials = ['redis_password', 'sentinel_password'] as const;

/** A valid policy, defaults filled in. */
export type PolicyConf = Infer<{ readonly type: 'object'; readonly properties: typeof policyFields }>;

const requiredFields = {
  local: [],
  redis: ['redis_host'],
  'redis-cluster': ['redis_cluster_nodes', 'redis_cluster_name'],
  'redis-sentinel': ['redis_sentinels', 'redis_master_name'],
} as const satisfies Record<PolicyConf['policy'], readonly (keyof PolicyConf)[]>;

/**
 * What the schema cannot say: a policy needs its own fields.
 *
 * @returns One sentence that names the field; null if all is well.
 */
export function checkPolicy(conf: PolicyConf): string | null {
  const missing = requiredFields[conf.policy].find((name) => conf[name] === undefined);
  return missing === undefined ? null : `property "${missing}" is required when policy is "${conf.policy}"`;
}
