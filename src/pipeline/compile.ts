import { pluginMetaOf, type PluginMeta } from '../config/plugin-meta.ts';
import { compileVars } from '../router/expression.ts';
import type { RequestContext } from './context.ts';
import type { Plugin, PluginEnv, PluginHooks, Step, StepResult } from './define-plugin.ts';
import { jsonReply, textReply, type Reply } from './reply.ts';
import { createHooks, type SecretSource } from './secret-hooks.ts';
import { printsResponseText } from './variables.ts';

/** The plugins of one route, sorted and ready to run. */
export interface Pipeline {
  /** Those of the phase `rewrite`, then those of `access`. */
  readonly steps: readonly Step[];
  readonly log: readonly ((ctx: RequestContext) => void)[];
  /** How much of the answer's body is kept for log steps, in bytes. */
  readonly responseCaptureBytes: number;
  /** A condition reads the body (`post_arg.*` in a `_meta.filter`), so it must be here before the first phase. */
  readonly needsBody: boolean;
}

interface UsedPlugin {
  readonly plugin: Plugin;
  readonly conf: unknown;
  readonly meta: PluginMeta;
}

interface PreparedPlugin {
  readonly priority: number;
  readonly hooks: PluginHooks;
  readonly needsBody: boolean;
}

/**
 * Compiles the `plugins` object of a route.
 *
 * @param plugins - Plugin configurations by name; each has passed its check.
 * @throws Error for a plugin that does not exist.
 */
export function compilePipeline(
  plugins: Readonly<Record<string, unknown>>,
  find: (name: string) => Plugin | undefined,
  env: PluginEnv,
  secrets: SecretSource,
): Pipeline {
  const used: UsedPlugin[] = [];
  for (const [name, conf] of Object.entries(plugins)) {
    const meta = pluginMetaOf(conf);
    if (meta.disable === true) continue;
    const plugin = find(name);
    if (plugin === undefined) throw new Error(`unknown plugin [${name}]`);
    used.push({ plugin, conf, meta });
  }
  const routeEnv = withLoggers(env, used);
  const prepared = used.map((each) => prepare(each, routeEnv, secrets));
  prepared.sort((a, b) => b.priority - a.priority);
  return {
    steps: [...stepsOf(prepared, (hooks) => hooks.rewrite), ...stepsOf(prepared, (hooks) => hooks.access)],
    log: stepsOf(prepared, (hooks) => hooks.log),
    responseCaptureBytes: Math.max(0, ...used.map(({ plugin, conf }) => plugin.responseCaptureBytes(conf))),
    needsBody: prepared.some((plugin) => plugin.needsBody),
  };
}

function stepsOf<T>(prepared: readonly PreparedPlugin[], pick: (hooks: PluginHooks) => T | undefined): readonly T[] {
  return prepared.map(({ hooks }) => pick(hooks)).filter((step) => step !== undefined);
}

/** What the loggers of a route mean for its other plugins. */
function withLoggers(env: PluginEnv, used: readonly UsedPlugin[]): PluginEnv {
  const loggers = used.filter(({ plugin }) => plugin.isLogger);
  if (loggers.length === 0) return env;
  const printsText = loggers.some(({ conf }) => printsResponseText(JSON.stringify(conf)));
  return { ...env, llmLog: null, logsResponseText: env.logsResponseText || printsText };
}

function prepare({ plugin, conf, meta }: UsedPlugin, env: PluginEnv, secrets: SecretSource): PreparedPlugin {
  const { rewrite, access, log } = createHooks(plugin, conf, env, secrets);
  const filter = meta.filter === undefined ? null : compileVars(meta.filter);
  const replacement = meta.error_response;
  const adapt = (step: Step): Step =>
    filtered(replacement === undefined ? step : withErrorResponse(step, replacement), filter);
  return {
    priority: meta.priority ?? plugin.priority,
    needsBody: filter?.needsBody ?? false,
    hooks: {
      ...(rewrite && { rewrite: adapt(rewrite) }),
      ...(access && { access: adapt(access) }),
      ...(log && { log: filter === null ? log : (ctx) => (filter.matches(ctx) ? log(ctx) : undefined) }),
    },
  };
}

function filtered(step: Step, filter: { matches(ctx: RequestContext): boolean } | null): Step {
  return filter === null ? step : (ctx) => (filter.matches(ctx) ? step(ctx) : undefined);
}

/** `_meta.error_response`: what the plugin answers with a status of 400 or more keeps its status and gets this body. */
function withErrorResponse(step: Step, replacement: string | object): Step {
  const replace = (reply: Reply | undefined): Reply | undefined => {
    if (reply === undefined || reply.status < 400) return reply;
    return typeof replacement === 'string'
      ? textReply(reply.status, replacement)
      : jsonReply(reply.status, replacement);
  };
  return (ctx) => {
    const result: StepResult = step(ctx);
    return result instanceof Promise ? result.then(replace) : replace(result);
  };
}
