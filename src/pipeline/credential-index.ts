import { hash } from 'node:crypto';
import { WeirError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { findSecretReferences, replaceSecretReferences } from '../config/secret-reference.ts';
import type { Consumer, Credential } from './consumer.ts';
import type { Plugin } from './define-plugin.ts';
import type { SecretSource } from './secret-hooks.ts';
import type { Secret, SecretState } from './secret.ts';

/** What a consumer or credential says under the name of a plugin that authenticates, before secrets are read. */
export interface ConfiguredCredential {
  readonly consumer: Consumer;
  /** Where it stands: `consumers/jack`, `credentials/jack/one`. */
  readonly owner: string;
  readonly conf: unknown;
}

interface IndexOptions {
  readonly plugin: Plugin;
  readonly secrets: SecretSource;
  /** For remarks about the configuration. */
  readonly log: Log;
}

/** A credential that does not change keeps what has been read for it from one index to the next. */
const slots = new WeakMap<ConfiguredCredential, CredentialSlot>();

/**
 * The credentials of one plugin, found by what identifies them. Keys are compared as SHA-256 digests, so how long a search
 * takes tells nothing about how much of a guessed key is right.
 *
 * ```
 * #byKey       digest of the key -> slot       keys that are written out, or come from the environment
 * #unkeyed     slots                           keys that a secret manager holds: looked at when #byKey has no match
 * ```
 */
export class CredentialIndex {
  readonly #byKey = new Map<string, CredentialSlot>();
  readonly #unkeyed: CredentialSlot[] = [];

  /** @param credentials - Of several with one key the first counts, and the log names the others. */
  constructor(credentials: readonly ConfiguredCredential[], options: IndexOptions) {
    for (const configured of credentials) {
      let slot = slots.get(configured);
      if (slot === undefined) {
        slot = new CredentialSlot(configured, options);
        slots.set(configured, slot);
      }
      if (slot.hasMovingKey) this.#unkeyed.push(slot);
      else this.#add(slot, options);
    }
  }

  /** See {@link ConsumerDirectory.find}. */
  find(key: string): Credential | undefined | Promise<Credential | undefined> {
    const digest = digestOf(key);
    const slot = this.#byKey.get(digest);
    if (slot !== undefined) return slot.current();
    return this.#unkeyed.length === 0 ? undefined : this.#search(digest);
  }

  #add(slot: CredentialSlot, { plugin, log }: IndexOptions): void {
    const { keyDigest } = slot;
    if (keyDigest === null) return;
    const other = this.#byKey.get(keyDigest);
    if (other === undefined) this.#byKey.set(keyDigest, slot);
    else {
      log.warn(
        `${plugin.name}: two credentials have the same ${plugin.credentialKey}; only the first is recognized by it`,
        {
          first: other.owner,
          other: slot.owner,
        },
      );
    }
  }

  async #search(digest: string): Promise<Credential | undefined> {
    let unavailable: unknown;
    // Keys seldom change, so the one that had it last is asked first, and what is there already is not waited for.
    const likely = this.#unkeyed.filter(({ keyDigest }) => keyDigest === digest);
    for (const slot of [...likely, ...this.#unkeyed]) {
      try {
        const current = slot.current();
        const credential = current instanceof Promise ? await current : current;
        if (credential !== undefined && slot.keyDigest === digest) return credential;
      } catch (error) {
        unavailable = error;
      }
    }
    // The key could be the one that cannot be read: whether it is wrong is not known.
    if (unavailable !== undefined) throw unavailable;
    return undefined;
  }
}

/** One credential, with the values of its secrets as they are now. */
class CredentialSlot {
  readonly owner: string;
  /** The key itself is in a secret manager, so that it may change. */
  readonly hasMovingKey: boolean;
  /** Null: there is no key that could be compared. */
  keyDigest: string | null = null;
  readonly #configured: ConfiguredCredential;
  readonly #options: IndexOptions;
  readonly #secrets: ReadonlyMap<string, Secret>;
  #states: readonly SecretState[] = [];
  #credential: Credential | undefined;

  constructor(configured: ConfiguredCredential, options: IndexOptions) {
    this.owner = configured.owner;
    this.#configured = configured;
    this.#options = options;
    const references = findSecretReferences(configured.conf).map(({ text }) => text);
    this.#secrets = new Map(references.map((text) => [text, options.secrets.get(text)]));
    this.#warnOfConstants();
    this.hasMovingKey = this.#secrets.get(this.#key(configured.conf))?.isConstant === false;
    if (!this.hasMovingKey) this.#setDigest();
  }

  /** @throws WeirError SECRET_UNAVAILABLE */
  current(): Credential | undefined | Promise<Credential | undefined> {
    if (this.#secrets.size === 0 && this.#credential !== undefined) return this.#credential;
    let pending: Promise<void>[] | null = null;
    for (const secret of this.#secrets.values()) {
      const fetch = secret.refresh();
      if (fetch !== null) (pending ??= []).push(fetch);
    }
    return pending === null ? this.#read() : Promise.all(pending).then(() => this.current());
  }

  #read(): Credential | undefined {
    const states = Array.from(this.#secrets.values(), ({ state }) => state);
    const isSame = states.every((state, index) => state === this.#states[index]);
    if (isSame && this.#credential !== undefined) return this.#credential;
    // Its reference stands in the log; a client that nobody knows yet is not told where secrets are kept.
    if (states.some((state) => 'failure' in state))
      throw new WeirError('SECRET_UNAVAILABLE', ['a credential', 'try later']);
    const { plugin, log } = this.#options;
    const { consumer } = this.#configured;
    const conf = this.#resolved();
    this.#states = states;
    this.#credential = undefined;
    if (plugin.consumer === null || plugin.consumer.check(conf) !== null) {
      // Without the check's own words: they could repeat the secret.
      log.warn(`${plugin.name}: a credential is not valid with the values of its secrets`, { owner: this.owner });
      return undefined;
    }
    this.#setDigest();
    this.#credential = { consumer, conf: plugin.consumer.withDefaults(conf) };
    return this.#credential;
  }

  #setDigest(): void {
    const key = this.#key(this.#resolved());
    this.keyDigest = this.#secrets.has(key) ? null : digestOf(key);
  }

  /** References whose values are not there stay. */
  #resolved(): unknown {
    return replaceSecretReferences(this.#configured.conf, ({ text }) => {
      const state = this.#secrets.get(text)?.state;
      return state !== undefined && 'value' in state ? state.value : text;
    });
  }

  #key(conf: unknown): string {
    const { credentialKey } = this.#options.plugin;
    return String((conf as Readonly<Record<string, unknown>>)[credentialKey ?? '']);
  }

  /** Those of secret managers speak for themselves. */
  #warnOfConstants(): void {
    const { plugin, log } = this.#options;
    for (const { reference, isConstant, state } of this.#secrets.values()) {
      if (!isConstant || !('failure' in state)) continue;
      const facts = { owner: this.owner, reference, reason: state.failure };
      log.warn(`${plugin.name}: a credential cannot be used`, facts);
    }
  }
}

/** What is compared in place of a secret: equal only for equal texts, and of no use to who guesses. */
export function digestOf(text: string): string {
  return hash('sha256', text);
}
