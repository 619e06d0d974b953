import { constants, fstatSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { getSystemErrorMessage } from 'node:util';
import { makeFolder } from '../base/make-folder.ts';

/** The standard streams by the path an operator writes in the configuration. */
const standardStreams: ReadonlyMap<string, number> = new Map([
  ['/dev/stdout', 1],
  ['/dev/stderr', 2],
]);

/** True for `/dev/stdout` and `/dev/stderr`: nothing to reopen, and lines are handed over in pieces that a pipe keeps whole. */
export function isStandardStream(path: string): boolean {
  return standardStreams.has(path);
}

/**
 * Opens a log destination for appending. The directory of a file is created.
 *
 * @param mode - Permissions of a file that is not there yet, less what the umask takes away.
 * @returns A file descriptor; 1 or 2 for a standard stream that is not a pipe.
 * @throws Error naming the path and the reason.
 */
export function openLogDestination(path: string, mode: number): number {
  const stream = standardStreams.get(path);
  if (stream !== undefined) return openStandardStream(path, stream);
  try {
    return openFile(path, mode);
  } catch (error) {
    throw new Error(`cannot open the log file ${path}: ${systemErrorText(error)}`, { cause: error });
  }
}

/** A named pipe that nobody reads would stop the thread until somebody does; not blocking, it is an error. No effect on files. */
const appending = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;

function openFile(path: string, mode: number): number {
  try {
    return openSync(path, appending, mode);
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error;
    makeFolder(dirname(path));
    return openSync(path, appending, mode);
  }
}

function isSystemError(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

/**
 * A pipe is opened anew without blocking: a write to a full pipe would hold a thread of libuv's pool, four such writes would stop
 * name lookups and file access of the whole process. Other kinds keep the inherited descriptor: a file behind `> out.log`
 * must share its offset with what else the process prints, and a socket cannot be opened by path.
 */
function openStandardStream(path: string, stream: number): number {
  try {
    if (!fstatSync(stream).isFIFO()) return stream;
    return openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK);
  } catch {
    // The pipe belongs to another user (containers that drop privileges) or its reader is gone.
    return stream;
  }
}

/** The reason of a failed system call without its path and call: `permission denied (EACCES)`. */
export function systemErrorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('errno' in error && typeof error.errno === 'number' && 'code' in error) {
    return `${getSystemErrorMessage(error.errno)} (${String(error.code)})`;
  }
  return error.message;
}
