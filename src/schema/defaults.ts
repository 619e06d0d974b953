import type { JsonSchema } from './infer.ts';

/** Says whether a value is valid against a part of a schema. */
type Matches = (schema: JsonSchema, value: unknown) => boolean;

type JsonObject = Record<string, unknown>;

/**
 * Copies a value and fills the defaults of its schema into the copy: in `properties`, `patternProperties`,
 * `additionalProperties`, `items` and `allOf`, then in the `then` or `else` that applies, then in the first `anyOf` or
 * `oneOf` branch that matches. Siblings are filled before a condition is asked, which Ajv's `useDefaults` does not do.
 *
 * @param matches - Asked only for conditions and branches that hold a default.
 */
export function fillDefaults(schema: JsonSchema, value: unknown, matches: Matches): unknown {
  const copy = structuredClone(value);
  fill(schema, copy, matches);
  return copy;
}

function fill(schema: JsonSchema, value: unknown, matches: Matches): void {
  if (!hasDefault(schema)) return;
  if (Array.isArray(value)) {
    if (isSchema(schema['items'])) for (const item of value) fill(schema['items'], item, matches);
  } else if (isObject(value)) {
    fillObject(schema, value, matches);
  }
  for (const part of subschemas(schema['allOf'])) fill(part, value, matches);
  if (isSchema(schema['if'])) {
    const branch = schema[matches(schema['if'], value) ? 'then' : 'else'];
    if (isSchema(branch)) fill(branch, value, matches);
  }
  for (const keyword of ['anyOf', 'oneOf']) {
    const branches = subschemas(schema[keyword]);
    const chosen = branches.some(hasDefault) ? branches.find((branch) => matches(branch, value)) : undefined;
    if (chosen !== undefined) fill(chosen, value, matches);
  }
}

function fillObject(schema: JsonSchema, value: JsonObject, matches: Matches): void {
  const properties = isSchema(schema['properties']) ? schema['properties'] : {};
  for (const [name, property] of Object.entries(properties)) {
    if (!isSchema(property)) continue;
    if (!Object.hasOwn(value, name) && property['default'] !== undefined) {
      value[name] = structuredClone(property['default']);
    }
    if (Object.hasOwn(value, name)) fill(property, value[name], matches);
  }
  const patterns = Object.entries(isSchema(schema['patternProperties']) ? schema['patternProperties'] : {}).map(
    ([pattern, subschema]) => ({ pattern: new RegExp(pattern), subschema }),
  );
  const additional = schema['additionalProperties'];
  for (const [name, item] of Object.entries(value)) {
    const matching = patterns.filter(({ pattern }) => pattern.test(name));
    for (const { subschema } of matching) if (isSchema(subschema)) fill(subschema, item, matches);
    if (matching.length === 0 && !Object.hasOwn(properties, name) && isSchema(additional)) {
      fill(additional, item, matches);
    }
  }
}

const defaultsKnown = new WeakMap<JsonSchema, boolean>();

/** Whether a default hides anywhere in the schema. Most parts have none and need no walk, and no Ajv, at all. */
function hasDefault(schema: JsonSchema): boolean {
  let known = defaultsKnown.get(schema);
  if (known === undefined) {
    known = Object.entries(schema).some(
      ([keyword, part]) =>
        (keyword === 'default' && part !== undefined) ||
        (Array.isArray(part) ? subschemas(part).some(hasDefault) : isSchema(part) && hasDefault(part)),
    );
    defaultsKnown.set(schema, known);
  }
  return known;
}

function subschemas(list: unknown): JsonSchema[] {
  return Array.isArray(list) ? list.filter(isSchema) : [];
}

function isSchema(value: unknown): value is JsonSchema {
  return isObject(value);
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
