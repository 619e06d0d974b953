import type { JsonSchema } from '../schema/infer.ts';
import { commonFields, pluginsSchema } from './resource-fields.ts';
import { defineResource } from './resource.ts';

const consumerGroupSchema = {
  type: 'object',
  properties: { ...commonFields, plugins: pluginsSchema },
  required: ['id', 'plugins'],
  additionalProperties: false,
} as const satisfies JsonSchema;

/** Plugins that several consumers have in common. */
export const consumerGroup = defineResource({
  kind: 'consumer_groups',
  name: 'consumer_group',
  title: 'consumer group',
  schema: consumerGroupSchema,
  unsupportedMethods: ['POST'],
});
