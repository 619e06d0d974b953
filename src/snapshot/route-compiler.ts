import type { Log } from '../base/log.ts';
import type { Route } from '../config/route.ts';
import type { Service } from '../config/service.ts';
import type { StoredResource } from '../config/store/store.ts';
import { compilePipeline, type Pipeline, type PipelineParts, type RoutePlugins } from '../pipeline/compile.ts';
import type { RouteFacts } from '../pipeline/context.ts';
import type { SharedEnv } from '../pipeline/plugin-instances.ts';
import type { PluginLayer } from '../pipeline/plugin-layer.ts';
import { compileEntry, type CompiledEntry, type RouterMode } from '../router/route-entry.ts';
import type { ResourceSet } from './resource-set.ts';
import { compileUpstreamStep, upstreamDependencies } from './route-upstream.ts';

/** A route, ready to serve. */
export interface CompiledRoute extends RouteFacts {
  readonly pipeline: Pipeline;
  /** What {@link pipeline} is made of. */
  readonly plugins: RoutePlugins;
}

interface RouteCompilerOptions {
  readonly env: SharedEnv;
  readonly routerMode: RouterMode;
  /** The same layer for the same resource. */
  readonly layerOf: (resource: StoredResource) => PluginLayer;
  readonly log: Log;
}

interface Remembered {
  /** All that the entry was made of. Null: it could not even be looked up. */
  readonly madeOf: readonly unknown[] | null;
  readonly entry: CompiledEntry<CompiledRoute> | null;
}

/** The resources of a route that exist under other ids, too. */
interface References {
  readonly service: StoredResource | null;
  readonly pluginConfig: StoredResource | null;
  readonly others: readonly StoredResource[];
}

/**
 * Compiles routes with what they refer to, and remembers each for as long as none of that changes: when one of 10,000 routes
 * does, only that one is compiled anew.
 */
export class RouteCompiler {
  readonly #options: RouteCompilerOptions;
  // Keyed by the resource object itself: an unchanged resource is the same object from one revision to the next.
  readonly #remembered = new WeakMap<StoredResource, Remembered>();

  constructor(options: RouteCompilerOptions) {
    this.#options = options;
  }

  /**
   * @param parts - Others make all routes be compiled anew.
   * @returns Null for a route that is switched off, or cannot be compiled: then the log says why.
   */
  compile(route: StoredResource, all: ResourceSet, parts: PipelineParts): CompiledEntry<CompiledRoute> | null {
    if ((route.value as Route).status === 0) return null;
    const known = this.#remembered.get(route);
    try {
      const references = findReferences(route, all);
      const madeOf = [parts, references.service, references.pluginConfig, ...references.others];
      if (known !== undefined && isSame(known.madeOf, madeOf)) return known.entry;
      this.#remembered.set(route, { madeOf, entry: null });
      const entry = this.#compile(route, { references, all, parts });
      this.#remembered.set(route, { madeOf, entry });
      return entry;
    } catch (error) {
      // A reference that is missing would be told with every change of anything.
      if (known?.madeOf !== null) this.#sayLeftOut(route, error);
      if (this.#remembered.get(route) === known) this.#remembered.set(route, { madeOf: null, entry: null });
      return null;
    }
  }

  #compile(
    resource: StoredResource,
    { references, all, parts }: { references: References; all: ResourceSet; parts: PipelineParts },
  ): CompiledEntry<CompiledRoute> {
    const { env, routerMode, layerOf } = this.#options;
    const { service, pluginConfig } = references;
    const route = resource.value as Route;
    const { hosts: serviceHosts, name: serviceName } = (service?.value ?? {}) as Service;
    const uris = route.uris ?? (route.uri === undefined ? [] : [route.uri]);
    const hosts = route.hosts ?? (route.host === undefined ? serviceHosts : [route.host]);
    const plugins: RoutePlugins = {
      layers: [resource, pluginConfig, service].filter((each) => each !== null).map(layerOf),
      chooseUpstream: compileUpstreamStep({ route: resource, service }, all, env),
    };
    const value: CompiledRoute = {
      id: resource.id,
      name: route.name ?? '',
      uris,
      hosts: hosts ?? [],
      serviceId: service?.id ?? '',
      serviceName: serviceName ?? '',
      pipeline: compilePipeline(plugins, parts),
      plugins,
    };
    const entry = {
      id: resource.id,
      value,
      uris,
      methods: route.methods,
      hosts,
      remoteAddresses: route.remote_addrs ?? (route.remote_addr === undefined ? undefined : [route.remote_addr]),
      vars: route.vars,
      priority: route.priority ?? 0,
    };
    return compileEntry(entry, routerMode);
  }

  #sayLeftOut(route: StoredResource, error: unknown): void {
    this.#options.log.error('a route cannot be served and is left out', { route_id: route.id, error });
  }
}

function findReferences(route: StoredResource, all: ResourceSet): References {
  const { service_id, plugin_config_id } = route.value as Route;
  const service = findResource('services', service_id, all);
  const pluginConfig = findResource('plugin_configs', plugin_config_id, all);
  return { service, pluginConfig, others: upstreamDependencies({ route, service }, all) };
}

function findResource(kind: string, id: string | number | undefined, all: ResourceSet): StoredResource | null {
  if (id === undefined) return null;
  const resource = all.of(kind).get(String(id));
  if (resource === undefined) throw new Error(`it refers to ${kind}/${id}, which does not exist`);
  return resource;
}

function isSame(before: readonly unknown[] | null, now: readonly unknown[]): boolean {
  return before !== null && before.length === now.length && before.every((each, index) => each === now[index]);
}
