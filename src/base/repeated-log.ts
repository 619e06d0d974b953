import type { Log, LogFields } from './log.ts';

interface Line {
  readonly level: 'error' | 'warn';
  readonly message: string;
  readonly fields: LogFields;
}

/** What has been logged, and what of it was left out since. */
interface Repetition {
  times: number;
  latest: Line;
}

/** What happens with every request is told this often. */
const quietMs = 10_000;

/**
 * For what may go wrong with every request, so that an outage does not fill the disk: the first time is logged at once, the
 * others together in a line every 10 s. Its `times` says how many they were; its facts are those of the last one.
 */
export class RepeatedLog {
  readonly #log: Log;
  readonly #repetitions = new Map<string, Repetition>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** @param key - What is the same to who reads the log. Of these there have to be few. */
  write(key: string, line: Line): void {
    const repetition = this.#repetitions.get(key);
    if (repetition !== undefined) {
      repetition.times++;
      repetition.latest = line;
      return;
    }
    this.#log[line.level](line.message, line.fields);
    this.#repetitions.set(key, { times: 0, latest: line });
    this.#summarizeLater(key);
  }

  #summarizeLater(key: string): void {
    setTimeout(() => this.#summarize(key), quietMs).unref();
  }

  #summarize(key: string): void {
    const repetition = this.#repetitions.get(key);
    if (repetition === undefined) return;
    const { times, latest } = repetition;
    if (times === 0) {
      this.#repetitions.delete(key);
      return;
    }
    this.#log[latest.level](latest.message, { ...latest.fields, times });
    repetition.times = 0;
    this.#summarizeLater(key);
  }
}
