/** What is known of a secret. The object stays the same for as long as that does not change. */
export type SecretState = { readonly value: string } | { readonly failure: string };

/** A value that a configuration refers to. */
export interface Secret {
  /** As it stands in the configuration: `$env://NAME`. */
  readonly reference: string;
  readonly state: SecretState;
  /** `state` never changes: environment variables do not. */
  readonly isConstant: boolean;
  /**
   * Starts to fetch if it is time to.
   *
   * @returns What to wait for before `state` is used (it never rejects), or null: `state` can be used now.
   */
  refresh(): Promise<void> | null;
}

/** A secret whose state is what it is. */
export function constantSecret(reference: string, state: SecretState): Secret {
  return { reference, state, isConstant: true, refresh: () => null };
}
