import type { Infer, JsonSchema } from '../schema/infer.ts';

/**
 * The `_meta` object that every plugin's configuration may have.
 *
 * APISIX's `pre_function` (Lua code) is missing on purpose: Weir runs no Lua, and a configuration that relies on it must
 * not look accepted.
 */
export const pluginMetaSchema = {
  type: 'object',
  properties: {
    disable: { type: 'boolean', description: 'true: the plugin does not run, and its configuration is not checked.' },
    error_response: {
      description: 'Replaces the body when the plugin ends the request with a status of 400 or more.',
      oneOf: [{ type: 'string' }, { type: 'object' }],
    },
    priority: { type: 'integer', description: 'Replaces the priority of the plugin on this route.' },
    filter: { type: 'array', description: 'The plugin runs only when this vars expression holds.' },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

export type PluginMeta = Infer<typeof pluginMetaSchema>;

/** The `_meta` of a plugin configuration, empty when there is none. */
export function pluginMetaOf(conf: unknown): PluginMeta {
  const meta: unknown = typeof conf === 'object' && conf !== null && '_meta' in conf ? conf._meta : undefined;
  return typeof meta === 'object' && meta !== null ? meta : {};
}

/** The schema of a plugin's configuration with `_meta` added to its properties: what is checked and what is served. */
export function withPluginMeta(schema: JsonSchema): JsonSchema {
  const properties = schema['properties'];
  return { ...schema, properties: { ...(typeof properties === 'object' ? properties : {}), _meta: pluginMetaSchema } };
}
