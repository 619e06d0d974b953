import type { Log } from '../base/log.ts';
import { CredentialError } from '../cloud-auth/credential-error.ts';
import type { ManagerReference } from '../config/secret-reference.ts';
import { readSecret, type SecretManager } from '../secret-manager/secret-manager.ts';
import type { Secret, SecretState } from './secret.ts';

/** A configured secret manager, or why there is none. The object stays the same as long as its configuration does. */
export type ManagerSlot = { readonly manager: SecretManager } | { readonly failure: string };

export interface ManagedSecretOptions {
  readonly log: Log;
  /** How long a value is used before it is fetched again, in milliseconds. */
  readonly ttlMs: number;
  /** Pause after a first failure, in milliseconds; it doubles with each further one. */
  readonly retryMs: number;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** The manager as it is configured now. */
  readonly findManager: (id: string) => ManagerSlot;
}

/** The last part of a value's time, in which the next one is fetched while this one is still used. */
const refreshAheadPart = 0.2;
/** 1 s, 2 s, 4 s, ... up to a minute. */
const maxRetryFactor = 60;

const notYetFetched: SecretState = { failure: 'it is not fetched yet' };

/**
 * A value out of a secret manager.
 *
 * ```
 * fetched        80 % of ttl              ttl
 *    |  used as it is  |  used; fetched anew  |  requests wait for the new one
 * ```
 *
 * When a fetch fails, a value that is there stays in use, without waiting, until one succeeds.
 */
export class ManagedSecret implements Secret {
  readonly reference: string;
  readonly isConstant = false;
  state: SecretState = notYetFetched;
  readonly #address: ManagerReference;
  readonly #options: ManagedSecretOptions;
  #slot: ManagerSlot | null = null;
  #pending: Promise<void> | null = null;
  #failures = 0;
  #lastFailure = '';
  #fetchAt = 0;
  #waitFrom = 0;

  constructor(reference: string, address: ManagerReference, options: ManagedSecretOptions) {
    this.reference = reference;
    this.#address = address;
    this.#options = options;
  }

  refresh(): Promise<void> | null {
    const slot = this.#options.findManager(this.#address.managerId);
    if (slot !== this.#slot) this.#startOver(slot);
    const now = this.#options.now();
    if (now >= this.#fetchAt && this.#pending === null && 'manager' in slot) this.#fetch(slot.manager);
    const isUsable = 'value' in this.state && (now < this.#waitFrom || this.#failures > 0);
    return isUsable ? null : this.#pending;
  }

  /** Another manager, or one configured otherwise: what came out of the old one is not its value any more. */
  #startOver(slot: ManagerSlot): void {
    this.#slot = slot;
    this.#pending = null;
    this.#failures = 0;
    this.#lastFailure = '';
    this.#fetchAt = 0;
    this.state = notYetFetched;
    if ('failure' in slot) this.#fail(slot.failure);
  }

  #fetch(manager: SecretManager): void {
    const { name, key } = this.#address;
    const settle = (outcome: SecretState): void => {
      // The manager was replaced in the meantime: this is the answer of the old one.
      if (this.#pending !== pending) return;
      this.#pending = null;
      if ('value' in outcome) this.#succeed(outcome);
      else this.#fail(outcome.failure);
    };
    const pending: Promise<void> = readSecret(manager, name, key).then(
      (value) => settle(value === '' ? { failure: 'the value is empty' } : { value }),
      (error: unknown) => settle({ failure: reasonOf(error) }),
    );
    this.#pending = pending;
  }

  #succeed(outcome: { readonly value: string }): void {
    const { log, ttlMs, now } = this.#options;
    if (this.#failures > 0) log.notice('a secret can be read again', { reference: this.reference });
    this.#failures = 0;
    this.#lastFailure = '';
    this.#fetchAt = now() + ttlMs * (1 - refreshAheadPart);
    this.#waitFrom = now() + ttlMs;
    if (!('value' in this.state && this.state.value === outcome.value)) this.state = outcome;
  }

  #fail(failure: string): void {
    const { log, retryMs, now } = this.#options;
    const isKept = 'value' in this.state;
    if (failure !== this.#lastFailure) {
      const consequence = isKept ? 'its last value stays in use' : 'requests that need it are refused';
      log.warn(`a secret cannot be read; ${consequence}`, { reference: this.reference, reason: failure });
    }
    if (!isKept && failure !== this.#lastFailure) this.state = { failure };
    this.#lastFailure = failure;
    this.#fetchAt = now() + retryMs * Math.min(2 ** this.#failures, maxRetryFactor);
    this.#failures++;
  }
}

/** Only errors made for it say something: others could quote what the manager answered. */
function reasonOf(error: unknown): string {
  return error instanceof CredentialError ? error.message : 'the secret manager cannot be asked';
}
