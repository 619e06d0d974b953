import { compileIpMatcher } from '../base/ip.ts';
import { compilePcre } from './pcre.ts';
import type { VariableValue } from './variables.ts';

/** Compares the value of a variable with what the expression names. */
export type Comparison = (left: VariableValue) => boolean;

/**
 * The operators of `vars` by name, each as a function from the value in the expression to the comparison.
 *
 * They follow lua-resty-expr, with these additions, where Lua would answer false for want of types: a number from a JSON body
 * equals the string that writes it; `in` and `has` compare like `==`; `has` takes a left side that is no list as a list of one.
 * A missing variable is nil: it equals null only, and no order, pattern or address holds for it.
 *
 * @throws {TypeError | SyntaxError} from an operator whose value cannot be used; the message says why.
 */
export const operators: ReadonlyMap<string, (right: unknown) => Comparison> = new Map([
  [
    '==',
    (right: unknown): Comparison =>
      (left) =>
        isEqual(left, right),
  ],
  [
    '~=',
    (right: unknown): Comparison =>
      (left) =>
        !isEqual(left, right),
  ],
  ['>', (right: unknown) => compileOrder(right, (left, bound) => left > bound)],
  ['>=', (right: unknown) => compileOrder(right, (left, bound) => left >= bound)],
  ['<', (right: unknown) => compileOrder(right, (left, bound) => left < bound)],
  ['<=', (right: unknown) => compileOrder(right, (left, bound) => left <= bound)],
  ['~~', (right: unknown) => compileRegex(right, false)],
  ['~*', (right: unknown) => compileRegex(right, true)],
  ['in', compileIn],
  ['has', compileHas],
  ['ipmatch', compileIpMatch],
]);

/** A number on the right side makes it a comparison of numbers, as in lua-resty-expr: `"1.0" == 1`. */
function isEqual(left: unknown, right: unknown): boolean {
  if (typeof right === 'number') return toNumber(left) === right;
  if (right === null || right === undefined) return left === undefined;
  return typeof left === 'number' ? String(left) === right : left === right;
}

/** Lua's tonumber: NaN for all that is not a number. */
function toNumber(value: unknown): number {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && /^\s*[-+.\da-fA-FxX]+\s*$/.test(value) ? Number(value) : Number.NaN;
}

function compileOrder(right: unknown, holds: (left: number, bound: number) => boolean): Comparison {
  const bound = toNumber(right);
  // Comparing with NaN is false, as APISIX has it for what is not a number.
  return (left) => holds(toNumber(left), bound);
}

function compileRegex(right: unknown, ignoreCase: boolean): Comparison {
  if (typeof right !== 'string' && typeof right !== 'number') {
    throw new TypeError('invalid regular expression: expected a string');
  }
  const regex = toRegex(String(right), ignoreCase);
  return (left) => (typeof left === 'string' || typeof left === 'number') && regex.test(String(left));
}

function toRegex(pattern: string, ignoreCase: boolean): RegExp {
  try {
    return compilePcre(pattern, { ignoreCase });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SyntaxError(`invalid regular expression '${pattern}': ${reason}`, { cause: error });
  }
}

function compileIn(right: unknown): Comparison {
  if (!Array.isArray(right)) return () => false;
  return (left) => right.some((element) => isEqual(left, element));
}

function compileHas(right: unknown): Comparison {
  return (left) => (Array.isArray(left) ? left.some((element) => isEqual(element, right)) : isEqual(left, right));
}

function compileIpMatch(right: unknown): Comparison {
  const entries: readonly unknown[] = Array.isArray(right) ? right : [right];
  const cidrs = entries.map((entry) => {
    if (typeof entry !== 'string' || entry === '') throw new TypeError('invalid ip address');
    return entry;
  });
  if (cidrs.length === 0) throw new TypeError('invalid ip address');
  const matchesIp = compileIpMatcher(cidrs);
  return (left) => typeof left === 'string' && matchesIp(left);
}
