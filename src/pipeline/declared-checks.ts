import { WeirError } from '../base/errors.ts';
import { findSecretReferences, replaceSecretReferences } from '../config/secret-reference.ts';
import type { HealthCheck } from '../upstream/health/health-check.ts';
import type { Plugin } from './define-plugin.ts';
import type { SecretSource } from './secret-hooks.ts';
import type { Secret } from './secret.ts';

/** The health checks that one plugin configuration declares, with the values of its secrets. */
export class DeclaredChecks {
  readonly #plugin: Plugin;
  readonly #conf: unknown;
  readonly #secrets: readonly Secret[];

  /** Null when the configuration declares none: then no secret is fetched for them. */
  static of(plugin: Plugin, conf: unknown, source: SecretSource): DeclaredChecks | null {
    return declaresAny(plugin, conf) ? new DeclaredChecks(plugin, conf, source) : null;
  }

  private constructor(plugin: Plugin, conf: unknown, source: SecretSource) {
    this.#plugin = plugin;
    this.#conf = conf;
    const references = new Set(findSecretReferences(conf).map(({ text }) => text));
    this.#secrets = Array.from(references, (reference) => source.get(reference));
  }

  /** Another {@link read} may give something else: a secret can change. */
  get canChange(): boolean {
    return this.#secrets.some(({ isConstant }) => !isConstant);
  }

  /** What to wait for before {@link read} (it never rejects); null: nothing. */
  refresh(): Promise<unknown> | null {
    const pending = this.#secrets.map((secret) => secret.refresh()).filter((fetch) => fetch !== null);
    return pending.length === 0 ? null : Promise.all(pending);
  }

  /**
   * The checks as they are now; SECRET_UNAVAILABLE while a secret is not there: workers refuse the requests meanwhile, and
   * a probe without its credential would find out nothing.
   *
   * @throws Error when the configuration is not valid with the values of its secrets; its text may hold one.
   */
  read(): readonly HealthCheck[] | WeirError {
    const values = new Map<string, string>();
    for (const { reference, state } of this.#secrets) {
      if ('failure' in state) return new WeirError('SECRET_UNAVAILABLE', [reference, state.failure]);
      values.set(reference, state.value);
    }
    const conf = replaceSecretReferences(this.#conf, ({ text }) => values.get(text) ?? text);
    const wrong = this.#plugin.check(conf);
    if (wrong !== null) throw new Error(wrong);
    return this.#plugin.healthChecks?.(conf) ?? [];
  }
}

function declaresAny({ healthChecks }: Plugin, conf: unknown): boolean {
  if (healthChecks === null) return false;
  try {
    return healthChecks(conf).length > 0;
  } catch {
    // A reference stands where the check needs a value, so there is a check.
    return true;
  }
}
