import { isAlias, isMap, isNode, isScalar, isSeq, type Node, type Scalar } from 'yaml';
import { type ConfigPath, type ConfigSource, configError } from './config-source.ts';
import { describeExpected, formatAccepts, type SettingSchema, typesOf } from './setting-schema.ts';

/** What reading the document needs beside the schema. */
interface ReadContext {
  readonly source: ConfigSource;
  /** The text behind values that a substitution turned into a number or a boolean. */
  readonly substituted: ReadonlyMap<Scalar, string>;
  /** Told of each key that the schema does not name; `known` are the names that it has at this place. */
  readonly onOtherKey: (path: ConfigPath, known: readonly string[]) => void;
}

/**
 * Reads a node of the document into the plain value that the schema describes, with defaults filled. An absent or null
 * node gives the default; without one, undefined.
 *
 * @throws ConfigFileError at the first value that does not fit.
 */
export function readValue(context: ReadContext, node: unknown, schema: SettingSchema, path: ConfigPath): unknown {
  const target = resolveAlias(context, node, path);
  if (target === undefined || (isScalar(target) && target.value === null)) {
    if (target !== undefined && typesOf(schema).includes('null')) return null;
    return defaultOf(context, schema, path);
  }
  const branch = schema.oneOf?.find((candidate) => fits(context, target, candidate)) ?? schema;
  if (!fits(context, target, branch)) throw mismatch(context, { node: target, schema, path });
  if (isMap(target)) return readObject(context, target, branch, path);
  if (isSeq(target)) {
    if (target.items.length < (branch.minItems ?? 0)) throw mismatch(context, { node: target, schema: branch, path });
    return target.items.map((item, index) => readItem(context, item, branch.items ?? {}, [...path, index]));
  }
  const value = scalarValue(context, target, branch);
  if (!isAllowed(value, branch)) throw mismatch(context, { node: target, schema, path });
  return value;
}

function readObject(context: ReadContext, node: unknown, schema: SettingSchema, path: ConfigPath): unknown {
  const { properties, additionalProperties } = schema;
  if (properties === undefined && additionalProperties === undefined) return toPlain(context, node);
  const given = new Map<string, unknown>();
  for (const pair of isMap(node) ? node.items : []) {
    const key = isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
    // The parser has compared the keys before substitution.
    if (given.has(key))
      throw configError(context.source, [...path, key], { expected: 'each key once', got: 'it twice' });
    given.set(key, pair.value);
  }
  // Entries, not assignments: a key may be called __proto__.
  const result: [string, unknown][] = [];
  for (const [key, property] of Object.entries(properties ?? {})) {
    const value = readValue(context, given.get(key), property, [...path, key]);
    if (value !== undefined) result.push([key, value]);
    else if (schema.required?.includes(key)) {
      throw configError(context.source, [...path, key], { expected: describeExpected(property), got: 'nothing' });
    }
  }
  for (const [key, value] of given) {
    if (properties && Object.hasOwn(properties, key)) continue;
    const keyPath = [...path, key];
    if (additionalProperties === undefined) context.onOtherKey(keyPath, Object.keys(properties ?? {}));
    else if (schema.propertyNames && !formatAccepts(schema.propertyNames.format, key)) {
      const expected = `${describeExpected(schema.propertyNames)} as the key`;
      throw configError(context.source, keyPath, { expected, got: JSON.stringify(key) });
    } else result.push([key, readItem(context, value, additionalProperties, keyPath)]);
  }
  return Object.fromEntries(result);
}

function readItem(context: ReadContext, node: unknown, schema: SettingSchema, path: ConfigPath): unknown {
  const value = readValue(context, node, schema, path);
  if (value !== undefined) return value;
  throw configError(context.source, path, { expected: describeExpected(schema), got: 'nothing' });
}

/** Whether a value of the right type also fits what the schema says beyond the type. */
function isAllowed(value: unknown, schema: SettingSchema): boolean {
  if (schema.enum && !schema.enum.some((option) => option === value)) return false;
  if (schema.format && !formatAccepts(schema.format, value)) return false;
  if (typeof value === 'string') return value.length >= (schema.minLength ?? 0);
  if (typeof value === 'number') return value >= (schema.minimum ?? -Infinity) && value <= (schema.maximum ?? Infinity);
  return true;
}

/** Whether the node has a type that the schema allows. */
function fits(context: ReadContext, node: Node, schema: SettingSchema): boolean {
  const types = typesOf(schema);
  if (isMap(node)) return types.includes('object');
  if (isSeq(node)) return types.includes('array');
  const value = scalarValue(context, node, schema);
  if (typeof value === 'number') return Number.isSafeInteger(value) && types.includes('integer');
  return types.some((type) => type === typeof value);
}

/** A substitution that reads as a number is still the string that it was where the setting is a string, such as a key. */
function scalarValue({ substituted }: ReadContext, node: Node, schema: SettingSchema): unknown {
  if (!isScalar(node)) return undefined;
  const types = typesOf(schema);
  const wantsText = types.includes('string') && !types.some((type) => type === typeof node.value || type === 'integer');
  return (wantsText ? substituted.get(node) : undefined) ?? node.value;
}

function defaultOf(context: ReadContext, schema: SettingSchema, path: ConfigPath): unknown {
  if (schema.default === undefined) return undefined;
  return schema.properties ? readObject(context, undefined, schema, path) : schema.default;
}

function mismatch(context: ReadContext, at: { node: Node; schema: SettingSchema; path: ConfigPath }): Error {
  const got = at.schema.secret ? 'something else (not shown: it is a credential)' : describe(at.node);
  return configError(context.source, at.path, { expected: describeExpected(at.schema), got });
}

function describe(node: Node): string {
  if (isMap(node)) return 'a mapping';
  if (isSeq(node)) return node.items.length === 0 ? 'an empty list' : 'a list';
  const text = isScalar(node) && typeof node.value === 'string' ? JSON.stringify(node.value) : String(node);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function resolveAlias({ source }: ReadContext, node: unknown, path: ConfigPath): Node | undefined {
  if (!isAlias(node)) return isNode(node) ? node : undefined;
  const target = node.resolve(source.document);
  if (target) return target;
  throw configError(source, path, { expected: `an anchor &${node.source} before this place`, got: 'none' });
}

function toPlain({ source }: ReadContext, node: unknown): unknown {
  return isMap(node) ? node.toJS(source.document) : {};
}
