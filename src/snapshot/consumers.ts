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

/** A consumer with the credentials in its own `plugins`. */
interface CompiledConsumer {
  readonly consumer: Consumer;
  readonly customId: string | undefined;
  readonly credentials: readonly NamedCredential[];
}

type NamedCredential = readonly [plugin: string, credential: ConfiguredCredential];

/**
 * Compiles the consumers and all ways to recognize them, and remembers each for as long as nothing of it changes: of 10,000
 * only the one that does is compiled anew. Never throws: what cannot be used is named in the log.
 */
export class ConsumerCompiler {
  readonly #options: CompileOptions;
  readonly #groups = new Remembered<ConsumerOverlay | null>();
  readonly #consumers = new Remembered<CompiledConsumer>();
  readonly #credentials = new Remembered<readonly NamedCredential[]>();

  constructor(options: CompileOptions) {
    this.#options = options;
  }

  compile(resources: ConsumerResources): ConsumerDirectory {
    const { findPlugin, log } = this.#options;
    const groups = new Map<string, ConsumerOverlay | null>();
    const consumers = new Map<string, CompiledConsumer>();
    const credentials = new Map<string, ConfiguredCredential[]>();
    const addCredentials = (added: readonly NamedCredential[]): void => {
      for (const [name, credential] of added) {
        const ofPlugin = credentials.get(name);
        if (ofPlugin === undefined) credentials.set(name, [credential]);
        else ofPlugin.push(credential);
      }
    };

    for (const resource of resources.consumers) {
      const { group_id } = resource.value as ConsumerConf;
      const groupId = group_id === undefined ? undefined : String(group_id);
      if (groupId !== undefined && !groups.has(groupId)) groups.set(groupId, this.#compileGroup(groupId, resources));
      const group = groupId === undefined ? null : (groups.get(groupId) ?? null);
      const compiled = this.#consumers.get(resource, group, () => this.#compileConsumer(resource, { groupId, group }));
      consumers.set(resource.id, compiled);
      addCredentials(compiled.credentials);
    }
    for (const resource of resources.credentials) {
      const owner = consumers.get(resource.id.slice(0, resource.id.indexOf('/')));
      if (owner === undefined) log.warn('a credential belongs to no consumer and is left out', { id: resource.id });
      else addCredentials(this.#credentials.get(resource, owner, () => this.#compileCredential(resource, owner)));
    }

    const indexes = new Map<string, CredentialIndex>();
    for (const [name, configured] of credentials) {
      const plugin = findPlugin(name);
      if (plugin !== undefined) indexes.set(name, new CredentialIndex(configured, { ...this.#options, plugin }));
    }
    return {
      get: (name) => consumers.get(name)?.consumer,
      find: (plugin, key): ReturnType<ConsumerDirectory['find']> => indexes.get(plugin)?.find(key),
    };
  }

  /** Consumers of one group without plugins of their own share its overlay, and so their pipelines. */
  #compileGroup(id: string, { groups }: ConsumerResources): ConsumerOverlay | null {
    const group = groups.get(id);
    if (group === undefined) {
      this.#options.log.error('a consumer group does not exist; requests of its consumers are refused', {
        group_id: id,
      });
      return { layers: [], missingGroup: id };
    }
    return this.#groups.get(group, null, () =>
      this.#hasPlugins(group) ? { layers: [this.#options.layerOf(group)], missingGroup: null } : null,
    );
  }

  #compileConsumer(
    resource: StoredResource,
    { groupId, group }: { groupId: string | undefined; group: ConsumerOverlay | null },
  ): CompiledConsumer {
    const { labels = {} } = resource.value as ConsumerConf;
    const customId = labels['custom_id'];
    const identity = { name: resource.id, groupId, credentialId: undefined };
    const overlay = this.#hasPlugins(resource)
      ? {
          layers: [this.#options.layerOf(resource), ...(group?.layers ?? [])],
          missingGroup: group?.missingGroup ?? null,
        }
      : group;
    const consumer: Consumer = { ...identity, claims: claimsOf(identity, customId), overlay };
    return { consumer, customId, credentials: this.#credentialsOf(resource, consumer) };
  }

  #compileCredential(resource: StoredResource, { consumer, customId }: CompiledConsumer): readonly NamedCredential[] {
    const identity = { ...consumer, credentialId: resource.id.slice(resource.id.indexOf('/') + 1) };
    return this.#credentialsOf(resource, { ...identity, claims: claimsOf(identity, customId) });
  }

  #credentialsOf(resource: StoredResource, consumer: Consumer): readonly NamedCredential[] {
    const owner = `${resource.kind}/${resource.id}`;
    const plugins = (resource.value['plugins'] ?? {}) as Readonly<Record<string, unknown>>;
    return Object.entries(plugins)
      .filter(([name, conf]) => {
        const plugin = this.#options.findPlugin(name);
        return plugin !== undefined && plugin.consumer !== null && pluginMetaOf(conf).disable !== true;
      })
      .map(([name, conf]) => [name, { consumer, owner, conf }]);
  }

  /** Plugins that run. What a consumer is recognized by is none. */
  #hasPlugins(resource: StoredResource): boolean {
    return Object.keys(this.#options.layerOf(resource).plugins).length > 0;
  }
}

/** What was made of a resource and something else, for as long as both stay the same objects. */
class Remembered<T> {
  // Keyed by the resource object itself: an unchanged resource is the same object from one revision to the next.
  readonly #made = new WeakMap<StoredResource, { readonly of: unknown; readonly value: T }>();

  get(resource: StoredResource, other: unknown, make: () => T): T {
    const known = this.#made.get(resource);
    if (known !== undefined && known.of === other) return known.value;
    const value = make();
    this.#made.set(resource, { of: other, value });
    return value;
  }
}
