import type { Log } from '../base/log.ts';
import { pluginMetaOf, withPluginMeta } from '../config/plugin-meta.ts';
import { checkSecretReferences, isSecretReference } from '../config/secret-reference.ts';
import type { PluginSpec } from '../config/plugin-catalogue.ts';
import type { BatchQueues } from '../observability/batch-queue.ts';
import type { LlmLog } from '../observability/llm-log.ts';
import type { LogFiles } from '../observability/log-files.ts';
import type { WindowStores } from '../rate-limit/window-stores.ts';
import type { Infer, JsonSchema } from '../schema/infer.ts';
import { checkVars } from '../router/expression.ts';
import { createValidator } from '../schema/validator.ts';
import type { SharedMemory } from '../shared-memory/shared-memory.ts';
import type { HealthCheck } from '../upstream/health/health-check.ts';
import type { HealthView } from '../upstream/health/target-health.ts';
import type { Pools } from '../upstream/pool.ts';
import type { RequestContext } from './context.ts';
import type { Reply } from './reply.ts';

/** Nothing: go on with the next step. A Reply: stop and answer with it. Throwing is for faults of the gateway. */
export type StepResult = Reply | undefined | Promise<Reply | undefined>;
export type Step = (ctx: RequestContext) => StepResult;

/** What a plugin does, and when. An absent phase costs nothing. */
export interface PluginHooks {
  /** Before any access step: changes the request. */
  readonly rewrite?: Step;
  /** Lets in, refuses, or chooses the target. */
  readonly access?: Step;
  /** After the answer has ended, however it did. */
  readonly log?: (ctx: RequestContext) => void;
}

/** The parts of the worker that plugins may use. */
export interface PluginEnv {
  /** The resource in whose `plugins` the configuration stands: `routes/1`. What outlives a change of it is kept under this name. */
  readonly owner: string;
  readonly pools: Pools;
  /** Which instances are fit to be used; see {@link Plugin.healthChecks}. */
  readonly health: HealthView;
  /** Where LLM calls are logged; null: loggers of the route do that. */
  readonly llmLog: Pick<LlmLog, 'write'> | null;
  readonly logFiles: Pick<LogFiles, 'get'>;
  readonly batchQueues: Pick<BatchQueues, 'create'>;
  /** Cells and counters that all workers see. */
  readonly shared: SharedMemory;
  /** Where limits count. */
  readonly windowStores: Pick<WindowStores, 'get'>;
  /** For what happens to requests. */
  readonly log: Log;
  /** For remarks about the configuration: one worker says them, not each. */
  readonly configurationLog: Log;
  /** A log prints `$llm_response_text`, so answers have to be kept for it. */
  readonly logsResponseText: boolean;
}

/** A plugin as the lists know it. */
export interface Plugin extends PluginSpec {
  /** It delivers entries about requests, with what `ctx.llmLog` holds. */
  readonly isLogger: boolean;
  /** How much of the answer's body its log step reads from `ctx.responseCapture`, in bytes. */
  responseCaptureBytes(conf: unknown): number;
  /**
   * What the main thread probes for as long as the route exists; null: nothing, whatever the configuration. The workers
   * read the outcome from `PluginEnv.health`.
   *
   * @param conf - Has passed {@link PluginSpec.check}, with the values of secrets in place of their references. Before
   *   those are fetched it is asked with the references: then only whether there are checks counts, and it may throw.
   */
  readonly healthChecks: ((conf: unknown) => readonly HealthCheck[]) | null;
  /**
   * Makes the plugin for one route, when configuration changes; per request only the hooks run.
   *
   * @param conf - Has passed {@link PluginSpec.check}.
   */
  create(conf: unknown, env: PluginEnv): PluginHooks;
}

interface PluginOptions<S extends JsonSchema> {
  readonly name: string;
  /** Larger numbers run earlier within a phase. */
  readonly priority: number;
  readonly version: number;
  /** One sentence for documentation. */
  readonly summary: string;
  readonly schema: S;
  /** See {@link Plugin.isLogger}. Default false. */
  readonly isLogger?: boolean;
  /** See {@link Plugin.responseCaptureBytes}. Default: nothing of it. */
  readonly responseCaptureBytes?: (conf: Infer<S>) => number;
  /** See {@link Plugin.healthChecks}. */
  readonly healthChecks?: (conf: Infer<S>) => readonly HealthCheck[];
  /**
   * What the schema cannot say: null, or what is wrong. Asked first with references such as `$env://NAME` in place of
   * strings, which must pass (`isSecretReference`), and again with their values.
   */
  readonly check?: (conf: Infer<S>) => string | null;
  readonly create: (conf: Infer<S>, env: PluginEnv) => PluginHooks;
}

/** Declares a plugin once: type, validation, defaults, the Admin API's schema and the documentation come from it. */
export function definePlugin<const S extends JsonSchema>(options: PluginOptions<S>): Plugin {
  const schema = withPluginMeta(options.schema);
  const validator = createValidator(schema, { isDeferred: isSecretReference });
  // The one place where a validated configuration gets its type.
  const typed = (conf: unknown): Infer<S> => validator.withDefaults(conf) as Infer<S>;
  const { healthChecks } = options;
  return {
    name: options.name,
    priority: options.priority,
    version: options.version,
    summary: options.summary,
    schema,
    isLogger: options.isLogger ?? false,
    responseCaptureBytes: (conf) => options.responseCaptureBytes?.(typed(conf)) ?? 0,
    healthChecks: healthChecks === undefined ? null : (conf) => healthChecks(typed(conf)),
    check: (conf) =>
      validator.check(conf) ?? checkFilter(conf) ?? checkSecretReferences(conf) ?? options.check?.(typed(conf)) ?? null,
    create: (conf, env) => options.create(typed(conf), env),
  };
}

function checkFilter(conf: unknown): string | null {
  const { filter } = pluginMetaOf(conf);
  const wrong = filter === undefined ? null : checkVars(filter);
  return wrong === null ? null : `failed to validate the 'vars' expression: ${wrong}`;
}
