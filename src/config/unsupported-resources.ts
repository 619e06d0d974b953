import { defineResource, type ResourceDefinition } from './resource.ts';

/** Resources of APISIX for what Weir does not do. They are refused by name, so that nobody believes them to be in effect. */

function defineUnsupported(kind: string, name: string, reason: string): ResourceDefinition {
  return defineResource({
    kind,
    name,
    title: name.replaceAll('_', ' '),
    schema: { type: 'object' },
    checkRules: () => `${kind} are not supported: ${reason}`,
  });
}

export const proto = defineUnsupported('protos', 'proto', 'Weir does not convert between JSON and gRPC');

export const streamRoute = defineUnsupported(
  'stream_routes',
  'stream_route',
  'Weir serves HTTP, not TCP and UDP connections of other protocols',
);
