import type { LogEscape } from '../observability/log-escape.ts';
import { compileLogFormat, LogFormatError } from '../observability/log-format.ts';
import type { RequestContext } from '../pipeline/context.ts';
import { isPlainLogVariable, logVariableNames, resolveLogVariable } from '../pipeline/variables.ts';

/**
 * Compiles `nginx_config.http.access_log_format`.
 *
 * @throws LogFormatError that names the unknown variable.
 */
export function compileAccessLog(format: string, escape: LogEscape): (ctx: RequestContext) => string {
  return compileLogFormat(format, escape, {
    resolve: resolveLogVariable,
    isPlain: isPlainLogVariable,
    knownNames: logVariableNames,
  });
}

/** @returns What is wrong with a format, naming the variable; null when it can be used. */
export function checkAccessLogFormat(format: string): string | null {
  try {
    compileAccessLog(format, 'default');
    return null;
  } catch (error) {
    if (error instanceof LogFormatError) return error.message;
    throw error;
  }
}
