import type { JsonSchema } from '../schema/infer.ts';
import { timestampSchema } from './resource-fields.ts';
import { defineResource } from './resource.ts';

const pluginMetadataSchema = {
  type: 'object',
  properties: {
    id: { type: 'string', description: 'Name of the plugin.', minLength: 1, maxLength: 64 },
    create_time: timestampSchema,
    update_time: timestampSchema,
  },
} as const satisfies JsonSchema;

/** What a plugin is told once for all places where it is used. Its id is the name of the plugin, which checks the rest. */
export const pluginMetadata = defineResource({
  kind: 'plugin_metadata',
  name: 'plugin_metadata',
  title: 'plugin_metadata',
  schema: pluginMetadataSchema,
  unsupportedMethods: ['POST', 'PATCH'],
  checkRules({ id, create_time: _created, update_time: _updated, ...metadata }, { catalogue }) {
    const plugin = catalogue.get(String(id));
    if (plugin === undefined) return 'invalid plugin name';
    if (plugin.metadata === null) return `the plugin ${plugin.name} takes no metadata: it would have no effect`;
    const wrong = plugin.metadata.check(metadata);
    return wrong === null ? null : `invalid configuration: ${wrong}`;
  },
});
