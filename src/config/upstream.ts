import type { Infer, JsonSchema } from '../schema/infer.ts';
import { hashKeyPatterns } from '../upstream/balancer/hash-key-pattern.ts';
import { type Checks, checkProbeRequest, checksSchema } from '../upstream/health/check-schema.ts';
import { checkPlainKeyPair } from './key-pair.ts';
import { commonFields, hostSchema, idSchema, pemSchema, timeoutSchema } from './resource-fields.ts';
import { defineResource } from './resource.ts';

const nodeSchema = {
  type: 'object',
  properties: {
    host: hostSchema,
    port: { type: 'integer', minimum: 1, maximum: 65535, description: 'Not set: that of the scheme, 80 or 443.' },
    weight: {
      type: 'integer',
      minimum: 0,
      description: 'Share of the requests among the nodes of one priority. 0: none while others have more.',
    },
    priority: {
      type: 'integer',
      default: 0,
      description: 'Nodes with a larger number are used first; others only when none of those can be.',
    },
    metadata: { type: 'object', description: 'For people; the gateway does not look at it.' },
  },
  required: ['host', 'weight'],
} as const satisfies JsonSchema;

const tlsSchema = {
  type: 'object',
  description: 'For the schemes with TLS.',
  properties: {
    client_cert: { ...pemSchema, description: 'Certificate that the gateway shows, in PEM format.' },
    client_key: { ...pemSchema, description: 'Its private key, in PEM format.' },
    client_cert_id: { ...idSchema, description: 'A resource `ssls` of the type client, in place of both.' },
    verify: { type: 'boolean', default: false, description: "Verify the upstream's certificate." },
  },
  dependencies: {
    client_cert: { required: ['client_key'], not: { required: ['client_cert_id'] } },
    client_key: { required: ['client_cert'], not: { required: ['client_cert_id'] } },
    client_cert_id: { not: { anyOf: [{ required: ['client_cert'] }, { required: ['client_key'] }] } },
  },
} as const satisfies JsonSchema;

const keepalivePoolSchema = {
  type: 'object',
  description: 'Idle connections that are kept.',
  properties: {
    size: { type: 'integer', minimum: 1, default: 320, description: 'How many, for each worker and node.' },
    idle_timeout: { type: 'number', minimum: 0, default: 60, description: 'Seconds that one is kept. 0: for good.' },
    requests: { type: 'integer', minimum: 1, default: 1000, description: 'Requests after which one is closed.' },
  },
} as const satisfies JsonSchema;

/** An upstream: a resource of its own, or inline in a route or service. */
export const upstreamSchema = {
  type: 'object',
  properties: {
    ...commonFields,
    nodes: {
      description: 'Where requests go: `{"host:port": weight}`, or a list.',
      anyOf: [
        {
          type: 'object',
          patternProperties: { '.*': { type: 'integer', minimum: 0, description: 'Weight of the node.' } },
        },
        { type: 'array', items: nodeSchema },
      ],
    },
    type: {
      type: 'string',
      enum: ['roundrobin', 'chash', 'least_conn', 'ewma'],
      default: 'roundrobin',
      description:
        'How a node is chosen. roundrobin: in turn, by weight. chash: equal keys go to the same node. least_conn: the one with the fewest requests under way. ewma: the one that answers fastest.',
    },
    hash_on: {
      type: 'string',
      enum: ['vars', 'header', 'cookie', 'consumer', 'vars_combinations'],
      default: 'vars',
      description: 'chash: where the key is taken from.',
    },
    key: { type: 'string', description: 'chash: name of the variable, header or cookie, or a text with variables.' },
    checks: checksSchema,
    retries: {
      type: 'integer',
      minimum: 0,
      description: 'How many other nodes are tried after a failure. Not set: all. 0: none.',
    },
    retry_timeout: {
      type: 'number',
      minimum: 0,
      description: 'Seconds from the first attempt on in which another one may begin. Not set or 0: no limit.',
    },
    timeout: timeoutSchema,
    scheme: {
      type: 'string',
      enum: ['http', 'https', 'grpc', 'grpcs', 'tcp', 'tls', 'udp', 'kafka'],
      default: 'http',
      description: 'How nodes are spoken to. Only http and https are supported.',
    },
    pass_host: {
      type: 'string',
      enum: ['pass', 'node', 'rewrite'],
      default: 'pass',
      description: "The Host header. pass: the client's. node: that of the node. rewrite: `upstream_host`.",
    },
    upstream_host: hostSchema,
    tls: tlsSchema,
    keepalive_pool: keepalivePoolSchema,
    service_name: { type: 'string', minLength: 1, maxLength: 256 },
    discovery_type: { type: 'string' },
    discovery_args: { type: 'object' },
  },
  oneOf: [{ required: ['nodes'] }, { required: ['service_name', 'discovery_type'] }],
  additionalProperties: false,
} as const satisfies JsonSchema;

