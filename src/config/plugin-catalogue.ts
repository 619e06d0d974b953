import type { JsonSchema } from '../schema/infer.ts';
import { pluginMetaOf } from './plugin-meta.ts';

/** A further configuration that a plugin takes beside that of a route. */
export interface PluginConfiguration {
  /** As the Admin API serves it. */
  readonly schema: JsonSchema;
  /** `null`, or what is wrong in one sentence. */
  check(conf: unknown): string | null;
  /** A copy of one that has passed the check, with the defaults filled in. */
  withDefaults(conf: unknown): unknown;
}

/** What a plugin is configured for: to run on requests, or, of plugins that authenticate, to recognize a consumer. */
export type PluginRole = 'route' | 'consumer';

/** What configuration and the Admin API know of a plugin. How it works is the plugins room's business. */
export interface PluginSpec {
  readonly name: string;
  /** Plugins with a higher priority run earlier. */
  readonly priority: number;
  readonly version: number;
  /** One sentence for people. */
  readonly summary: string;
  /** The schema of its configuration as the Admin API serves it, `_meta` included. */
  readonly schema: JsonSchema;
  /** Checks a configuration against the schema and the plugin's own rules: `null`, or what is wrong in one sentence. */
  check(conf: unknown): string | null;
  /** By what a consumer or credential is recognized; null: the plugin authenticates nobody. */
  readonly consumer: PluginConfiguration | null;
  /** Of a plugin that authenticates: the field of {@link consumer} that tells credentials apart; else null. */
  readonly credentialKey: string | null;
  /** What the resource `plugin_metadata` may say to it; null: nothing. */
  readonly metadata: PluginConfiguration | null;
}

/** All plugins that routes may name. */
export interface PluginCatalogue {
  get(name: string): PluginSpec | undefined;
  /** By descending priority. */
  names(): readonly string[];
}

/**
 * Checks the `plugins` object of a resource. A plugin with `_meta.disable: true` may have any configuration.
 *
 * @param role - For a consumer, plugins that authenticate have another configuration; the others have that of a route.
 * @returns `null`, or what is wrong with the first bad plugin, in APISIX's words.
 */
export function checkPlugins(plugins: unknown, catalogue: PluginCatalogue, role: PluginRole = 'route'): string | null {
  const wrong = findWrongPlugin(plugins, catalogue, role);
  return wrong === null || role === 'route' ? wrong : `invalid plugins configuration: ${wrong}`;
}

function findWrongPlugin(plugins: unknown, catalogue: PluginCatalogue, role: PluginRole): string | null {
  if (!isObject(plugins)) return 'invalid configuration: "plugins" must be an object';
  for (const [name, conf] of Object.entries(plugins)) {
    // To APISIX (Lua) an array is a table like an object; the plugin's schema tells them apart.
    if (typeof conf !== 'object' || conf === null) return `invalid plugin conf ${shown(conf)} for plugin [${name}]`;
    const plugin = catalogue.get(name);
    if (plugin === undefined) return `unknown plugin [${name}]`;
    if (pluginMetaOf(conf).disable === true) continue;
    const wrong = ((role === 'consumer' ? plugin.consumer : null) ?? plugin).check(conf);
    if (wrong !== null) return `failed to check the configuration of plugin ${name} err: ${wrong}`;
  }
  return null;
}

/** The fields of a plugin's configuration that hold credentials, as paths: `auth.header`. None for an unknown plugin. */
export function encryptedFields(plugin: PluginSpec | undefined, role: PluginRole): readonly string[] {
  const { schema } = (role === 'consumer' ? plugin?.consumer : null) ?? plugin ?? {};
  const fields = schema?.['encrypt_fields'];
  return Array.isArray(fields) ? fields.filter((field) => typeof field === 'string') : [];
}

/** A text could be a misplaced credential: `key-auth: <the key>`. */
function shown(scalar: unknown): string {
  return typeof scalar === 'string' ? '"***"' : JSON.stringify(scalar);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
