/** The plugins that one resource configures. The object stands for the resource as it is: a changed one gets another. */
export interface PluginLayer {
  /** Kind and id of the resource: `routes/1`, `consumers/jack`. */
  readonly owner: string;
  /** Configurations by name of the plugin; each has passed its check. */
  readonly plugins: Readonly<Record<string, unknown>>;
}

/**
 * Merges layers plugin by plugin: the configuration of a plugin is taken from one layer as a whole, never from several.
 *
 * @param layers - The strongest first: consumer, consumer group, route, plugin config, service.
 * @returns Where each plugin is taken from.
 */
export function mergeLayers(layers: readonly PluginLayer[]): ReadonlyMap<string, PluginLayer> {
  const merged = new Map<string, PluginLayer>();
  for (const layer of layers) {
    for (const name of Object.keys(layer.plugins)) if (!merged.has(name)) merged.set(name, layer);
  }
  return merged;
}
