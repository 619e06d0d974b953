import type { RequestView } from '../router/request-view.ts';
import { compileTemplate } from '../router/template.ts';
import type { VariableValue } from '../router/variables.ts';

/**
 * JSON Schema of a number of a limit: a whole number above 0, or a text with variables that gives one
 * (`${http_x_quota ?? 50000}`).
 */
export const limitNumberSchema = {
  oneOf: [{ type: 'integer', exclusiveMinimum: 0 }, { type: 'string' }],
} as const;

/** A number of a limit, compiled. */
export interface LimitNumber<R> {
  /** The number if it is the same for every request; null if it has variables. */
  readonly constant: number | null;
  /** @returns What the variables of a request give; a text: it is no whole number above 0. */
  readonly resolve: (request: R) => number | string;
}

/**
 * Compiles what {@link limitNumberSchema} accepts.
 *
 * @param find - Finds what reads a variable, see `compileTemplate`.
 */
export function compileLimitNumber<R extends RequestView>(
  value: number | string,
  find: (name: string) => ((request: R) => VariableValue) | null,
): LimitNumber<R> {
  if (typeof value === 'number') return { constant: value, resolve: () => value };
  const template = compileTemplate(value, find);
  if (template.constant !== null) {
    const number = toLimitNumber(template.constant);
    return { constant: typeof number === 'number' ? number : null, resolve: () => number };
  }
  return { constant: null, resolve: (request) => toLimitNumber(template.resolve(request).text) };
}

/** Whether every request would be refused: the text has no variable and is no whole number above 0. */
export function isNeverNumber(value: number | string): boolean {
  return (
    typeof value === 'string' && compileTemplate(value).constant !== null && typeof toLimitNumber(value) === 'string'
  );
}

function toLimitNumber(text: string): number | string {
  // `Number` would take `0x10`, `1e3` and ` 5 ` as well.
  const number = /^[0-9]+$/.test(text) ? Number(text) : 0;
  return Number.isSafeInteger(number) && number > 0 ? number : text;
}
