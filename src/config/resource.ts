import type { JsonSchema } from '../schema/infer.ts';
import { createValidator } from '../schema/validator.ts';
import { checkPlugins, type PluginCatalogue } from './plugin-catalogue.ts';

/** What the check of a resource needs from outside. */
export interface ResourceContext {
  readonly catalogue: PluginCatalogue;
  /** Checks a `vars` expression: `null`, or what is wrong. */
  readonly checkVars: (vars: unknown) => string | null;
  /** Whether the store holds such a resource. */
  readonly exists: (kind: string, id: string) => boolean;
}

/** A kind of configuration object: one file each, all of them in resources.ts. */
export interface ResourceDefinition {
  /** Plural: the name in the Admin API's path and in the store, `routes`. */
  readonly kind: string;
  /** Singular: the name in messages and in `/apisix/admin/schema/{name}`, `route`. */
  readonly name: string;
  readonly schema: JsonSchema;
  /** How many segments of the path make an id: 2 for `/secrets/vault/1`, else 1. */
  readonly idSegments: number;
  /** Fields that the list of this kind can be filtered by: `?filter=service_id%3D1`. */
  readonly filterFields: readonly string[];
  /** Methods of the Admin API, in capitals, that this kind refuses with 405. */
  readonly unsupportedMethods: readonly string[];
  /** Checks only the schema: `null`, or what is wrong in one sentence. */
  checkSchema(conf: unknown): string | null;
  /** Checks everything: `null`, or the `error_msg` of the Admin API. */
  check(conf: unknown, context: ResourceContext): string | null;
}

type Conf = Readonly<Record<string, unknown>>;

interface Reference {
  /** Field that holds the id. */
  readonly field: string;
  /** Kind of the resource that must exist. */
  readonly kind: string;
  /** Its name in the message. */
  readonly name: string;
}

interface ResourceOptions {
  readonly kind: string;
  readonly name: string;
  readonly schema: JsonSchema;
  /** Default 1. */
  readonly idSegments?: number;
  readonly filterFields?: readonly string[];
  readonly unsupportedMethods?: readonly string[];
  /** Pairs of fields of which only one may be given. */
  readonly exclusive?: readonly (readonly [string, string])[];
  readonly references?: readonly Reference[];
  /** What schema, references and plugins cannot say. Sees a configuration that passed those. */
  readonly checkRules?: (conf: Conf, context: ResourceContext) => string | null;
}

/**
 * Declares a resource. Its check goes in APISIX's order: exclusive fields, schema, references, `plugins`, own rules.
 *
 * @example export const route = defineResource({ kind: 'routes', name: 'route', schema: routeSchema });
 */
export function defineResource(options: ResourceOptions): ResourceDefinition {
  const { kind, name, schema, idSegments = 1, filterFields = [], unsupportedMethods = [] } = options;
  const validator = createValidator(schema);
  const checkSchema = (conf: unknown): string | null => validator.check(conf);
  return {
    kind,
    name,
    schema,
    idSegments,
    filterFields,
    unsupportedMethods,
    checkSchema,
    check(conf, context) {
      const both = isObject(conf) ? checkExclusive(conf, options.exclusive ?? []) : null;
      if (both !== null) return both;
      const wrong = checkSchema(conf);
      if (wrong !== null) return `invalid configuration: ${wrong}`;
      if (!isObject(conf)) return null;
      return (
        checkReferences(conf, options.references ?? [], context) ??
        (conf['plugins'] === undefined ? null : checkPlugins(conf['plugins'], context.catalogue)) ??
        options.checkRules?.(conf, context) ??
        null
      );
    },
  };
}

function checkExclusive(conf: Conf, pairs: readonly (readonly [string, string])[]): string | null {
  for (const [one, other] of pairs) {
    if (conf[one] !== undefined && conf[other] !== undefined) return `only one of ${one} or ${other} is allowed`;
  }
  return null;
}

function checkReferences(conf: Conf, references: readonly Reference[], context: ResourceContext): string | null {
  for (const { field, kind, name } of references) {
    const id = conf[field];
    if (typeof id !== 'string' && typeof id !== 'number') continue;
    if (context.exists(kind, String(id))) continue;
    return `failed to fetch ${name} info by ${name} id [${id}], response code: 404`;
  }
  return null;
}

function isObject(value: unknown): value is Conf {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
