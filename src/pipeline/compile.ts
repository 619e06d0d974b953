import { pluginMetaOf } from '../config/plugin-meta.ts';
import type { CredentialPlace, RequestContext } from './context.ts';
import type { HeaderFilter, Plugin, PluginHooks, Step } from './define-plugin.ts';
import type { LoggerNeeds, PluginInstance, PluginInstances } from './plugin-instances.ts';
import { mergeLayers, type PluginLayer } from './plugin-layer.ts';
import { printsResponseText } from './variables.ts';

/**
 * The plugins of one request, sorted and ready to run.
 *
 * ```
 * opening                                      steps
 * global rules | rewrite to the last auth      the other rewrite | access
 *                                            ^ here the consumer is known: its own pipeline goes on
 * ```
 */
export interface Pipeline {
  /** Global rules, both phases, then the phase `rewrite` up to the last plugin that authenticates. */
  readonly opening: readonly Step[];
  /** The rest of the phase `rewrite`, then `access`. */
  readonly steps: readonly Step[];
  readonly headerFilters: readonly HeaderFilter[];
  readonly log: readonly ((ctx: RequestContext) => void)[];
  /** See {@link PluginHooks.credentialPlaces}. */
  readonly credentialPlaces: readonly CredentialPlace[];
  /** How much of the answer's body is kept for log steps, in bytes. */
  readonly responseCaptureBytes: number;
  /** A condition reads the body (`post_arg.*` in a `_meta.filter`), so it must be here before the first phase. */
  readonly needsBody: boolean;
}

/** What a route says of its requests. */
export interface RoutePlugins {
  /** The strongest first; see {@link mergeLayers}. */
  readonly layers: readonly PluginLayer[];
  /** The last step of all: goes to the upstream, if no plugin has chosen a target; null: the route has none. */
  readonly chooseUpstream: Step | null;
}

/** What the pipelines of one snapshot are made with. */
export interface PipelineParts {
  readonly findPlugin: (name: string) => Plugin | undefined;
  readonly instances: PluginInstances;
  /** The pipeline of the global rules, see {@link compileGlobalRules}; null: there are none. */
  readonly global: Pipeline | null;
  /** What the loggers of the global rules mean for all plugins. */
  readonly globalNeeds: LoggerNeeds;
}

/** @throws Error for a plugin that does not exist, or that cannot be made of its configuration. */
export function compilePipeline(route: RoutePlugins, parts: PipelineParts): Pipeline {
  const used = usedPlugins(route.layers, parts);
  return assemble(used, { opened: openedPlugins(used), last: route.chooseUpstream, global: parts.global });
}

/**
 * Compiles what the requests of a consumer go on with, once it is known.
 *
 * @param overlay - The layers of the consumer and of its group.
 * @param route - Its opening has run: a plugin that was in it runs its phase `rewrite` no second time.
 * @throws Error as {@link compilePipeline}.
 */
export function compileConsumerPipeline(
  overlay: readonly PluginLayer[],
  route: RoutePlugins,
  parts: PipelineParts,
): Pipeline {
  const { layers, chooseUpstream: last } = route;
  const opened = openedPlugins(usedPlugins(layers, parts));
  return assemble(usedPlugins([...overlay, ...layers], parts), { opened, last, global: parts.global });
}

/** Compiles the global rules into one pipeline. It is all that runs where no route matches. */
export function compileGlobalRules(layers: readonly PluginLayer[], parts: PipelineParts): Pipeline {
  const { steps, ...rest } = assemble(usedPlugins(layers, parts), {
    opened: new Set(),
    last: null,
    global: null,
  });
  return { ...rest, opening: steps, steps: [] };
}

/** What the loggers among these plugins mean for all of them. */
export function loggerNeeds(
  layers: readonly PluginLayer[],
  { findPlugin }: Pick<PipelineParts, 'findPlugin'>,
): LoggerNeeds {
  const confs = [...mergeLayers(layers)]
    .map(([name, { plugins }]) => ({ plugin: findPlugin(name), conf: plugins[name] }))
    .filter(({ plugin, conf }) => plugin?.isLogger === true && pluginMetaOf(conf).disable !== true);
  return {
    takeEntries: confs.length > 0,
    printResponseText: confs.some(({ conf }) => printsResponseText(JSON.stringify(conf))),
  };
}

/** The names of the plugins up to the last one that finds out who the consumer is. */
function openedPlugins(used: readonly PluginInstance[]): ReadonlySet<string> {
  const last = used.findLastIndex(({ plugin }) => plugin.authenticates);
  return new Set(used.slice(0, last + 1).map(({ plugin }) => plugin.name));
}

/** The instances of all plugins in the order in which they run. */
function usedPlugins(layers: readonly PluginLayer[], parts: PipelineParts): readonly PluginInstance[] {
  const { findPlugin, instances, globalNeeds } = parts;
  const own = loggerNeeds(layers, parts);
  const needs: LoggerNeeds = {
    takeEntries: own.takeEntries || globalNeeds.takeEntries,
    printResponseText: own.printResponseText || globalNeeds.printResponseText,
  };
  const used: PluginInstance[] = [];
  for (const [name, layer] of mergeLayers(layers)) {
    if (pluginMetaOf(layer.plugins[name]).disable === true) continue;
    const plugin = findPlugin(name);
    if (plugin === undefined) throw new Error(`unknown plugin [${name}]`);
    used.push(instances.get(plugin, layer, needs));
  }
  return used.sort((a, b) => b.priority - a.priority);
}

interface Surroundings {
  /** The plugins whose phase `rewrite` runs in the opening. */
  readonly opened: ReadonlySet<string>;
  readonly last: Step | null;
  readonly global: Pipeline | null;
}

function assemble(used: readonly PluginInstance[], { opened, last, global }: Surroundings): Pipeline {
  const early = used.filter(({ plugin }) => opened.has(plugin.name));
  const late = used.filter(({ plugin }) => !opened.has(plugin.name));
  return {
    opening: [...(global?.opening ?? []), ...hooksOf(early, (hooks) => hooks.rewrite)],
    steps: [
      ...hooksOf(late, (hooks) => hooks.rewrite),
      ...hooksOf(used, (hooks) => hooks.access),
      ...(last === null ? [] : [last]),
    ],
    headerFilters: [...(global?.headerFilters ?? []), ...hooksOf(used, (hooks) => hooks.headerFilter)],
    log: [...(global?.log ?? []), ...hooksOf(used, (hooks) => hooks.log)],
    credentialPlaces: [...(global?.credentialPlaces ?? []), ...hooksOf(used, (hooks) => hooks.credentialPlaces).flat()],
    responseCaptureBytes: Math.max(
      global?.responseCaptureBytes ?? 0,
      ...used.map(({ plugin, conf }) => plugin.responseCaptureBytes(conf)),
    ),
    needsBody: (global?.needsBody ?? false) || used.some(({ needsBody }) => needsBody),
  };
}

function hooksOf<T>(used: readonly PluginInstance[], pick: (hooks: PluginHooks) => T | undefined): readonly T[] {
  return used.map(({ hooks }) => pick(hooks)).filter((hook) => hook !== undefined);
}