/** An upstream as workers get it: checked, with the defaults filled in. */
export type Upstream = Infer<typeof upstreamSchema>;

/** Where the id of a client certificate stands in a resource that has the upstream at `path`. */
export function clientCertificateReference(path: string): { field: string; kind: string; name: string } {
  return { field: `${path}tls.client_cert_id`, kind: 'ssls', name: 'ssl' };
}

/** Servers that answer ordinary requests, and how they are spoken to. */
export const upstream = defineResource({
  kind: 'upstreams',
  name: 'upstream',
  schema: upstreamSchema,
  references: [clientCertificateReference('')],
  checkRules: checkUpstream,
});

/**
 * What the schema cannot say about an upstream, inline or on its own.
 *
 * @param conf - Fits {@link upstreamSchema}.
 * @returns `null`, or the `error_msg` of the Admin API.
 */
export function checkUpstream(conf: Readonly<Record<string, unknown>>): string | null {
  const upstream = conf as Partial<Upstream>;
  const wrong =
    checkSupport(upstream) ??
    checkNodes(upstream.nodes) ??
    checkHash(upstream) ??
    checkHost(upstream) ??
    checkTls(upstream.tls) ??
    checkHealth(upstream.checks);
  return wrong === null ? null : `invalid configuration: ${wrong}`;
}

function checkSupport({ discovery_type, scheme = 'http' }: Partial<Upstream>): string | null {
  if (discovery_type !== undefined) {
    return 'the property "discovery_type" is not supported: Weir has no service discovery; use nodes, with a DNS name for a changing set';
  }
  if (scheme === 'http' || scheme === 'https') return null;
  return `the scheme "${scheme}" is not supported: expected http or https`;
}

const nodeName = /^(?:[0-9a-zA-Z-._]+|\[[0-9a-fA-F:.]+\])(?::(\d{1,5}))?$/;

/** `{"host:port": weight}`: the schema sees nothing of the names. */
function checkNodes(nodes: Upstream['nodes']): string | null {
  if (nodes === undefined || Array.isArray(nodes)) return null;
  for (const name of Object.keys(nodes)) {
    const [matched, port = '80'] = nodeName.exec(name) ?? [];
    if (matched === undefined || Number(port) < 1 || Number(port) > 65535) {
      return `property "nodes" validation failed: expected "host:port" as the name of a node, got ${JSON.stringify(name.replace(/^.*@/s, '***@'))}`;
    }
  }
  return null;
}

function checkHash({ type, hash_on: hashOn = 'vars', key }: Partial<Upstream>): string | null {
  if (type !== 'chash' || hashOn === 'consumer') return null;
  if (key === undefined) return 'missing key';
  const pattern = hashKeyPatterns[hashOn];
  if (pattern === undefined || new RegExp(pattern).test(key)) return null;
  return `failed to match pattern ${JSON.stringify(pattern)} with ${JSON.stringify(key)}`;
}

function checkHost({ pass_host: passHost, upstream_host: host }: Partial<Upstream>): string | null {
  if (passHost !== 'rewrite' || host !== undefined) return null;
  return "`upstream_host` can't be empty when `pass_host` is `rewrite`";
}

function checkTls(tls: Upstream['tls']): string | null {
  if (tls?.client_cert === undefined || tls.client_key === undefined) return null;
  const wrong = checkPlainKeyPair({ cert: tls.client_cert, key: tls.client_key });
  return wrong === null ? null : `property "tls" validation failed: ${wrong}`;
}

function checkHealth(checks: unknown): string | null {
  if (checks === undefined) return null;
  // Defaults may still be missing, and one of them is looked at.
  const { active, ...rest } = checks as Checks;
  return checkProbeRequest({ ...rest, active: { ...active, http_path: active.http_path ?? '/' } }, () => false);
}
