import type { RequestView } from '../router/request-view.ts';
import { compileTemplate } from '../router/template.ts';
import type { VariableValue } from '../router/variables.ts';

/** JSON Schema of what requests are counted by; `constant` is one counter for all of them. */
export const limitKeyTypes = ['var', 'var_combination', 'constant'] as const;

/**
 * Compiles what requests are counted by.
 *
 * @param key - A variable's name (`var`), a text with variables (`var_combination`), or a text.
 * @param find - Finds what reads a variable, see `compileTemplate`.
 * @returns The value for a request: the client's address when the variable, or none of several, has one.
 */
export function compileLimitKey<R extends RequestView>(
  key: string,
  type: (typeof limitKeyTypes)[number],
  find: (name: string) => ((request: R) => VariableValue) | null,
): (request: R) => string {
  if (type === 'constant') return () => key;
  if (type === 'var_combination') {
    const template = compileTemplate(key, find);
    return (request) => {
      const { text, resolvedCount } = template.resolve(request);
      return resolvedCount === 0 ? request.remoteAddress : text;
    };
  }
  const read = find(key);
  if (read === null) return (request) => request.remoteAddress;
  return (request) => {
    const value = read(request);
    return value === undefined || typeof value === 'object' ? request.remoteAddress : String(value);
  };
}
