import type { JsonSchema } from '../schema/infer.ts';
import { pluginMetaOf } from './plugin-meta.ts';

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
}

/** All plugins that routes may name. */
export interface PluginCatalogue {
  get(name: string): PluginSpec | undefined;
  /** By descending priority. */
  names(): readonly string[];
}

/** How much of a plugin configuration of the wrong type an error repeats. It could be a misplaced credential. */
const maxShownLength = 16;

/**
 * Checks the `plugins` object of a resource. A plugin with `_meta.disable: true` may have any configuration.
 *
 * @returns `null`, or what is wrong with the first bad plugin, in APISIX's words.
 */
export function checkPlugins(plugins: unknown, catalogue: PluginCatalogue): string | null {
  if (!isObject(plugins)) return 'invalid configuration: "plugins" must be an object';
  for (const [name, conf] of Object.entries(plugins)) {
    // To APISIX (Lua) an array is a table like an object; the plugin's schema tells them apart.
    if (typeof conf !== 'object' || conf === null) return `invalid plugin conf ${shortened(conf)} for plugin [${name}]`;
    const plugin = catalogue.get(name);
    if (plugin === undefined) return `unknown plugin [${name}]`;
    if (pluginMetaOf(conf).disable === true) continue;
    const wrong = plugin.check(conf);
    if (wrong !== null) return `failed to check the configuration of plugin ${name} err: ${wrong}`;
  }
  return null;
}

function shortened(scalar: unknown): string {
  const text = JSON.stringify(scalar) ?? String(scalar);
  return text.length <= maxShownLength ? text : `${text.slice(0, maxShownLength)}...`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
