import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Makes a folder with its parents; one that is there stays as it is. Node's own `recursive` never returns where the system
 * denies a folder with ENOENT, as /proc does.
 *
 * @param mode - Permissions of what is made, less the umask.
 * @throws Error of the system, with its `code`.
 */
export function makeFolder(path: string, mode = 0o777): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path), mode);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    // Another thread or process was faster.
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}
