import type { Log } from '../base/log.ts';
import { pluginMetaOf, withPluginMeta } from '../config/plugin-meta.ts';
import { checkSecretReferences, isSecretReference } from '../config/secret-reference.ts';
import type { PluginConfiguration, PluginSpec } from '../config/plugin-catalogue.ts';
import type { AnswerHead } from '../http/answer-head.ts';
import type { BatchQueues } from '../observability/batch-queue.ts';
import type { LlmLog } from '../observability/llm-log.ts';
import type { LogFiles } from '../observability/log-files.ts';
import type { WorkerMetrics } from '../observability/metrics/worker-metrics.ts';
import type { WindowStores } from '../rate-limit/window-stores.ts';
import type { Infer, JsonSchema } from '../schema/infer.ts';
import { checkVars } from '../router/expression.ts';
import { createValidator } from '../schema/validator.ts';
import type { SharedMemory } from '../shared-memory/shared-memory.ts';
import type { HealthCheck } from '../upstream/health/health-check.ts';
import type { HealthView } from '../upstream/health/target-health.ts';
import type { Pools } from '../upstream/pool.ts';
import type { CredentialPlace, RequestContext } from './context.ts';
import type { Reply } from './reply.ts';
import { logVariable } from './variables.ts';

/** Nothing: go on with the next step. A Reply: stop and answer with it. Throwing is for faults of the gateway. */
export type StepResult = Reply | undefined | Promise<Reply | undefined>;
export type Step = (ctx: RequestContext) => StepResult;

/** Changes an answer before anything of it is sent. */
export type HeaderFilter = (ctx: RequestContext, answer: AnswerHead) => void;

/** What a plugin does, and when. An absent phase costs nothing. */
export interface PluginHooks {
  /** Before any access step: changes the request. */
  readonly rewrite?: Step;
  /** Lets in, refuses, or chooses the target. */
  readonly access?: Step;
  /** Before the head of the answer is sent, whoever gives it: the upstream, a plugin or the gateway itself. */
  readonly headerFilter?: HeaderFilter;
  /** After the answer has ended, however it did. */
  readonly log?: (ctx: RequestContext) => void;
  /** Where clients put the credentials that it reads. Logs never show them, also when the request does not get that far. */
  readonly credentialPlaces?: readonly CredentialPlace[];
}

/** Where requests are counted, and what config.yaml says about it. */
export interface MetricsEnv {
  readonly worker: WorkerMetrics;
  /** Further labels of a metric, each an object of one name and a text with variables; by the name of the metric. */
  readonly extraLabels: Readonly<Record<string, readonly Readonly<Record<string, string>>[]>>;
}

/** The parts of the worker that plugins may use. */
export interface PluginEnv {
  /** The resource in whose `plugins` the configuration stands: `routes/1`. What outlives a change of it is kept under this name. */
  readonly owner: string;
  /** What the resource `plugin_metadata` says to this plugin, with defaults; an empty object when it says nothing. */
  readonly metadata: unknown;
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
  /** Where clients reach the gateway with TLS, as far as is known: 443 or what the configuration says. */
  readonly httpsPort: number;
  /** What requests are counted by, for Prometheus. */
  readonly metrics: MetricsEnv;
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
  /** It finds out who the consumer is, in its phase `rewrite`. */
  readonly authenticates: boolean;
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
  /** Of a plugin that authenticates: what a consumer or credential has under its name; see {@link PluginSpec.consumer}. */
  readonly consumerSchema?: JsonSchema;
  /** See {@link PluginSpec.credentialKey}. Wanted with `consumerSchema`. */
  readonly credentialKey?: string;
  /** What `consumerSchema` cannot say: null, or what is wrong. Like {@link check}, it must let references pass. */
  readonly checkConsumer?: (conf: Readonly<Record<string, unknown>>) => string | null;
  /** What `plugin_metadata` may say to it; see {@link PluginSpec.metadata}. Its defaults are filled in where it is read. */
  readonly metadataSchema?: JsonSchema;
  /** See {@link Plugin.authenticates}. Default: with a `consumerSchema` it does. */
  readonly authenticates?: boolean;
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
    consumer:
      options.consumerSchema === undefined
        ? null
        : toConfiguration(withPluginMeta(options.consumerSchema), options.checkConsumer),
    credentialKey: options.credentialKey ?? null,
    metadata: options.metadataSchema === undefined ? null : toConfiguration(options.metadataSchema, undefined),
    isLogger: options.isLogger ?? false,
    authenticates: options.authenticates ?? options.consumerSchema !== undefined,
    responseCaptureBytes: (conf) => options.responseCaptureBytes?.(typed(conf)) ?? 0,
    healthChecks: healthChecks === undefined ? null : (conf) => healthChecks(typed(conf)),
    check: (conf) =>
      validator.check(conf) ?? checkFilter(conf) ?? checkSecretReferences(conf) ?? options.check?.(typed(conf)) ?? null,
    create: (conf, env) => options.create(typed(conf), env),
  };
}

function toConfiguration(
  schema: JsonSchema,
  checkRules: PluginOptions<JsonSchema>['checkConsumer'],
): PluginConfiguration {
  const validator = createValidator(schema, { isDeferred: isSecretReference });
  return {
    schema,
    check: (conf) =>
      validator.check(conf) ??
      checkSecretReferences(conf) ??
      checkRules?.(validator.withDefaults(conf) as Readonly<Record<string, unknown>>) ??
      null,
    withDefaults: (conf) => validator.withDefaults(conf),
  };
}

function checkFilter(conf: unknown): string | null {
  const { filter } = pluginMetaOf(conf);
  const wrong = filter === undefined ? null : checkVars(filter, { extend: logVariable });
  return wrong === null ? null : `failed to validate the 'vars' expression: ${wrong}`;
}
