import { openLogFile, type LogFile, type LogFileOptions } from './log-file.ts';
import { systemErrorText } from './log-destination.ts';

interface LazyLogFileOptions extends LogFileOptions {
  /** What the gateway log says when the file cannot be opened: `LLM calls are not logged`. */
  readonly failure: string;
}

const RETRY_OPEN_MS = 60_000;

/**
 * A log file that is opened with its first line, so that without a line there is no file. One that cannot be opened
 * costs lines, never a request: the gateway log tells why and how many, and it is tried again once a minute and with
 * {@link reopen}.
 */
export class LazyLogFile implements LogFile {
  readonly #path: string;
  readonly #options: LazyLogFileOptions;
  #file: LogFile | undefined;
  #openNotBefore = -Infinity;
  /** Lines that found no file since the last report. */
  #lostLines = 0;

  constructor(path: string, options: LazyLogFileOptions) {
    this.#path = path;
    this.#options = options;
  }

  write(line: string): void {
    const file = this.#file ?? this.#open();
    if (file === undefined) this.#lostLines++;
    else file.write(line);
  }

  reopen(): void {
    this.#openNotBefore = -Infinity;
    this.#file?.reopen();
  }

  async flush(): Promise<void> {
    await this.#file?.flush();
  }

  async close(): Promise<void> {
    this.#openNotBefore = Infinity;
    await this.#file?.close();
  }

  #open(): LogFile | undefined {
    const now = performance.now();
    if (now < this.#openNotBefore) return undefined;
    const { log, failure } = this.#options;
    try {
      this.#file = openLogFile(this.#path, this.#options);
      if (this.#lostLines > 0) {
        log.warn('the log file is written again', { path: this.#path, lost_lines: this.#lostLines });
      }
    } catch (error) {
      this.#openNotBefore = now + RETRY_OPEN_MS;
      log.error(failure, { reason: systemErrorText(error), lost_lines: this.#lostLines });
    }
    this.#lostLines = 0;
    return this.#file;
  }
}
