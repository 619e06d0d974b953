import { isIPv4, isIPv6 } from 'node:net';
import { Ajv, type ValidateFunction } from 'ajv';
import { fillDefaults } from './defaults.ts';
import { type IsDeferred, withoutDeferredStrings } from './deferred-strings.ts';
import type { JsonSchema } from './infer.ts';
import { checkJsonShape } from './json-shape.ts';
import { describeErrors } from './wording.ts';

/** Checks values against one JSON Schema. */
export interface Validator {
  /** `null` when valid, otherwise one sentence in the wording of APISIX's validator. Never echoes a credential. */
  check(value: unknown): string | null;
  /** A deep copy of a valid value with the schema's defaults filled in. The value itself is never changed. */
  withDefaults(value: unknown): unknown;
}

const ajv = new Ajv({
  // Ajv finds errors in its own order; with all of them at hand the one that APISIX would report can be chosen.
  allErrors: true,
  verbose: true,
  ownProperties: true,
  // APISIX's patterns are PCRE written without Unicode mode in mind, such as `[\w-.]`.
  unicodeRegExp: false,
  allowUnionTypes: true,
  allowMatchingProperties: true,
  strictTypes: false,
  formats: { ipv4: isIPv4, ipv6: isIPv6 },
  // Names the fields that APISIX encrypts at rest; says nothing about what is valid.
  keywords: ['encrypt_fields'],
});

interface ValidatorOptions {
  /** Strings whose value is not known yet: of them only the type is checked. Default: none. */
  readonly isDeferred?: IsDeferred;
}

/**
 * Makes a validator. Ajv needs milliseconds to compile a schema, so that happens with the first value.
 *
 * Defaults are filled before a value is judged, as in APISIX: a condition (`if`) sees the defaults of its siblings.
 * Values that no code could treat safely (see {@link checkJsonShape}) are refused first. `$ref` is not supported: share
 * parts of a schema as TypeScript constants.
 *
 * @throws Error on the first use if the schema itself is wrong (an unknown keyword, a bad pattern).
 */
export function createValidator(schema: JsonSchema, { isDeferred = () => false }: ValidatorOptions = {}): Validator {
  let compiled: ValidateFunction | undefined;
  return {
    check(value) {
      const shape = checkJsonShape(value);
      if (shape !== null) return shape;
      compiled ??= ajv.compile(schema);
      if (compiled(fillDefaults(schema, value, matches))) return null;
      const errors = withoutDeferredStrings(compiled.errors ?? [], isDeferred);
      return errors.length === 0 ? null : describeErrors(schema, errors);
    },
    withDefaults: (value) => fillDefaults(schema, value, matches),
  };
}

/** Ajv remembers what it compiled by the identity of the schema, so that asking again is cheap. */
function matches(schema: JsonSchema, value: unknown): boolean {
  return ajv.validate(schema, value);
}
