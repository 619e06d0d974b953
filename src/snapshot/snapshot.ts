import type { Log } from '../base/log.ts';
import type { StoredResource } from '../config/store/store.ts';
import { compileGlobalRules, loggerNeeds, type Pipeline, type PipelineParts } from '../pipeline/compile.ts';
import type { Consumer, ConsumerDirectory } from '../pipeline/consumer.ts';
import type { Plugin } from '../pipeline/define-plugin.ts';
import { PluginInstances, type LoggerNeeds, type SharedEnv } from '../pipeline/plugin-instances.ts';
import { mergeLayers, type PluginLayer } from '../pipeline/plugin-layer.ts';
import type { SecretCache } from '../pipeline/secret-cache.ts';
import type { RouterMode } from '../router/route-entry.ts';
import { createRouter, type Router } from '../router/router.ts';
import type { CertificateCompiler, Certificates } from './certificates.ts';
import { ConsumerCompiler } from './consumers.ts';
import { MergedPipelines } from './merged-pipelines.ts';
import { ResourceSet } from './resource-set.ts';
import { RouteCompiler, type CompiledRoute } from './route-compiler.ts';

/** The whole configuration, compiled: immutable, replaced as one. */
export interface Snapshot {
  readonly revision: number;
  readonly router: Router<CompiledRoute>;
  /** The global rules, for requests that no route matches; null: there are none. */
  readonly unmatched: Pipeline | null;
  readonly consumers: ConsumerDirectory;
  readonly certificates: Certificates;
  /**
   * What a request goes on with, once its consumer is known.
   *
   * @throws WeirError CONSUMER_GROUP_MISSING
   */
  pipelineFor(route: CompiledRoute, consumer: Consumer): Pipeline;
}

export interface SnapshotOptions {
  readonly findPlugin: (name: string) => Plugin | undefined;
  /** What plugins may use, but for what depends on where they are configured. */
  readonly env: SharedEnv;
  readonly routerMode: RouterMode;
  /** Outlives compilers, so that a reload fetches no secret anew. */
  readonly secrets: SecretCache;
  readonly certificates: CertificateCompiler;
  readonly log: Log;
}

/** Of what the last snapshot was made, as far as it can be used again. */
interface Previous {
  readonly resources: ResourceSet;
  readonly consumers: ConsumerDirectory;
  readonly parts: PipelineParts;
}

const noNeeds: LoggerNeeds = { takeEntries: false, printResponseText: false };
const consumerKinds = ['consumers', 'credentials', 'consumer_groups'] as const;

/**
 * Compiles the configuration and remembers what it compiled: of a change only what it concerns is compiled anew. A resource
 * that cannot be compiled (it was stored by another version, say) is left out and named in the log; the others serve.
 */
export class SnapshotCompiler {
  readonly #options: SnapshotOptions;
  readonly #instances: PluginInstances;
  readonly #routes: RouteCompiler;
  readonly #consumers: ConsumerCompiler;
  // Keyed by the resource object itself: an unchanged resource is the same object from one revision to the next.
  readonly #layers = new WeakMap<StoredResource, PluginLayer>();
  #previous: Previous | null = null;

  constructor(options: SnapshotOptions) {
    const layerOf = (resource: StoredResource): PluginLayer => this.#layerOf(resource);
    this.#options = options;
    this.#instances = new PluginInstances(options);
    this.#routes = new RouteCompiler({ ...options, layerOf });
    this.#consumers = new ConsumerCompiler({ ...options, layerOf, log: options.env.configurationLog });
  }

  compile(given: Iterable<StoredResource>, revision: number): Snapshot {
    const resources = new ResourceSet(given);
    // First of all: the plugins of a new route fetch their secrets at once.
    this.#options.secrets.setManagers(resources.of('secrets'));
    const parts = this.#compileParts(resources);
    const consumers = this.#compileConsumers(resources);
    const entries = resources
      .list('routes')
      .map((route) => this.#routes.compile(route, resources, parts))
      .filter((entry) => entry !== null);
    this.#previous = { resources, consumers, parts };
    const merged = new MergedPipelines(parts);
    return {
      revision,
      router: createRouter(entries),
      unmatched: parts.global,
      consumers,
      certificates: this.#options.certificates.compile(resources.list('ssls')),
      pipelineFor: (route, consumer) => merged.get(route, consumer),
    };
  }

  /** What all pipelines share: the same object for as long as it does not change. */
  #compileParts(resources: ResourceSet): PipelineParts {
    const previous = this.#previous;
    const hasSameMetadata = previous?.resources.isSame(resources, 'plugin_metadata') ?? false;
    if (!hasSameMetadata) this.#instances.setMetadata(resources.of('plugin_metadata'));
    if (hasSameMetadata && previous?.resources.isSame(resources, 'global_rules') === true) return previous.parts;
    const { findPlugin } = this.#options;
    const alone: PipelineParts = { findPlugin, instances: this.#instances, global: null, globalNeeds: noNeeds };
    const layers = this.#usableRules(resources, alone);
    if (layers.length === 0) return alone;
    this.#sayWhatRulesShare(layers);
    return { ...alone, global: compileGlobalRules(layers, alone), globalNeeds: loggerNeeds(layers, alone) };
  }

  /** Like a route, a rule that cannot be compiled is left out and named in the log. */
  #usableRules(resources: ResourceSet, parts: PipelineParts): readonly PluginLayer[] {
    return resources
      .list('global_rules')
      .map((rule) => this.#layerOf(rule))
      .filter((layer) => {
        try {
          compileGlobalRules([layer], parts);
          return true;
        } catch (error) {
          this.#options.log.error('a global rule cannot be used and is left out', { owner: layer.owner, error });
          return false;
        }
      });
  }

  /** The Admin API refuses a second rule with the same plugin; files and etcd may hold one. */
  #sayWhatRulesShare(layers: readonly PluginLayer[]): void {
    const used = mergeLayers(layers);
    for (const { owner, plugins } of layers) {
      for (const plugin of Object.keys(plugins)) {
        const runs = used.get(plugin)?.owner;
        if (runs === owner) continue;
        const message = 'two global rules have the same plugin: only that of the first one runs';
        this.#options.env.configurationLog.error(message, { plugin, owner: runs, ignored: owner });
      }
    }
  }

  #compileConsumers(resources: ResourceSet): ConsumerDirectory {
    const previous = this.#previous;
    if (previous?.resources.isSame(resources, ...consumerKinds) === true) return previous.consumers;
    return this.#consumers.compile({
      consumers: resources.list('consumers'),
      credentials: resources.list('credentials'),
      groups: resources.of('consumer_groups'),
    });
  }

  #layerOf(resource: StoredResource): PluginLayer {
    let layer = this.#layers.get(resource);
    if (layer === undefined) {
      layer = createLayer(resource, this.#options.findPlugin);
      this.#layers.set(resource, layer);
    }
    return layer;
  }
}

/** What a consumer is recognized by is nothing that runs on its requests. */
function createLayer({ kind, id, value }: StoredResource, findPlugin: SnapshotOptions['findPlugin']): PluginLayer {
  const plugins = (value['plugins'] ?? {}) as Readonly<Record<string, unknown>>;
  const isOfConsumers = kind === 'consumers' || kind === 'consumer_groups';
  return {
    owner: `${kind}/${id}`,
    plugins: isOfConsumers
      ? Object.fromEntries(Object.entries(plugins).filter(([name]) => findPlugin(name)?.authenticates !== true))
      : plugins,
  };
}
