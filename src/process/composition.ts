import { version } from '../base/version.ts';
import { pluginCatalogue, pluginFinder } from '../plugins/index.ts';
import { checkAccessLogFormat } from '../proxy/access-log.ts';
import { checkVars } from '../router/expression.ts';
import { runCommandLine } from './command-line.ts';

/**
 * Composition root of the main thread: hands each room its parts and runs one command of `weir`.
 *
 * @param args - Without the program's own name.
 * @returns The exit status.
 */
export function runWeir(args: readonly string[]): Promise<number> {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return runCommandLine(args, {
    version,
    workerUrl: new URL(`../worker.${extension}`, import.meta.url),
    catalogue: pluginCatalogue,
    pluginFinder,
    checkVars,
    checkAccessLogFormat,
  });
}
