import type { RequestContext } from '../pipeline/context.ts';
import { definePlugin } from '../pipeline/define-plugin.ts';
import { jsonReply, type Reply } from '../pipeline/reply.ts';

const listed = { type: 'array', minItems: 1, items: { type: 'string' } } as const;

/** What a request is judged by; undefined or '': it has no such thing. */
const readers = {
  consumer_name: (ctx: RequestContext) => ctx.consumer?.name,
  consumer_group_id: (ctx: RequestContext) => ctx.consumer?.groupId,
  service_id: (ctx: RequestContext) => ctx.route?.serviceId,
  route_id: (ctx: RequestContext) => ctx.route?.id,
} as const;

/**
 * Lets only some consumers in.
 *
 * @see https://apisix.apache.org/docs/apisix/plugins/consumer-restriction/
 */
export const consumerRestriction = definePlugin({
  name: 'consumer-restriction',
  priority: 2400,
  version: 0.1,
  summary: 'Lets in or refuses consumers by name, group, route or service.',
  schema: {
    type: 'object',
    properties: {
      type: {
        type: 'string',
        enum: ['consumer_name', 'service_id', 'route_id', 'consumer_group_id'],
        default: 'consumer_name',
        description: 'What the lists hold.',
      },
      whitelist: { ...listed, description: 'Only these are let in.' },
      blacklist: { ...listed, description: 'These are refused, also those of the `whitelist`.' },
      allowed_by_methods: {
        type: 'array',
        description:
          'Methods that a consumer may use; who is not named may use all. Without effect beside a `whitelist`.',
        items: {
          type: 'object',
          properties: {
            user: { type: 'string', description: 'What the field `type` says: by default the name of a consumer.' },
            methods: {
              type: 'array',
              minItems: 1,
              description: 'The methods.',
              items: {
                type: 'string',
                enum: ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'CONNECT', 'TRACE', 'PURGE'],
              },
            },
          },
        },
      },
      rejected_code: {
        type: 'integer',
        minimum: 200,
        maximum: 599,
        default: 403,
        description: 'Status of requests that are refused.',
      },
      rejected_msg: { type: 'string', description: 'Their body becomes `{"message":"..."}` with this text.' },
    },
    anyOf: [{ required: ['blacklist'] }, { required: ['whitelist'] }, { required: ['allowed_by_methods'] }],
  },
  create(conf) {
    const { type, rejected_code, rejected_msg = `The ${type} is forbidden.` } = conf;
    const blacklist = new Set(conf.blacklist);
    const whitelist = conf.whitelist === undefined ? null : new Set(conf.whitelist);
    const methods = new Map<string, ReadonlySet<string>>();
    for (const { user, methods: allowed = [] } of conf.allowed_by_methods ?? []) {
      if (user !== undefined && !methods.has(user)) methods.set(user, new Set(allowed));
    }

    function isAllowed(value: string, method: string): boolean {
      if (blacklist.has(value)) return false;
      if (whitelist !== null) return whitelist.has(value);
      return methods.get(value)?.has(method) ?? true;
    }

    return {
      access(ctx) {
        const value = readers[type](ctx);
        if (value === undefined || value === '') {
          return reject(ctx, 401, `The request is rejected, please check the ${type} for this request`);
        }
        return isAllowed(value, ctx.method) ? undefined : reject(ctx, rejected_code, rejected_msg);
      },
    };
  },
});

function reject(ctx: RequestContext, status: number, message: string): Reply {
  ctx.errorCode = 'CONSUMER_NOT_ALLOWED';
  return jsonReply(status, { message });
}
