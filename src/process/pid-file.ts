import { closeSync, fstatSync, openSync, readFileSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeFolder } from '../base/make-folder.ts';

/** A pid file that this process holds until it ends. */
export interface PidFile {
  /** Removes the file, unless another gateway has put its own in the place. Call it last, right before the exit. */
  release(): void;
}

/** Another gateway's process, found through its pid file. */
export interface RunningGateway {
  readonly pid: number;
  /** False from the moment on when the process has ended, also when its number was given to another program. */
  isAlive(): boolean;
}

/**
 * Writes this process's number, on one line as nginx does, so that `kill -USR1 $(cat logs/weir.pid)` works. The file
 * stays open for as long as the process lives: that is how {@link findRunningGateway} tells a live file from one that
 * a killed gateway left behind.
 *
 * @param file - Absolute path; missing folders are made. A stale file is replaced.
 * Call it when no other gateway can run on the same prefix (the store is open).
 *
 * @throws When the file cannot be written.
 */
export function claimPidFile(file: string): PidFile {
  makeFolder(dirname(file));
  rmSync(file, { force: true });
  const descriptor = openSync(file, 'wx', 0o644);
  writeNumber(descriptor, file);
  const { dev, ino } = fstatSync(descriptor);
  return {
    release: () => {
      const present = statSync(file, { throwIfNoEntry: false });
      // The descriptor is left open: whoever waits for this process must see it until the very end.
      if (present?.dev === dev && present.ino === ino) rmSync(file, { force: true });
    },
  };
}

/**
 * The gateway that a pid file names, or `undefined` when there is no file, or when no such process holds it open any
 * more (it was killed, or the machine was restarted and the number belongs to another program now).
 */
export function findRunningGateway(file: string): RunningGateway | undefined {
  const descriptor = openIfPresent(file);
  if (descriptor === undefined) return undefined;
  try {
    const pid = Number(readFileSync(descriptor, 'utf8').trim());
    if (!Number.isInteger(pid) || pid <= 0) return undefined;
    const { dev, ino } = fstatSync(descriptor);
    const isAlive = (): boolean => holdsFile(pid, dev, ino);
    // Our own look at the file must not count as the gateway's, should the stale number be this process's.
    if (pid === process.pid) return undefined;
    return isAlive() ? { pid, isAlive } : undefined;
  } finally {
    closeSync(descriptor);
  }
}

function writeNumber(descriptor: number, file: string): void {
  try {
    writeSync(descriptor, `${process.pid}\n`);
  } catch (cause) {
    // The system's own message names no file when it is a write that fails, as on a full disk.
    throw new Error(`cannot write ${file}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

function openIfPresent(file: string): number | undefined {
  try {
    return openSync(file, 'r');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function holdsFile(pid: number, dev: number, ino: number): boolean {
  const folder = `/proc/${pid}/fd`;
  let descriptors: string[];
  try {
    descriptors = readdirSync(folder);
  } catch (error) {
    // Another user's process, or one with privileges of its own: its files are hidden, only its life can be seen.
    return errorCode(error) === 'EACCES' && !isZombie(pid);
  }
  return descriptors.some((name) => {
    try {
      const held = statSync(`${folder}/${name}`);
      return held.dev === dev && held.ino === ino;
    } catch {
      // Closed between the listing and the look, or unreadable: not the file in either case.
      return false;
    }
  });
}

/** An ended process that its parent has not yet waited for still has a folder in /proc. */
function isZombie(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in brackets may hold anything, so the state is looked for behind the last bracket (proc_pid_stat(5)).
    return 'ZX'.includes(stat.slice(stat.lastIndexOf(')') + 2)[0] ?? 'Z');
  } catch {
    return true;
  }
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
