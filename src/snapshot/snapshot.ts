import { withFields, type Log } from '../base/log.ts';
import type { Route } from '../config/route.ts';
import type { StoredResource } from '../config/store/store.ts';
import { compilePipeline, type Pipeline } from '../pipeline/compile.ts';
import type { RouteFacts } from '../pipeline/context.ts';
import type { Plugin, PluginEnv } from '../pipeline/define-plugin.ts';
import type { SecretCache } from '../pipeline/secret-cache.ts';
import { compileEntry, type CompiledEntry, type RouterMode } from '../router/route-entry.ts';
import { createRouter, type Router } from '../router/router.ts';

/** A route, ready to serve. */
export interface CompiledRoute extends RouteFacts {
  readonly pipeline: Pipeline;
}

/** The whole configuration, compiled: immutable, replaced as one. */
export interface Snapshot {
  readonly revision: number;
  readonly router: Router<CompiledRoute>;
}

export interface SnapshotOptions {
  readonly findPlugin: (name: string) => Plugin | undefined;
  /** What plugins may use, but for their owner. */
  readonly env: Omit<PluginEnv, 'owner'>;
  readonly routerMode: RouterMode;
  /** Outlives compilers, so that a reload fetches no secret anew. */
  readonly secrets: SecretCache;
  readonly log: Log;
}

type RouteEntry = CompiledEntry<CompiledRoute>;

/**
 * Compiles routes and remembers what it compiled: when one of 10,000 routes changes, only that one is compiled anew.
 * A route that cannot be compiled (it was stored by another version, say) is left out and named in the log; the others
 * serve.
 */
export class SnapshotCompiler {
  #options: SnapshotOptions;
  // Keyed by the resource object itself: an unchanged resource is the same object from one revision to the next.
  #compiled = new WeakMap<StoredResource, RouteEntry | null>();

  constructor(options: SnapshotOptions) {
    this.#options = options;
  }

  compile(resources: Iterable<StoredResource>, revision: number): Snapshot {
    const routes: StoredResource[] = [];
    const secretManagers = new Map<string, StoredResource>();
    for (const resource of resources) {
      if (resource.kind === 'routes') routes.push(resource);
      if (resource.kind === 'secrets') secretManagers.set(resource.id, resource);
    }
    // First of all: the plugins of a new route fetch their secrets at once.
    this.#options.secrets.setManagers(secretManagers);

    const entries: RouteEntry[] = [];
    for (const resource of routes) {
      let entry = this.#compiled.get(resource);
      if (entry === undefined) {
        entry = this.#compileRoute(resource);
        this.#compiled.set(resource, entry);
      }
      if (entry !== null) entries.push(entry);
    }
    return { revision, router: createRouter(entries) };
  }

  #compileRoute(resource: StoredResource): RouteEntry | null {
    const route = resource.value as Route;
    if (route.status === 0) return null;
    try {
      const { findPlugin, env, routerMode, secrets } = this.#options;
      const configurationLog = withFields(env.configurationLog, { route_id: resource.id });
      const pipeline = compilePipeline(
        route.plugins ?? {},
        findPlugin,
        { ...env, owner: `routes/${resource.id}`, configurationLog },
        secrets,
      );
      const entry = {
        id: resource.id,
        value: { id: resource.id, name: route.name ?? '', pipeline },
        uris: route.uris ?? (route.uri === undefined ? [] : [route.uri]),
        methods: route.methods,
        hosts: route.hosts ?? (route.host === undefined ? undefined : [route.host]),
        remoteAddresses: route.remote_addrs ?? (route.remote_addr === undefined ? undefined : [route.remote_addr]),
        vars: route.vars,
        priority: route.priority ?? 0,
      };
      return compileEntry(entry, routerMode);
    } catch (error) {
      this.#options.log.error('a route cannot be served and is left out', { route_id: resource.id, error });
      return null;
    }
  }
}
