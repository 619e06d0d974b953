import { parseArithmetic } from './arithmetic.ts';

/** An object out of somebody else's JSON, which may hold anything. */
type JsonObject = Readonly<Record<string, unknown>>;

/** A `cost_expr`, compiled. */
export interface CostExpression {
  /**
   * @param usage - The `usage` of an answer, as the provider wrote it.
   * @returns What is taken from a limit, see {@link toWholeTokens}.
   */
  readonly evaluate: (usage: JsonObject) => number | null;
}

// More than any provider writes, and a bound on the work that an answer can cause.
const maxLevels = 8;
const maxObjectsOfLevel = 64;

/**
 * Compiles a `cost_expr`: arithmetic (see {@link parseArithmetic}) over the numbers of a provider's usage object.
 *
 * A name is that of a member, of the outermost object or else of the nearest object inside it; among objects that are
 * equally near, the one whose own name is first in the alphabet. A name with dots is the path of a member:
 * `prompt_tokens_details.cached_tokens`. What is not there, or is no number, is 0.
 *
 * @throws ArithmeticSyntaxError, which names the position.
 */
export function compileCostExpression(text: string): CostExpression {
  const { names, evaluate } = parseArithmetic(text);
  const plainNames = names.filter((name) => !name.includes('.'));
  const paths = names.filter((name) => name.includes('.')).map((name) => ({ name, path: name.split('.') }));
  return {
    evaluate: (usage) => {
      const values = findMembers(usage, plainNames);
      for (const { name, path } of paths) values.set(name, numberAt(usage, path));
      return toWholeTokens(evaluate((name) => values.get(name) ?? 0));
    },
  };
}

/** @returns A whole number of at least 0, halves rounded up; null: `tokens` is no finite number. */
export function toWholeTokens(tokens: number): number | null {
  if (!Number.isFinite(tokens)) return null;
  return Math.min(Math.max(0, Math.floor(tokens + 0.5)), Number.MAX_SAFE_INTEGER);
}

function findMembers(usage: JsonObject, names: readonly string[]): Map<string, number> {
  const found = new Map<string, number>();
  let level = [usage];
  for (let depth = 0; depth < maxLevels && level.length > 0 && found.size < names.length; depth++) {
    for (const object of level) {
      for (const name of names) {
        const value = memberOf(object, name);
        if (typeof value === 'number' && !found.has(name)) found.set(name, value);
      }
    }
    level = level.flatMap(objectsInside).slice(0, maxObjectsOfLevel);
  }
  return found;
}

/** In the order of their names, so that the choice does not depend on the order in which a provider writes them. */
function objectsInside(object: JsonObject): JsonObject[] {
  return Object.keys(object)
    .toSorted()
    .map((key) => object[key])
    .filter(isObject);
}

function numberAt(usage: JsonObject, path: readonly string[]): number {
  let value: unknown = usage;
  for (const key of path) value = isObject(value) ? memberOf(value, key) : undefined;
  return typeof value === 'number' ? value : 0;
}

function memberOf(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
