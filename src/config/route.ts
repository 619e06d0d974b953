import type { Infer, JsonSchema } from '../schema/infer.ts';
import { defineResource } from './resource.ts';
import { addressSchema, commonFields, hostSchema, idSchema, pluginsSchema, timeoutSchema } from './resource-fields.ts';
import { checkUpstream, clientCertificateReference, upstreamSchema } from './upstream.ts';

/** At most one of the two, given or absent. */
function atMostOne(one: string, other: string): JsonSchema {
  return {
    oneOf: [
      { not: { anyOf: [{ required: [one] }, { required: [other] }] } },
      { required: [one] },
      { required: [other] },
    ],
  };
}

const routeSchema = {
  type: 'object',
  properties: {
    ...commonFields,
    uri: {
      type: 'string',
      description: 'Path to match: exact, with a `*` at the end for a prefix, or with parameters: `/blog/:name`.',
      minLength: 1,
      maxLength: 4096,
    },
    uris: {
      type: 'array',
      description: 'Paths to match, instead of `uri`.',
      items: { type: 'string', minLength: 1, maxLength: 4096 },
      minItems: 1,
      uniqueItems: true,
    },
    priority: {
      type: 'integer',
      description: 'Of several routes with the same path the one with the larger number is tried first.',
      default: 0,
    },
    methods: {
      type: 'array',
      description: 'HTTP methods to match. Absent or empty: all.',
      items: {
        type: 'string',
        enum: ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'CONNECT', 'TRACE', 'PURGE'],
      },
      uniqueItems: true,
    },
    host: hostSchema,
    hosts: { type: 'array', items: hostSchema, minItems: 1, uniqueItems: true },
    remote_addr: addressSchema,
    remote_addrs: { type: 'array', items: addressSchema, minItems: 1, uniqueItems: true },
    timeout: timeoutSchema,
    vars: { type: 'array', description: 'Conditions on variables of the request: `["post_arg.model","==","gpt-4o"]`.' },
    filter_func: { type: 'string', minLength: 10, pattern: '^function' },
    script: { type: 'string', minLength: 10, maxLength: 102400 },
    script_id: idSchema,
    plugins: pluginsSchema,
    plugin_config_id: idSchema,
    upstream: upstreamSchema,
    upstream_id: idSchema,
    service_id: idSchema,
    enable_websocket: { type: 'boolean', description: 'Let clients upgrade to WebSocket.' },
    status: { type: 'integer', description: '1: the route serves. 0: it is switched off.', enum: [1, 0], default: 1 },
  },
  allOf: [
    { oneOf: [{ required: ['uri'] }, { required: ['uris'] }] },
    atMostOne('host', 'hosts'),
    atMostOne('remote_addr', 'remote_addrs'),
  ],
  anyOf: ['uri', 'uris'].flatMap((path) =>
    ['plugins', 'upstream', 'upstream_id', 'service_id', 'script'].map((target) => ({ required: [target, path] })),
  ),
  not: { anyOf: [{ required: ['script', 'plugins'] }, { required: ['script', 'plugin_config_id'] }] },
  additionalProperties: false,
} as const satisfies JsonSchema;

/** A route as workers get it: checked, with the defaults filled in. */
export type Route = Infer<typeof routeSchema>;

/** Fields that APISIX accepts and Weir cannot honour, with what to do instead. */
const unsupported: Readonly<Record<string, string>> = {
  script: 'Weir runs no Lua code; use plugins',
  script_id: 'Weir runs no Lua code; use plugins',
  filter_func: 'Weir runs no Lua code; use vars',
};

/** What a request must look like, and which plugins then handle it. */
export const route = defineResource({
  kind: 'routes',
  name: 'route',
  schema: routeSchema,
  filterFields: ['service_id', 'upstream_id', 'plugin_config_id'],
  exclusive: [
    ['host', 'hosts'],
    ['remote_addr', 'remote_addrs'],
  ],
  references: [
    { field: 'upstream_id', kind: 'upstreams', name: 'upstream' },
    { field: 'service_id', kind: 'services', name: 'service' },
    { field: 'plugin_config_id', kind: 'plugin_configs', name: 'plugin config' },
    clientCertificateReference('upstream.'),
  ],
  checkRules(conf, { checkVars }) {
    const wrong = conf['vars'] === undefined ? null : checkVars(conf['vars']);
    if (wrong !== null) return `failed to validate the 'vars' expression: ${wrong}`;
    for (const [field, reason] of Object.entries(unsupported)) {
      if (conf[field] !== undefined) return `the property "${field}" is not supported: ${reason}`;
    }
    const { upstream } = conf;
    return upstream === undefined ? null : checkUpstream(upstream as Readonly<Record<string, unknown>>);
  },
});
