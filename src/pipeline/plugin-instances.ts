import { withFields } from '../base/log.ts';
import { pluginMetaOf, type PluginMeta } from '../config/plugin-meta.ts';
import type { StoredResource } from '../config/store/store.ts';
import { withoutField } from '../http/field-list.ts';
import { compileVars, type Expression } from '../router/expression.ts';
import type { RequestContext } from './context.ts';
import type { Plugin, PluginEnv, PluginHooks, Step, StepResult } from './define-plugin.ts';
import type { PluginLayer } from './plugin-layer.ts';
import { jsonReply, textReply, type Reply } from './reply.ts';
import { createHooks, type SecretSource } from './secret-hooks.ts';
import { logVariable } from './variables.ts';

/** A plugin as one resource configures it, ready to run. */
export interface PluginInstance {
  readonly plugin: Plugin;
  readonly conf: unknown;
  /** That of the plugin, or of its `_meta`. */
  readonly priority: number;
  readonly hooks: PluginHooks;
  /** Its `_meta.filter` reads the body. */
  readonly needsBody: boolean;
}

/** What the loggers around a plugin mean for it. */
export interface LoggerNeeds {
  /** They write the entries about LLM calls, not the log of LLM calls. */
  readonly takeEntries: boolean;
  readonly printResponseText: boolean;
}

/** What plugins may use, but for what depends on the place where they are configured. */
export type SharedEnv = Omit<PluginEnv, 'owner' | 'metadata'>;

interface InstancesOptions {
  readonly env: SharedEnv;
  /** Outlives what is made here, so that a reload fetches no secret anew. */
  readonly secrets: SecretSource;
}

interface MadeOfLayer {
  readonly instances: Map<string, PluginInstance>;
  /** By plugin: a request that comes to another instance of it, for other loggers, is not decided anew. */
  readonly filters: Map<string, DecidedFilter>;
}

interface CreateOptions extends Pick<MadeOfLayer, 'filters'> {
  readonly needs: LoggerNeeds;
}

/**
 * Makes each configured plugin once and keeps it for as long as its resource stays the same: all routes of a service share
 * what the service configures, with its connections, turns and queues; so do all routes that a consumer calls.
 */
export class PluginInstances {
  readonly #options: InstancesOptions;
  #made = new WeakMap<PluginLayer, MadeOfLayer>();
  #metadata: ReadonlyMap<string, StoredResource> = new Map();

  constructor(options: InstancesOptions) {
    this.#options = options;
  }

  /** Takes the resources `plugin_metadata`, by plugin. What was made with others is made anew. */
  setMetadata(resources: ReadonlyMap<string, StoredResource>): void {
    this.#metadata = resources;
    this.#made = new WeakMap();
  }

  /** @throws Error when the plugin cannot be made of its configuration. */
  get(plugin: Plugin, layer: PluginLayer, needs: LoggerNeeds): PluginInstance {
    let ofLayer = this.#made.get(layer);
    if (ofLayer === undefined) {
      ofLayer = { instances: new Map(), filters: new Map() };
      this.#made.set(layer, ofLayer);
    }
    const key = `${plugin.name} ${needs.takeEntries} ${needs.printResponseText}`;
    let instance = ofLayer.instances.get(key);
    if (instance === undefined) {
      instance = this.#create(plugin, layer, { filters: ofLayer.filters, needs });
      ofLayer.instances.set(key, instance);
    }
    return instance;
  }

  #create(plugin: Plugin, { owner, plugins }: PluginLayer, { filters, needs }: CreateOptions): PluginInstance {
    const { env: shared, secrets } = this.#options;
    const conf = plugins[plugin.name];
    const env: PluginEnv = {
      ...shared,
      owner,
      metadata: plugin.metadata?.withDefaults(this.#metadata.get(plugin.name)?.value ?? {}) ?? {},
      configurationLog: withFields(shared.configurationLog, ownerField(owner)),
      llmLog: needs.takeEntries ? null : shared.llmLog,
      logsResponseText: shared.logsResponseText || needs.printResponseText,
    };
    const meta = pluginMetaOf(conf);
    const filter = filters.get(plugin.name) ?? compileFilter(meta);
    if (filter !== null) filters.set(plugin.name, filter);
    return {
      plugin,
      conf,
      priority: meta.priority ?? plugin.priority,
      hooks: withMeta(createHooks(plugin, conf, env, secrets), meta, filter?.holds ?? null),
      needsBody: filter?.needsBody ?? false,
    };
  }
}

/** `routes/1` as a field of a log: `route_id`. */
function ownerField(owner: string): Readonly<Record<string, string>> {
  const slash = owner.indexOf('/');
  return { [`${owner.slice(0, slash - 1)}_id`]: owner.slice(slash + 1) };
}

/** Whether a plugin runs for a request. */
type Filter = (ctx: RequestContext) => boolean;

/** A `_meta.filter`, compiled. */
interface DecidedFilter {
  readonly holds: Filter;
  readonly needsBody: boolean;
}

function compileFilter({ filter }: PluginMeta): DecidedFilter | null {
  if (filter === undefined) return null;
  const expression = compileVars(filter, { extend: logVariable });
  return { holds: decidedOnce(expression), needsBody: expression.needsBody };
}

/**
 * `_meta.filter`: what holds when the plugin's turn comes first holds for all its phases. Plugins change what it reads, and a
 * limit that let a request pass must charge it, too.
 */
function decidedOnce(filter: Expression): Filter {
  const decisions = new WeakMap<RequestContext, boolean>();
  return (ctx) => {
    let decision = decisions.get(ctx);
    if (decision === undefined) {
      decision = filter.matches(ctx);
      decisions.set(ctx, decision);
    }
    return decision;
  };
}

function withMeta(hooks: PluginHooks, meta: PluginMeta, filter: Filter | null): PluginHooks {
  const { rewrite, access, headerFilter, log, credentialPlaces } = hooks;
  const replacement = meta.error_response;
  const adapt = (step: Step): Step =>
    filtered(replacement === undefined ? step : withErrorResponse(step, replacement), filter);
  return {
    ...(rewrite && { rewrite: adapt(rewrite) }),
    ...(access && { access: adapt(access) }),
    ...(headerFilter && {
      headerFilter:
        filter === null ? headerFilter : (ctx, answer) => (filter(ctx) ? headerFilter(ctx, answer) : undefined),
    }),
    ...(log && { log: filter === null ? log : (ctx) => (filter(ctx) ? log(ctx) : undefined) }),
    ...(credentialPlaces && { credentialPlaces }),
  };
}

function filtered(step: Step, filter: Filter | null): Step {
  return filter === null ? step : (ctx) => (filter(ctx) ? step(ctx) : undefined);
}

/**
 * `_meta.error_response`: what the plugin answers with a status of 400 or more gets this body. Status and header stay, such as
 * the challenge of a 401.
 */
function withErrorResponse(step: Step, replacement: string | object): Step {
  const replace = (reply: Reply | undefined): Reply | undefined => {
    if (reply === undefined || reply.status < 400) return reply;
    const { status, fields, body } =
      typeof replacement === 'string' ? textReply(reply.status, replacement) : jsonReply(reply.status, replacement);
    return { status, fields: [...withoutField(reply.fields, 'content-type'), ...fields], body };
  };
  return (ctx) => {
    const result: StepResult = step(ctx);
    return result instanceof Promise ? result.then(replace) : replace(result);
  };
}
