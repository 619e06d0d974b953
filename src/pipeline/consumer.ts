import { consumerHeaderNames } from '../llm/header-rules.ts';
import type { ConsumerIdentity } from '../router/request-view.ts';
import type { PluginLayer } from './plugin-layer.ts';

/** Who sends a request, as an authentication plugin has recognized it. */
export interface Consumer extends ConsumerIdentity {
  /** The header fields that tell an upstream who it is: name, value, name, value, … */
  readonly claims: readonly string[];
  /** Its plugins and those of its group; null: it has none but for its authentication. */
  readonly overlay: ConsumerOverlay | null;
}

/** Plugins that are merged over those of the route. The same object for all consumers that have the same ones. */
export interface ConsumerOverlay {
  /** The consumer's own first, then its group's. */
  readonly layers: readonly PluginLayer[];
  /** Id of a group that does not exist: nobody knows what limits it would set, so requests are refused. */
  readonly missingGroup: string | null;
}

/** What an authentication plugin knows of a consumer. */
export interface Credential {
  readonly consumer: Consumer;
  /** Has passed the check of {@link PluginSpec.consumer}, with its defaults and the values of secrets. */
  readonly conf: unknown;
}

/**
 * What an upstream is told of a consumer, in APISIX's header fields.
 *
 * @param customId - Its label `custom_id`.
 * @see https://apisix.apache.org/docs/apisix/plugins/key-auth/
 */
export function claimsOf({ name, credentialId }: ConsumerIdentity, customId: string | undefined): readonly string[] {
  const [nameField = '', credentialField = '', customIdField = ''] = consumerHeaderNames;
  return [
    nameField,
    name,
    ...(credentialId === undefined ? [] : [credentialField, credentialId]),
    // A label may hold what a header cannot.
    ...(customId === undefined || !/^[\x21-\x7e]+$/.test(customId) ? [] : [customIdField, customId]),
  ];
}

/** The consumers of one snapshot. */
export interface ConsumerDirectory {
  get(name: string): Consumer | undefined;
  /**
   * Finds a credential of an authentication plugin by what identifies it ({@link PluginSpec.credentialKey}): an API key, a user.
   *
   * @returns A Promise only where the value of a secret has to be waited for.
   * @throws WeirError SECRET_UNAVAILABLE when it cannot be told because a secret is not available.
   */
  find(plugin: string, key: string): Credential | undefined | Promise<Credential | undefined>;
}

/** For what is served without any configuration. */
export const noConsumers: ConsumerDirectory = { get: () => undefined, find: () => undefined };
