import type { JsonSchema } from '../schema/infer.ts';
import { commonFields, pluginsSchema } from './resource-fields.ts';
import { defineResource } from './resource.ts';

const pluginConfigSchema = {
  type: 'object',
  properties: { ...commonFields, plugins: pluginsSchema },
  required: ['id', 'plugins'],
  additionalProperties: false,
} as const satisfies JsonSchema;

/** Plugins that several routes have in common. */
export const pluginConfig = defineResource({
  kind: 'plugin_configs',
  name: 'plugin_config',
  title: 'plugin config',
  schema: pluginConfigSchema,
  unsupportedMethods: ['POST'],
});
