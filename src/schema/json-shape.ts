/** Deepest nesting of objects and arrays that a configuration may have. */
const maxDepth = 200;

/**
 * Refuses JSON values that later code could not treat safely: nesting so deep that a recursive walk overflows the
 * stack, the key `__proto__`, and numbers too large for a double (`1e999` parses to Infinity).
 *
 * @returns What is wrong, or `null`.
 */
export function checkJsonShape(value: unknown): string | null {
  // Level by level instead of recursion: this is the function that makes recursion safe elsewhere.
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    const next: unknown[] = [];
    for (const item of level) {
      if (typeof item === 'number' && !Number.isFinite(item)) return 'a number is too large';
      if (typeof item !== 'object' || item === null) continue;
      if (depth >= maxDepth) return `nested deeper than ${maxDepth} levels`;
      if (Object.hasOwn(item, '__proto__')) return 'the key "__proto__" is not allowed';
      for (const child of Object.values(item)) next.push(child);
    }
    level = next;
  }
  return null;
}
