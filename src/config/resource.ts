import type { Infer, JsonSchema } from '../schema/infer.ts';
import { createValidator } from '../schema/validator.ts';
import { checkPlugins, type PluginCatalogue, type PluginRole } from './plugin-catalogue.ts';
import { isSecretReference } from './secret-reference.ts';

/** What the check of a resource needs from outside. */
export interface ResourceContext {
  readonly catalogue: PluginCatalogue;
  /** Checks a `vars` expression: `null`, or what is wrong. */
  readonly checkVars: (vars: unknown) => string | null;
  /** Whether the store holds such a resource. */
  readonly exists: (kind: string, id: string) => boolean;
}

type Conf = Readonly<Record<string, unknown>>;

/** A field that holds the id of another resource. */
interface Reference {
  /** With dots for nested ones: `upstream.tls.client_cert_id`. */
  readonly field: string;
  /** Kind of the resource that must exist. */
  readonly kind: string;
  /** Its name in the message. */
  readonly name: string;
}

/** A resource that is stored, or about to be. */
export interface Sibling {
  readonly id: string;
  readonly value: Conf;
}

/** What a resource that is about to be stored is checked among. */
export interface Siblings {
  readonly catalogue: PluginCatalogue;
  /** What is stored of a kind, without the resource itself. */
  readonly list: (kind: string) => readonly Sibling[];
}

/** A kind of configuration object: one file each, all of them in resources.ts. */
export interface ResourceDefinition {
  /** Plural: the name in the Admin API's path and in the store, `routes`. */
  readonly kind: string;
  /** Singular: the name in `/apisix/admin/schema/{name}`, `consumer_group`. */
  readonly name: string;
  /** The name in messages, `consumer group`. */
  readonly title: string;
  readonly schema: JsonSchema;
  /** How many segments of the path make an id: 2 for `/secrets/vault/1`, else 1. */
  readonly idSegments: number;
  /** The field that holds the id: `id`, or `username`. */
  readonly idField: string;
  /** The kind under which this one lies, one by one: `/consumers/{id}/credentials/{id}`. The store's id is both, `jack/one`. */
  readonly parent: string | null;
  /** Fields that the list of this kind can be filtered by: `?filter=service_id%3D1`. */
  readonly filterFields: readonly string[];
  /** Methods of the Admin API, in capitals, that this kind refuses with 405. */
  readonly unsupportedMethods: readonly string[];
  /** Fields at the top that no answer shows: they are written only. */
  readonly hiddenFields: readonly string[];
  readonly references: readonly Reference[];
  /** Begins the refusal to delete one that another resource refers to. */
  readonly inUse: string;
  /** Checks only the schema: `null`, or what is wrong in one sentence. */
  checkSchema(conf: unknown): string | null;
  /** Checks everything: `null`, or the `error_msg` of the Admin API. */
  check(conf: unknown, context: ResourceContext): string | null;
  /** Checks that it goes together with what is stored: `null`, or the `error_msg` of the Admin API. Null: always. */
  readonly checkAmong: ((own: Sibling, siblings: Siblings) => string | null) | null;
}

/** A kind whose values have a type. */
interface TypedResource<T> extends ResourceDefinition {
  /** A copy of a stored value that has passed the check, with the defaults filled in. */
  withDefaults(conf: unknown): T;
}

interface ResourceOptions<S extends JsonSchema> {
  readonly kind: string;
  readonly name: string;
  /** Default: `name`. */
  readonly title?: string;
  readonly schema: S;
  /** Default 1. */
  readonly idSegments?: number;
  /** Default `id`. */
  readonly idField?: string;
  readonly parent?: string;
  readonly filterFields?: readonly string[];
  readonly unsupportedMethods?: readonly string[];
  readonly hiddenFields?: readonly string[];
  /** Default `can not delete this {title}`. */
  readonly inUse?: string;
  /** What its plugins are configured for. Default `route`. */
  readonly pluginRole?: PluginRole;
  /** References to secrets may stand in place of strings. Default false. */
  readonly mayDefer?: boolean;
  /** Pairs of fields of which only one may be given. */
  readonly exclusive?: readonly (readonly [string, string])[];
  readonly references?: readonly Reference[];
  /** What schema, references and plugins cannot say. Sees a configuration that passed those. */
  readonly checkRules?: (conf: Conf, context: ResourceContext) => string | null;
  /** See {@link ResourceDefinition.checkAmong}. */
  readonly checkAmong?: (own: Sibling, siblings: Siblings) => string | null;
}

/**
 * Declares a resource. Its check goes in APISIX's order: exclusive fields, schema, references, `plugins`, own rules.
 *
 * @example export const route = defineResource({ kind: 'routes', name: 'route', schema: routeSchema });
 */
export function defineResource<const S extends JsonSchema>(options: ResourceOptions<S>): TypedResource<Infer<S>> {
  const { kind, name, title = name, schema, references = [], pluginRole = 'route' } = options;
  const validator = createValidator(schema, options.mayDefer === true ? { isDeferred: isSecretReference } : {});
  const checkSchema = (conf: unknown): string | null => validator.check(conf);
  return {
    kind,
    name,
    title,
    schema,
    idSegments: options.idSegments ?? 1,
    idField: options.idField ?? 'id',
    parent: options.parent ?? null,
    filterFields: options.filterFields ?? [],
    unsupportedMethods: options.unsupportedMethods ?? [],
    hiddenFields: options.hiddenFields ?? [],
    references,
    inUse: options.inUse ?? `can not delete this ${title}`,
    checkSchema,
    check(conf, context) {
      const both = isObject(conf) ? checkExclusive(conf, options.exclusive ?? []) : null;
      if (both !== null) return both;
      const wrong = checkSchema(conf);
      if (wrong !== null) return `invalid configuration: ${wrong}`;
      if (!isObject(conf)) return null;
      return (
        checkReferences(conf, references, context) ??
        (conf['plugins'] === undefined ? null : checkPlugins(conf['plugins'], context.catalogue, pluginRole)) ??
        options.checkRules?.(conf, context) ??
        null
      );
    },
    checkAmong: options.checkAmong ?? null,
    withDefaults: (conf) => validator.withDefaults(conf) as Infer<S>,
  };
}

/** The id that a field of a resource refers to, `undefined` when it refers to none. */
export function referencedId(conf: Conf, { field }: Reference): string | undefined {
  let value: unknown = conf;
  for (const key of field.split('.')) value = isObject(value) ? value[key] : undefined;
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

function checkExclusive(conf: Conf, pairs: readonly (readonly [string, string])[]): string | null {
  for (const [one, other] of pairs) {
    if (conf[one] !== undefined && conf[other] !== undefined) return `only one of ${one} or ${other} is allowed`;
  }
  return null;
}

function checkReferences(conf: Conf, references: readonly Reference[], context: ResourceContext): string | null {
  for (const reference of references) {
    const { kind, name } = reference;
    const id = referencedId(conf, reference);
    if (id === undefined || context.exists(kind, id)) continue;
    return `failed to fetch ${name} info by ${name} id [${id}], response code: 404`;
  }
  return null;
}

function isObject(value: unknown): value is Conf {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
