import type { Log } from '../base/log.ts';
import type { Consumer as ConsumerConf } from '../config/consumer.ts';
import { pluginMetaOf } from '../config/plugin-meta.ts';
import type { StoredResource } from '../config/store/store.ts';
import { claimsOf, type Consumer, type ConsumerDirectory, type ConsumerOverlay } from '../pipeline/consumer.ts';
import { CredentialIndex, type ConfiguredCredential } from '../pipeline/credential-index.ts';
import type { Plugin } from '../pipeline/define-plugin.ts';
import type { PluginLayer } from '../pipeline/plugin-layer.ts';
import type { SecretSource } from '../pipeline/secret-hooks.ts';

/** The resources that make consumers. */
export interface ConsumerResources {
  readonly consumers: readonly StoredResource[];
  readonly credentials: readonly StoredResource[];
  /** By id. */
  readonly groups: ReadonlyMap<string, StoredResource>;
}

interface CompileOptions {
  readonly findPlugin: (name: string) => Plugin | undefined;
  /** The same layer for the same resource. */
  readonly layerOf: (resource: StoredResource) => PluginLayer;
  readonly secrets: SecretSource;
  readonly log: Log;
}

/** Compiles the consumers and all ways to recognize them. Never throws: what cannot be used is named in the log. */
export function compileConsumers(resources: ConsumerResources, options: CompileOptions): ConsumerDirectory {
  const { findPlugin, log } = options;
  const overlays = new Overlays(resources.groups, options);
  const consumers = new Map<string, Consumer>();
  const customIds = new Map<Consumer, string | undefined>();
  const credentials = new Map<string, ConfiguredCredential[]>();

  const addCredentials = (consumer: Consumer, resource: StoredResource): void => {
    const owner = `${resource.kind}/${resource.id}`;
    for (const [name, conf] of Object.entries(pluginsOf(resource))) {
      if (!isAuthentication(findPlugin(name)) || pluginMetaOf(conf).disable === true) continue;
      const ofPlugin = credentials.get(name) ?? [];
      ofPlugin.push({ consumer, owner, conf });
      credentials.set(name, ofPlugin);
    }
  };

  for (const resource of resources.consumers) {
    const { group_id, labels = {} } = resource.value as ConsumerConf;
    const groupId = group_id === undefined ? undefined : String(group_id);
    const identity = { name: resource.id, groupId, credentialId: undefined };
    const claims = claimsOf(identity, labels['custom_id']);
    const consumer: Consumer = { ...identity, claims, overlay: overlays.of(resource, groupId) };
    consumers.set(consumer.name, consumer);
    customIds.set(consumer, labels['custom_id']);
    addCredentials(consumer, resource);
  }
  for (const resource of resources.credentials) {
    const slash = resource.id.indexOf('/');
    const consumer = consumers.get(resource.id.slice(0, slash));
    if (consumer === undefined) {
      log.warn('a credential belongs to no consumer and is left out', { id: resource.id });
      continue;
    }
    const identity = { ...consumer, credentialId: resource.id.slice(slash + 1) };
    addCredentials({ ...identity, claims: claimsOf(identity, customIds.get(consumer)) }, resource);
  }

  const indexes = new Map<string, CredentialIndex>();
  for (const [name, configured] of credentials) {
    const plugin = findPlugin(name);
    if (plugin !== undefined) indexes.set(name, new CredentialIndex(configured, { ...options, plugin }));
  }
  return {
    get: (name) => consumers.get(name),
    find: (plugin, key): ReturnType<ConsumerDirectory['find']> => indexes.get(plugin)?.find(key),
  };
}

/** Consumers of one group without plugins of their own share one overlay, and so their pipelines. */
class Overlays {
  readonly #groups: ReadonlyMap<string, StoredResource>;
  readonly #options: CompileOptions;
  readonly #ofGroups = new Map<string, ConsumerOverlay | null>();

  constructor(groups: ReadonlyMap<string, StoredResource>, options: CompileOptions) {
    this.#groups = groups;
    this.#options = options;
  }

  of(consumer: StoredResource, groupId: string | undefined): ConsumerOverlay | null {
    const group = groupId === undefined ? null : this.#ofGroup(groupId);
    if (!this.#hasPlugins(consumer)) return group;
    const layers = [this.#options.layerOf(consumer), ...(group?.layers ?? [])];
    return { layers, missingGroup: group?.missingGroup ?? null };
  }

  #ofGroup(id: string): ConsumerOverlay | null {
    let overlay = this.#ofGroups.get(id);
    if (overlay === undefined) {
      overlay = this.#compileGroup(id);
      this.#ofGroups.set(id, overlay);
    }
    return overlay;
  }

  #compileGroup(id: string): ConsumerOverlay | null {
    const group = this.#groups.get(id);
    if (group !== undefined) {
      return this.#hasPlugins(group) ? { layers: [this.#options.layerOf(group)], missingGroup: null } : null;
    }
    this.#options.log.error('a consumer group does not exist; requests of its consumers are refused', { group_id: id });
    return { layers: [], missingGroup: id };
  }

  /** Plugins that run. What a consumer is recognized by is none. */
  #hasPlugins(resource: StoredResource): boolean {
    return Object.keys(this.#options.layerOf(resource).plugins).length > 0;
  }
}

export function isAuthentication(plugin: Plugin | undefined): boolean {
  return plugin !== undefined && plugin.consumer !== null;
}

function pluginsOf({ value }: StoredResource): Readonly<Record<string, unknown>> {
  return (value['plugins'] ?? {}) as Readonly<Record<string, unknown>>;
}
