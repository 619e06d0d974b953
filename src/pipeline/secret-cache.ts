import { CredentialError } from '../cloud-auth/credential-error.ts';
import { parseSecretReference, replaceSecretReferences } from '../config/secret-reference.ts';
import type { StoredResource } from '../config/store/store.ts';
import { secretManagerKinds } from '../secret-manager/index.ts';
import type { SecretManagerKind } from '../secret-manager/secret-manager.ts';
import { type Environment, readEnvironment } from './environment-secret.ts';
import { ManagedSecret, type ManagedSecretOptions, type ManagerSlot } from './managed-secret.ts';
import { constantSecret, type Secret } from './secret.ts';

type SecretCacheOptions = Pick<ManagedSecretOptions, 'log'> &
  Partial<Pick<ManagedSecretOptions, 'ttlMs' | 'retryMs' | 'now'>> & {
    readonly environment: Environment;
    /** Default: all that there are. */
    readonly kinds?: Readonly<Record<string, SecretManagerKind>>;
  };

/**
 * The secrets of one worker: whoever refers to the same one shares its fetch and its value.
 *
 * A value is fetched again when it is used and most of its time is over, so that an idle gateway asks nobody. Defaults:
 * 5 minutes as in APISIX; after a failure again in 1 s, then later and later up to a minute. See docs/secrets.md.
 */
export class SecretCache {
  readonly #environment: Environment;
  readonly #kinds: Readonly<Record<string, SecretManagerKind>>;
  readonly #options: ManagedSecretOptions;
  // Held by the plugins that use them: with the last route that refers to a secret its value goes, too.
  readonly #secrets = new Map<string, WeakRef<ManagedSecret>>();
  readonly #collected = new FinalizationRegistry<string>((reference) => {
    if (this.#secrets.get(reference)?.deref() === undefined) this.#secrets.delete(reference);
  });
  #resources: ReadonlyMap<string, StoredResource> = new Map();
  #slots = new Map<string, ManagerSlot>();

  constructor(options: SecretCacheOptions) {
    const { environment, kinds = secretManagerKinds, ...rest } = options;
    this.#environment = environment;
    this.#kinds = kinds;
    this.#options = {
      ttlMs: 300_000,
      retryMs: 1000,
      now: () => performance.now(),
      ...rest,
      findManager: (id) => this.#slotOf(id),
    };
  }

  /**
   * Takes the resources `secrets` by id (`vault/1`). A resource that did not change is the same object as before; what
   * was fetched through another is forgotten at once.
   */
  setManagers(resources: ReadonlyMap<string, StoredResource>): void {
    const old = this.#resources;
    this.#resources = resources;
    const changed = [...this.#slots.keys()].filter((id) => resources.get(id) !== old.get(id));
    if (changed.length === 0) return;
    for (const id of changed) this.#slots.delete(id);
    for (const secret of this.#secrets.values()) void secret.deref()?.refresh();
  }

  /** The secret that a reference means. It is fetched from now on, so that the first request finds it. Never throws. */
  get(reference: string): Secret {
    const parsed = parseSecretReference(reference);
    if (typeof parsed === 'string') return constantSecret(reference, { failure: parsed });
    if (parsed.source === 'env') return constantSecret(reference, readEnvironment(parsed, this.#environment));
    let secret = this.#secrets.get(reference)?.deref();
    if (secret === undefined) {
      secret = new ManagedSecret(reference, parsed, this.#options);
      this.#secrets.set(reference, new WeakRef(secret));
      this.#collected.register(secret, reference);
      void secret.refresh();
    }
    return secret;
  }

  #slotOf(id: string): ManagerSlot {
    let slot = this.#slots.get(id);
    if (slot === undefined) {
      slot = this.#createSlot(id);
      this.#slots.set(id, slot);
    }
    return slot;
  }

  #createSlot(id: string): ManagerSlot {
    const resource = this.#resources.get(id);
    const kindName = id.split('/', 1)[0] ?? '';
    const kind = Object.hasOwn(this.#kinds, kindName) ? this.#kinds[kindName] : undefined;
    if (resource === undefined || kind === undefined) return { failure: `there is no secret manager ${id}` };
    try {
      return { manager: kind.create(this.#withEnvironment(resource.value)) };
    } catch (error) {
      const reason = error instanceof CredentialError ? error.message : 'its configuration cannot be used';
      return { failure: `secret manager ${id}: ${reason}` };
    }
  }

  /** A manager's own references, which only name environment variables, replaced by their values. */
  #withEnvironment(conf: unknown): unknown {
    return replaceSecretReferences(conf, ({ path, text }) => {
      const parsed = parseSecretReference(text);
      if (typeof parsed === 'string') throw new CredentialError(`${path}: ${parsed}`);
      if (parsed.source !== 'env') throw new CredentialError(`${path}: only $env:// can be used here`);
      const state = readEnvironment(parsed, this.#environment);
      if ('failure' in state) throw new CredentialError(`${path} is ${text}, and ${state.failure}`);
      return state.value;
    });
  }
}
