import { parseObject } from '../cloud-auth/call-service.ts';
import { CredentialError } from '../cloud-auth/credential-error.ts';
import type { Infer, JsonSchema } from '../schema/infer.ts';
import { createValidator } from '../schema/validator.ts';

/** For one call to a secret manager. */
export const secretTimeoutMs = 5000;

/** What a secret holds: values by key. */
export type SecretFields = Readonly<Record<string, unknown>>;

/** A configured service that keeps secrets. Caches nothing. */
export interface SecretManager {
  /**
   * @param name - Of the secret, without the key: the `jack` of `$secret://vault/1/jack/auth-key`. May have slashes.
   * @throws CredentialError, as a rejection, when the secret cannot be had.
   */
  fetch(name: string): Promise<SecretFields>;
}

/** A kind of secret manager: one file each, all of them in index.ts. */
export interface SecretManagerKind {
  /** Of the resource `/apisix/admin/secrets/{kind}/{id}`. Its `encrypt_fields` are the ones to redact. */
  readonly schema: JsonSchema;
  /**
   * @param conf - With its `$env://` references resolved; defaults are filled in here.
   * @throws CredentialError when it does not fit the schema.
   */
  create(conf: unknown): SecretManager;
}

interface KindOptions<S extends JsonSchema> {
  readonly schema: S;
  /** Gets a configuration that fits the schema, defaults filled in. */
  readonly create: (conf: Infer<S>) => SecretManager;
}

/** Declares a kind of secret manager. */
export function defineSecretManager<const S extends JsonSchema>(options: KindOptions<S>): SecretManagerKind {
  const validator = createValidator(options.schema);
  return {
    schema: options.schema,
    create(conf) {
      const fault = validator.check(conf);
      if (fault !== null) throw new CredentialError(`the secret manager is not configured correctly: ${fault}`);
      return options.create(validator.withDefaults(conf) as Infer<S>);
    },
  };
}

/**
 * Reads one value: `readSecret(manager, 'jack', 'auth-key')` for `$secret://vault/1/jack/auth-key`.
 *
 * @returns Numbers and booleans as JSON spells them.
 * @throws CredentialError, as a rejection, when the secret cannot be had or has no such value.
 */
export async function readSecret(manager: SecretManager, name: string, key: string): Promise<string> {
  const fields = await manager.fetch(name);
  const value = Object.hasOwn(fields, key) ? fields[key] : undefined;
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const fault = value === undefined ? 'is not in the secret' : 'of the secret is neither a string nor a number';
  throw new CredentialError(`key ${JSON.stringify(key)} ${fault}`);
}

/** @throws CredentialError when the text of a secret is not a JSON object. */
export function toSecretFields(text: string): SecretFields {
  const fields = parseObject(text);
  if (fields === null) throw new CredentialError('the secret is not a JSON object, so it has no keys');
  return fields;
}
