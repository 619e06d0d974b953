/** A string of a plugin's configuration that stands for a value kept elsewhere. */
export type SecretReference = EnvironmentReference | ManagerReference;

/** `$env://NAME[/member]`. */
export interface EnvironmentReference {
  readonly source: 'env';
  /** Name of the environment variable. */
  readonly variable: string;
  /** The variable holds a JSON object, and this member of it is meant; null: the variable as it is. */
  readonly member: string | null;
}

/** `$secret://<manager>/<id>/<name>/<key>`. */
export interface ManagerReference {
  readonly source: 'secret';
  /** Id of the Admin API's resource `secrets`: `vault/1`. */
  readonly managerId: string;
  /** Path or name of the secret at the manager: may contain slashes. */
  readonly name: string;
  /** The member of the secret. */
  readonly key: string;
}

const prefix = /^\$(env|secret):\/\//i;

/** Whether a value of a configuration is a reference, well-formed or not. Only a whole string is one, never a part. */
export function isSecretReference(value: unknown): value is string {
  return typeof value === 'string' && prefix.test(value);
}

/**
 * Reads `$env://NAME[/member]` and `$secret://<manager>/<id>/<path...>/<key>`.
 *
 * @param text - Has passed {@link isSecretReference}. The prefix may be in upper case, as in APISIX.
 * @returns The reference, or what it should look like, when it does not.
 * @see https://apisix.apache.org/docs/apisix/terminology/secret/
 */
export function parseSecretReference(text: string): SecretReference | string {
  const source = prefix.exec(text)?.[1]?.toLowerCase();
  const rest = text.replace(prefix, '');
  return source === 'env' ? parseEnvironment(rest) : parseManager(rest);
}

function parseEnvironment(rest: string): SecretReference | string {
  const slash = rest.indexOf('/');
  const variable = slash === -1 ? rest : rest.slice(0, slash);
  const member = slash === -1 ? null : rest.slice(slash + 1);
  if (variable === '' || member === '') return 'expected $env://NAME or $env://NAME/key';
  return { source: 'env', variable, member };
}

function parseManager(rest: string): SecretReference | string {
  const [, manager, id, name, key] = /^(vault|aws|gcp)\/([^/]+)\/(.+)\/([^/]+)$/.exec(rest) ?? [];
  if (manager === undefined || id === undefined || name === undefined || key === undefined) {
    return 'expected $secret://<vault|aws|gcp>/<id>/<path>/<key>';
  }
  return { source: 'secret', managerId: `${manager}/${id}`, name, key };
}

/** A reference, and where in the configuration it stands. */
export interface FoundReference {
  /** `auth.header.Authorization`, `instances.0.auth.query.key`. */
  readonly path: string;
  readonly text: string;
}

/** All references in a configuration, except under `_meta`, which is the gateway's and not the plugin's. */
export function findSecretReferences(conf: unknown): readonly FoundReference[] {
  const found: FoundReference[] = [];
  replaceSecretReferences(conf, (reference) => {
    found.push(reference);
    return '';
  });
  return found;
}

/** A copy of a configuration with the value of each reference in its place. `_meta` stays as it is. */
export function replaceSecretReferences(conf: unknown, valueOf: (reference: FoundReference) => string): unknown {
  const replace = (value: unknown, path: string): unknown => {
    if (isSecretReference(value)) return valueOf({ path, text: value });
    if (Array.isArray(value)) return value.map((item, index) => replace(item, below(path, String(index))));
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value).map(([key, member]): [string, unknown] => {
      const memberPath = below(path, key);
      return [key, memberPath === '_meta' ? member : replace(member, memberPath)];
    });
    return Object.fromEntries(entries);
  };
  return replace(conf, '');
}

function below(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

/** `null`, or what is wrong with the first reference that is none. */
export function checkSecretReferences(conf: unknown): string | null {
  for (const { path, text } of findSecretReferences(conf)) {
    const parsed = parseSecretReference(text);
    if (typeof parsed === 'string') return `${path}: ${parsed}`;
  }
  return null;
}
