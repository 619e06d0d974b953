import { WeirError } from '../base/errors.ts';
import { findSecretReferences, replaceSecretReferences } from '../config/secret-reference.ts';
import type { RequestContext } from './context.ts';
import type { Plugin, PluginEnv, PluginHooks, StepResult } from './define-plugin.ts';
import { refusal } from './reply.ts';
import type { Secret, SecretState } from './secret.ts';

/** Where the values of references come from. */
export interface SecretSource {
  /** Never throws: what is wrong stands in the secret's state. */
  get(reference: string): Secret;
}

/**
 * Makes the hooks of a plugin, with the values of secrets in place of the references in its configuration. The plugin
 * itself knows nothing of that; one without references is made as ever.
 *
 * While a secret is not there, requests are refused before any step of this plugin; only loggers do not hold them up.
 */
export function createHooks(plugin: Plugin, conf: unknown, env: PluginEnv, source: SecretSource): PluginHooks {
  const references = new Set(findSecretReferences(conf).map(({ text }) => text));
  if (references.size === 0) return plugin.create(conf, env);
  const secrets = Array.from(references, (reference) => source.get(reference));
  const constants = secrets.filter(({ isConstant }) => isConstant);
  const isDecided = constants.length === secrets.length || constants.some(({ state }) => 'failure' in state);
  return isDecided
    ? createOnce({ plugin, conf, env, secrets: constants })
    : new ChangingPlugin({ plugin, conf, env, secrets }).hooks;
}

interface Parts {
  readonly plugin: Plugin;
  readonly conf: unknown;
  readonly env: PluginEnv;
  readonly secrets: readonly Secret[];
}

/** The plugin made with one set of values, or why that cannot be. */
type Instance = PluginHooks | WeirError;

function createOnce(parts: Parts): PluginHooks {
  const instance = createInstance(parts);
  if (!(instance instanceof WeirError)) return instance;
  const { plugin, conf, env } = parts;
  env.configurationLog.warn(instance.message, { code: instance.code, plugin: plugin.name, references: fieldsOf(conf) });
  return parts.plugin.isLogger ? {} : { rewrite: (ctx) => refusal(ctx, instance) };
}

/** A plugin that is made anew when one of its secrets has another value. */
class ChangingPlugin {
  readonly hooks: PluginHooks = {
    rewrite: (ctx) => this.#run(ctx, 'rewrite'),
    access: (ctx) => this.#run(ctx, 'access'),
    headerFilter: (ctx, answer) => this.#instanceOf(ctx)?.headerFilter?.(ctx, answer),
    log: (ctx) => this.#instanceOf(ctx)?.log?.(ctx),
  };
  readonly #parts: Parts;
  #states: readonly SecretState[] = [];
  #instance: Instance | null = null;
  // A request keeps the instance that it began with, as it keeps its snapshot: instances count what they have begun.
  readonly #ofRequest = new WeakMap<RequestContext, PluginHooks>();

  constructor(parts: Parts) {
    this.#parts = parts;
    // The first instance is made as soon as the values are there, not when a request waits for it.
    void this.#current();
  }

  #run(ctx: RequestContext, phase: 'rewrite' | 'access'): StepResult {
    const begun = this.#ofRequest.get(ctx);
    if (begun !== undefined) return begun[phase]?.(ctx);
    const current = this.#current();
    if (!(current instanceof Promise)) return this.#begin(ctx, phase, current);
    return this.#parts.plugin.isLogger ? undefined : current.then((instance) => this.#begin(ctx, phase, instance));
  }

  #begin(ctx: RequestContext, phase: 'rewrite' | 'access', instance: Instance): StepResult {
    if (instance instanceof WeirError) return this.#parts.plugin.isLogger ? undefined : refusal(ctx, instance);
    this.#ofRequest.set(ctx, instance);
    return instance[phase]?.(ctx);
  }

  /** A logger that was not ready when the request came may be when it ends. */
  #instanceOf(ctx: RequestContext): PluginHooks | undefined {
    const latest = this.#parts.plugin.isLogger && !(this.#instance instanceof WeirError) ? this.#instance : null;
    return this.#ofRequest.get(ctx) ?? latest ?? undefined;
  }

  #current(): Instance | Promise<Instance> {
    let pending: Promise<void>[] | null = null;
    for (const secret of this.#parts.secrets) {
      const fetch = secret.refresh();
      if (fetch !== null) (pending ??= []).push(fetch);
    }
    return pending === null ? this.#withStates() : Promise.all(pending).then(() => this.#current());
  }

  #withStates(): Instance {
    const { plugin, conf, env, secrets } = this.#parts;
    const isSame = secrets.every((secret, index) => secret.state === this.#states[index]);
    if (isSame && this.#instance !== null) return this.#instance;
    this.#states = secrets.map(({ state }) => state);
    this.#instance = createInstance(this.#parts);
    // That one is not available has been logged by the secret itself.
    if (this.#instance instanceof WeirError && this.#instance.code === 'SECRET_INVALID') {
      const { message, code } = this.#instance;
      env.log.warn(message, { code, plugin: plugin.name, references: fieldsOf(conf) });
    }
    return this.#instance;
  }
}

function createInstance({ plugin, conf, env, secrets }: Parts): Instance {
  const values = new Map<string, string>();
  for (const { reference, state } of secrets) {
    if ('failure' in state) return new WeirError('SECRET_UNAVAILABLE', [reference, state.failure]);
    values.set(reference, state.value);
  }
  const resolved = replaceSecretReferences(conf, ({ text }) => values.get(text) ?? text);
  const invalid = (reason: string): WeirError => {
    const told = repeatsAny(reason, values.values()) ? `look at the value of ${fieldsOf(conf)}` : reason;
    return new WeirError('SECRET_INVALID', [plugin.name, told]);
  };
  try {
    const wrong = plugin.check(resolved);
    return wrong === null ? plugin.create(resolved, env) : invalid(wrong);
  } catch (error) {
    return invalid(error instanceof Error ? error.message : String(error));
  }
}

function fieldsOf(conf: unknown): string {
  return findSecretReferences(conf)
    .map(({ path, text }) => `${path} (${text})`)
    .join(', ');
}

/** Whether a text holds a value or a word of one: checks may quote what they refuse. Rather too often than once too few. */
function repeatsAny(text: string, values: Iterable<string>): boolean {
  const searched = text.toLowerCase();
  return Array.from(values, (value) => value.toLowerCase()).some(
    (value) =>
      searched.includes(value) || value.split(/[^a-z0-9]+/).some((word) => word.length > 3 && searched.includes(word)),
  );
}
