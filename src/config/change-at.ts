type Value = Readonly<Record<string, unknown>>;

/** What becomes of a string. */
export type Change = (text: string) => string;

/**
 * A copy in which the strings at a path are changed. A path goes through the items of lists; at its end may stand a string,
 * or a list or mapping of strings.
 */
export function changeAt<T>(value: T, path: readonly string[], change: Change): T {
  return walk(value, path, change) as T;
}

function walk(value: unknown, path: readonly string[], change: Change): unknown {
  const [step, ...rest] = path;
  if (step === undefined) {
    if (Array.isArray(value)) return value.map((item: unknown) => (typeof item === 'string' ? change(item) : item));
    if (isObject(value)) return mapValues(value, (item) => (typeof item === 'string' ? change(item) : item));
    return typeof value === 'string' ? change(value) : value;
  }
  if (Array.isArray(value)) return value.map((item) => walk(item, path, change));
  if (!isObject(value) || !Object.hasOwn(value, step)) return value;
  return mapValues(value, (item, key) => (key === step ? walk(item, rest, change) : item));
}

/** Entries, not assignments: a key may be called __proto__. */
function mapValues(value: Value, map: (item: unknown, key: string) => unknown): Value {
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, map(item, key)]));
}

function isObject(value: unknown): value is Value {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
