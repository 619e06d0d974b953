import { operators } from './operators.ts';
import type { RequestView } from './request-view.ts';
import { compileVariable, variableNeedsBody, type ExtendVariables } from './variables.ts';

/** A `vars` list, compiled. */
export interface Expression {
  matches(request: RequestView): boolean;
  /** True when it reads a variable that is only there once the request body has been read (`post_arg...`). */
  readonly needsBody: boolean;
}

interface ExpressionOptions {
  /** Knows the variables that compileVariable does not. */
  readonly extend?: ExtendVariables;
}

/** Deeper lists than anyone writes would only exhaust the stack. */
const maxDepth = 64;

/**
 * Compiles a list of conditions, the language of a route's `vars` and of `_meta.filter` (lua-resty-expr).
 *
 * A condition is `[name, operator, value]`, negated `[name, "!", operator, value]`, or short for equality `[name, value]`; see
 * compileVariable for names and operators.ts for operators. A list of conditions holds when all of them hold. It may begin with
 * `"AND"`, `"OR"`, `"!AND"` or `"!OR"`, and lists may be nested. An empty list always holds.
 *
 * @example compileVars([['arg_version', '==', 'v2'], ['OR', ['http_x_a', '~~', '^b'], ['post_arg.model', 'in', ['m1', 'm2']]]])
 * @throws {TypeError | SyntaxError} with the text that {@link checkVars} answers.
 */
export function compileVars(vars: unknown, options: ExpressionOptions = {}): Expression {
  if (!Array.isArray(vars)) throw new TypeError('expected an array');
  const list: readonly unknown[] = vars;
  if (list.length === 0) return { matches: () => true, needsBody: false };
  if (!Array.isArray(list[0]) && toLogic(list[0]) === null) {
    throw new TypeError('rule should be wrapped inside brackets');
  }
  return compileRule(list, options, 1);
}

/** @returns Why {@link compileVars} would refuse this (`invalid operator '='`), or null when it is fine. */
export function checkVars(vars: unknown, options: ExpressionOptions = {}): string | null {
  try {
    compileVars(vars, options);
    return null;
  } catch (error) {
    if (error instanceof TypeError || error instanceof SyntaxError) return error.message;
    throw error;
  }
}

interface Logic {
  readonly any: boolean;
  readonly negated: boolean;
}

const logicOperators: ReadonlyMap<string, Logic> = new Map([
  ['AND', { any: false, negated: false }],
  ['OR', { any: true, negated: false }],
  ['!AND', { any: false, negated: true }],
  ['!OR', { any: true, negated: true }],
]);

function toLogic(first: unknown): Logic | null {
  return typeof first === 'string' ? (logicOperators.get(first.toUpperCase()) ?? null) : null;
}

function compileRule(rule: unknown, options: ExpressionOptions, depth: number): Expression {
  if (depth > maxDepth) throw new TypeError(`rules are nested deeper than ${maxDepth}`);
  if (!Array.isArray(rule)) throw new TypeError('invalid expression');
  const parts: readonly unknown[] = rule;
  if (parts.length === 0) throw new TypeError('rule too short');
  if (Array.isArray(parts[0])) return compileAll(parts, options, depth);

  const logic = toLogic(parts[0]);
  if (logic === null) return compileCondition(parts, options);
  if (parts.length <= 2) throw new TypeError('rule too short');
  const rules = parts.slice(1).map((part) => compileRule(part, options, depth + 1));
  return combine(rules, logic);
}

function compileAll(rules: readonly unknown[], options: ExpressionOptions, depth: number): Expression {
  return combine(
    rules.map((rule) => compileRule(rule, options, depth + 1)),
    { any: false, negated: false },
  );
}

function combine(rules: readonly Expression[], { any, negated }: Logic): Expression {
  const [only] = rules;
  if (only !== undefined && rules.length === 1 && !negated) return only;
  return {
    matches(request) {
      for (const rule of rules) {
        if (rule.matches(request) === any) return any !== negated;
      }
      return any === negated;
    },
    needsBody: rules.some((rule) => rule.needsBody),
  };
}

function compileCondition(parts: readonly unknown[], options: ExpressionOptions): Expression {
  const { name, operator, value, negated } = readCondition(parts);
  const toComparison = operators.get(operator);
  if (toComparison === undefined) throw new TypeError(`invalid operator '${operator}'`);
  const variable = compileVariable(name, options);
  if (variable === null) throw new TypeError(`unknown variable '${name}'`);
  const compare = toComparison(value);
  return {
    matches: (request) => compare(variable(request)) !== negated,
    needsBody: variableNeedsBody(name),
  };
}

interface Condition {
  readonly name: string;
  readonly operator: string;
  readonly value: unknown;
  readonly negated: boolean;
}

function readCondition(parts: readonly unknown[]): Condition {
  const [name, second, third, fourth] = parts;
  if (typeof name !== 'string' || parts.length < 2 || parts.length > 4) throw new TypeError('invalid expression');
  if (parts.length === 4) {
    if (second !== '!') throw new TypeError("bad 'not' expression");
    return { name, operator: operatorName(third), value: fourth, negated: true };
  }
  const isShort = parts.length === 2 && !operators.has(operatorName(second));
  if (isShort) return { name, operator: '==', value: second, negated: false };
  return { name, operator: operatorName(second), value: third, negated: false };
}

/** Operators are read without case (`IN`). */
function operatorName(part: unknown): string {
  return typeof part === 'string' ? part.toLowerCase() : JSON.stringify(part);
}
