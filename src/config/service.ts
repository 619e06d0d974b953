import type { Infer, JsonSchema } from '../schema/infer.ts';
import { commonFields, hostSchema, idSchema, pluginsSchema } from './resource-fields.ts';
import { defineResource } from './resource.ts';
import { checkUpstream, clientCertificateReference, upstreamSchema } from './upstream.ts';

const serviceSchema = {
  type: 'object',
  properties: {
    ...commonFields,
    plugins: pluginsSchema,
    upstream: upstreamSchema,
    upstream_id: idSchema,
    hosts: {
      type: 'array',
      description: 'Hosts to match, for routes without hosts of their own.',
      items: hostSchema,
      minItems: 1,
      uniqueItems: true,
    },
    enable_websocket: { type: 'boolean', description: 'Let routes of this service upgrade to WebSocket.' },
    script: { type: 'string', minLength: 10, maxLength: 102400 },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

/** A service as workers get it: checked, with the defaults filled in. */
export type Service = Infer<typeof serviceSchema>;

/** What several routes have in common. */
export const service = defineResource({
  kind: 'services',
  name: 'service',
  schema: serviceSchema,
  filterFields: ['upstream_id'],
  inUse: 'can not delete this service directly',
  references: [{ field: 'upstream_id', kind: 'upstreams', name: 'upstream' }, clientCertificateReference('upstream.')],
  checkRules({ script, upstream }) {
    if (script !== undefined) return 'the property "script" is not supported: Weir runs no Lua code; use plugins';
    return upstream === undefined ? null : checkUpstream(upstream as Readonly<Record<string, unknown>>);
  },
});
