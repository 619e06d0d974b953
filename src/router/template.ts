import type { RequestView } from './request-view.ts';
import { compileVariable, type VariableValue } from './variables.ts';

/** A text whose variables have been replaced for one request. */
export interface ResolvedText {
  readonly text: string;
  /** How many variables had a value, or a default in its place. */
  readonly resolvedCount: number;
}

/** A text of the configuration that may hold variables, compiled. */
export interface Template<R> {
  /** The text itself if it holds no variable and so is the same for every request; null if it holds one. */
  readonly constant: string | null;
  resolve(request: R): ResolvedText;
}

/** Finds what reads a variable, by its name without `$`; null: there is no such variable. */
type FindVariable<R> = (name: string) => ((request: R) => VariableValue) | null;

interface Part<R> {
  readonly read: (request: R) => VariableValue;
  /** What stands in its place if it has no value; undefined: nothing, and then it does not count as resolved. */
  readonly fallback: string | undefined;
  /** The literal text up to the next variable. */
  readonly tail: string;
}

const variablePattern = /(?<!\\)\$(?:\{([^}]+)\}|([\w.]+))/g;

/**
 * Compiles a text with variables as APISIX writes them: `$http_x_user$remote_addr`, `${http_x_limit ?? 100}`. A variable
 * without a value is replaced by what stands behind `??`, or by nothing; so is a name that does not exist, and a value that
 * is no text (an object out of a JSON body). A `$` behind a backslash begins no variable, and both characters stay.
 *
 * @param find - Default: the variables of a request that the router knows ({@link compileVariable}).
 */
export function compileTemplate<R extends RequestView = RequestView>(
  text: string,
  find: FindVariable<R> = (name) => compileVariable(name),
): Template<R> {
  const matches = [...text.matchAll(variablePattern)];
  const head = text.slice(0, matches[0]?.index);
  if (matches.length === 0) {
    const resolved = { text, resolvedCount: 0 };
    return { constant: text, resolve: () => resolved };
  }
  const parts = matches.map((match, index): Part<R> => {
    const [name = '', fallback] = (match[1] ?? match[2] ?? '').split('??', 2).map((piece) => piece.trim());
    const tail = text.slice(match.index + match[0].length, matches[index + 1]?.index);
    return { read: find(name) ?? (() => undefined), fallback, tail };
  });
  return { constant: null, resolve: (request) => resolveParts(head, parts, request) };
}

function resolveParts<R>(head: string, parts: readonly Part<R>[], request: R): ResolvedText {
  let text = head;
  let resolvedCount = 0;
  for (const { read, fallback, tail } of parts) {
    const value = read(request);
    const found = value === undefined || typeof value === 'object' ? fallback : String(value);
    if (found !== undefined) {
      text += found;
      resolvedCount += 1;
    }
    text += tail;
  }
  return { text, resolvedCount };
}
