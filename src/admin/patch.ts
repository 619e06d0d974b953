type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Merges a patch into a value as JSON Merge Patch (RFC 7396) does: objects are merged, `null` deletes a key, arrays and
 * scalars replace what was there. Neither argument is changed.
 */
export function mergePatch(value: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const merged: Record<string, unknown> = isObject(value) ? { ...value } : {};
  for (const [key, part] of Object.entries(patch)) {
    if (part === null) delete merged[key];
    else merged[key] = mergePatch(Object.hasOwn(merged, key) ? merged[key] : undefined, part);
  }
  return merged;
}

/**
 * Replaces the part of a value that a path names; `null` deletes it. Missing objects on the way are created, as in
 * APISIX. The value itself is not changed.
 *
 * @returns The new value, or `undefined` when the path leads through something that is not an object.
 */
export function replaceAt(value: JsonObject, path: readonly string[], part: unknown): JsonObject | undefined {
  const copy = structuredClone(value);
  const last = path.at(-1);
  if (last === undefined || path.includes('__proto__')) return undefined;
  let node: Record<string, unknown> = copy;
  for (const key of path.slice(0, -1)) {
    if (!Object.hasOwn(node, key)) node[key] = {};
    const next = node[key];
    if (!isObject(next)) return undefined;
    node = next;
  }
  if (part === null) delete node[last];
  else node[last] = part;
  return copy;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
