import type { Log, LogFields, LogLevel } from '../base/log.ts';
import { silentLog } from '../base/log.ts';
import { colourLogLine, formatLogLine } from './log-line.ts';
import { openLogFile, type LogFile } from './log-file.ts';

/**
 * The values of nginx's `error_log_level`. The three that are more severe than `error` mean `error` here:
 * Weir writes nothing above it, and the worst must never be hidden.
 */
export type GatewayLogLevel = 'emerg' | 'alert' | 'crit' | LogLevel;

/** The gateway's own log on its destinations. */
export interface GatewayLog extends Log {
  /** Lines less severe than this are not written. Takes effect at once. */
  setLevel(level: GatewayLogLevel): void;
  /** Opens the file anew after a rotation. */
  reopen(): void;
  /** Resolves when all lines so far are written. */
  flush(): Promise<void>;
  /** Writes what is left and closes; later lines are ignored. */
  close(): Promise<void>;
}

export interface GatewayLogOptions {
  /** Path of the file, `/dev/stdout` or `/dev/stderr`. Absent: standard error alone, if `alsoStderr` is set. */
  readonly file?: string;
  readonly level: GatewayLogLevel;
  /** Write each line to standard error, too: for a person who started the gateway in a terminal. */
  readonly alsoStderr: boolean;
  /** Colour the lines on standard error. */
  readonly colour: boolean;
  /** Which thread writes, such as `main` or `w2`. */
  readonly thread: string;
}

/** How severe a level is: lines with a rank up to that of the log are written. */
const ranks: Readonly<Record<GatewayLogLevel, number>> = {
  emerg: 0,
  alert: 0,
  crit: 0,
  error: 0,
  warn: 1,
  notice: 2,
  info: 3,
  debug: 4,
};

/**
 * Opens the gateway's log. Lines look like nginx's error log and hold no credential:
 * `2026/11/21 21:30:00 [warn] 1234#w2: message key=value`.
 *
 * Each line is handed to the operating system at once and never waited for. When the file cannot be written, standard error tells.
 *
 * @throws Error naming the path when the file cannot be opened.
 */
export function createGatewayLog(options: GatewayLogOptions): GatewayLog {
  const stderr = openLogFile('/dev/stderr', { bufferBytes: 0, log: silentLog });
  const stderrLines: LogSink = { file: stderr, colour: options.colour };
  const stderrLog = new LineLog([stderrLines], options);
  if (options.file === undefined || options.file === '/dev/stderr') {
    return options.alsoStderr || options.file !== undefined ? stderrLog : new LineLog([], options);
  }
  const fileLines: LogSink = {
    file: openLogFile(options.file, { bufferBytes: 0, log: stderrLog }),
    colour: false,
  };
  return new LineLog(options.alsoStderr ? [fileLines, stderrLines] : [fileLines], options);
}

interface LogSink {
  readonly file: LogFile;
  readonly colour: boolean;
}

class LineLog implements GatewayLog {
  readonly #sinks: readonly LogSink[];
  readonly #writer: string;
  #rank: number;

  constructor(sinks: readonly LogSink[], options: GatewayLogOptions) {
    this.#sinks = sinks;
    this.#writer = `${process.pid}#${options.thread}`;
    this.#rank = ranks[options.level];
  }

  error(message: string, fields?: LogFields): void {
    this.#write('error', message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#write('warn', message, fields);
  }

  notice(message: string, fields?: LogFields): void {
    this.#write('notice', message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#write('info', message, fields);
  }

  debug(message: string, fields?: LogFields): void {
    this.#write('debug', message, fields);
  }

  setLevel(level: GatewayLogLevel): void {
    this.#rank = ranks[level];
  }

  reopen(): void {
    for (const { file } of this.#sinks) file.reopen();
  }

  async flush(): Promise<void> {
    await Promise.all(this.#sinks.map(({ file }) => file.flush()));
  }

  async close(): Promise<void> {
    await Promise.all(this.#sinks.map(({ file }) => file.close()));
  }

  #write(level: LogLevel, message: string, fields: LogFields | undefined): void {
    if (ranks[level] > this.#rank) return;
    const line = formatLogLine({ level, writer: this.#writer, message, fields, epochMs: Date.now() });
    for (const { file, colour } of this.#sinks) file.write(colour ? colourLogLine(line, level) : line);
  }
}
