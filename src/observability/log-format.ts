import { nearestName } from '../base/nearest-name.ts';
import { logEscapes, type LogEscape } from './log-escape.ts';

/** Reads one variable from a record. `undefined`: this record has no such value. */
export type LogVariable<R> = (record: R) => string | number | undefined;

/** A log format cannot be used. The message names the variable or the place; the caller knows which field holds the format. */
export class LogFormatError extends Error {
  override readonly name = 'LogFormatError';
}

/** The variables that a log format may use. */
interface LogVariables<R> {
  /** Gives the reader of a variable, `null` for a name that does not exist. Called once for each use, never per request. */
  readonly resolve: (name: string) => LogVariable<R> | null;
  /** True for a variable whose values hold nothing to be escaped, in any mode: digits, dots, letters, spaces. Default: none. */
  readonly isPlain?: (name: string) => boolean;
  /** Names to suggest from when a name does not exist. */
  readonly knownNames?: readonly string[];
}

/**
 * Compiles a log format in nginx's syntax: `$name`, `${name}`, everything else literally.
 *
 * @param escape - What happens to values, see {@link logEscapes}. Literal text is never escaped.
 * @returns A function that makes the line of one record, without a newline at its end.
 * @throws LogFormatError for an unknown variable, a `$` without a name and a `${` without `}`.
 */
export function compileLogFormat<R>(
  format: string,
  escape: LogEscape,
  variables: LogVariables<R>,
): (record: R) => string {
  const { head, names, tails } = parseLogFormat(format);
  const mode = logEscapes[escape];
  const columns = names.map((name, index) => {
    const read = variables.resolve(name);
    if (read === null) throw unknownVariable(name, variables.knownNames ?? []);
    return { read, escape: variables.isPlain?.(name) === true ? null : mode.escape, tail: tails[index] ?? '' };
  });

  return (record) => {
    let line = head;
    for (const { read, escape, tail } of columns) {
      const value = read(record);
      if (value === undefined) line += mode.missing;
      else line += escape === null || typeof value === 'number' ? value : escape(value);
      line += tail;
    }
    return line;
  };
}

/**
 * ```
 * "$remote_addr - [${time_local}] x"
 *  head ''   names[0] remote_addr   tails[0] ' - ['   names[1] time_local   tails[1] '] x'
 * ```
 */
interface ParsedLogFormat {
  readonly head: string;
  readonly names: readonly string[];
  /** The literal text behind each variable: as long as `names`. */
  readonly tails: readonly string[];
}

function parseLogFormat(format: string): ParsedLogFormat {
  const names: string[] = [];
  const literals: string[] = [];
  const variable = /\$(?:\{(\w+)\}|(\w+)|)/g;
  let literalStart = 0;
  for (const match of format.matchAll(variable)) {
    const name = match[1] ?? match[2];
    if (name === undefined) throw malformedVariable(format, match.index);
    literals.push(format.slice(literalStart, match.index));
    names.push(name);
    literalStart = match.index + match[0].length;
  }
  literals.push(format.slice(literalStart));
  const [head = '', ...tails] = literals;
  return { head, names, tails };
}

function malformedVariable(format: string, position: number): LogFormatError {
  const near = format.slice(position, position + 20);
  return new LogFormatError(
    `expected a variable name after "$" at position ${position + 1}, near "${near}": write $name or \${name}, names have letters, digits and _`,
  );
}

function unknownVariable(name: string, knownNames: readonly string[]): LogFormatError {
  const suggestion = nearestName(name, knownNames);
  const hint = suggestion === null ? '' : `, did you mean "$${suggestion}"?`;
  return new LogFormatError(`unknown variable "$${name}"${hint}`);
}
