import { isJsonObject, type JsonObject } from '../../json.ts';

/**
 * Makes a JSON Schema acceptable to OpenAI's strict mode, which wants every object closed and all of its properties
 * required. The names in `required` are sorted, so that equal schemas are equal bytes.
 *
 * @throws RangeError when it is nested deeper than the stack allows (thousands of levels).
 * @see https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
 */
export function toStrictSchema(schema: JsonObject): JsonObject {
  const strict = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, strictMember(key, value)]));
  if (!describesObject(schema)) return strict;
  const properties = isJsonObject(schema['properties']) ? schema['properties'] : {};
  return { ...strict, additionalProperties: false, required: Object.keys(properties).sort() };
}

function strictMember(key: string, value: unknown): unknown {
  switch (key) {
    case 'properties':
    case '$defs':
    case 'definitions':
      return isJsonObject(value)
        ? Object.fromEntries(Object.entries(value).map(([name, schema]) => [name, strictIfSchema(schema)]))
        : value;
    case 'items':
    case 'anyOf':
    case 'oneOf':
    case 'allOf':
      return Array.isArray(value) ? value.map(strictIfSchema) : strictIfSchema(value);
    default:
      return value;
  }
}

/** `true` and `false` are schemas as well. */
function strictIfSchema(value: unknown): unknown {
  return isJsonObject(value) ? toStrictSchema(value) : value;
}

function describesObject(schema: JsonObject): boolean {
  const type = schema['type'];
  return type === 'object' || (Array.isArray(type) && type.includes('object')) || isJsonObject(schema['properties']);
}
