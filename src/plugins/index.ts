import type { PluginCatalogue } from '../config/plugin-catalogue.ts';
import type { Plugin } from '../pipeline/define-plugin.ts';
import { aiProxy } from './ai-proxy/index.ts';

/** Every plugin that Weir has: the only list. */
const plugins: readonly Plugin[] = [aiProxy];

const byName = new Map(plugins.map((plugin) => [plugin.name, plugin]));
const names = [...byName.values()].sort((a, b) => b.priority - a.priority).map((plugin) => plugin.name);

export function findPlugin(name: string): Plugin | undefined {
  return byName.get(name);
}

/**
 * The plugins as configuration and the Admin API see them.
 *
 * @param enabled - `plugins` of config.yaml; undefined: all.
 */
export function pluginCatalogue(enabled: readonly string[] | undefined): PluginCatalogue {
  const visible = enabled === undefined ? names : names.filter((name) => enabled.includes(name));
  return {
    get: (name) => (visible.includes(name) ? byName.get(name) : undefined),
    names: () => visible,
  };
}
