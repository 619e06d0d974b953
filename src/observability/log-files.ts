import { resolve } from 'node:path';
import type { Log } from '../base/log.ts';
import { LazyLogFile } from './lazy-log-file.ts';

interface LogFilesOptions {
  /** Relative paths lie under it. */
  readonly prefix: string;
  /** Lines are gathered up to this size before they are written; 0 writes each line at once. */
  readonly bufferBytes: number;
  readonly log: Log;
}

/**
 * The files that logger plugins of this worker write: one handle a path, whatever the number of routes. Only their owner
 * can read them, because entries may hold prompts.
 */
export class LogFiles {
  readonly #options: LogFilesOptions;
  readonly #files = new Map<string, LazyLogFile>();

  constructor(options: LogFilesOptions) {
    this.#options = options;
  }

  /** Gives the file of a path. It, and its folder, are made with the first line. */
  get(path: string): Pick<LazyLogFile, 'write'> {
    const { prefix, bufferBytes, log } = this.#options;
    const absolute = resolve(prefix, path);
    let file = this.#files.get(absolute);
    if (file === undefined) {
      file = new LazyLogFile(absolute, { bufferBytes, mode: 0o600, log, failure: 'file-logger: entries are lost' });
      this.#files.set(absolute, file);
    }
    return file;
  }

  /** Opens all files anew after a rotation. */
  reopen(): void {
    for (const file of this.#files.values()) file.reopen();
  }

  /** Writes what is left and closes. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#files.values(), (file) => file.close()));
  }
}
