/** Severities of nginx's error_log that Weir uses, most severe first. */
export type LogLevel = 'error' | 'warn' | 'notice' | 'info' | 'debug';

/** Facts beside the sentence: plain values only. Never a credential. */
export type LogFields = Readonly<Record<string, unknown>>;

/** The gateway's own log (nginx's error log). The access log is another thing: observability/. */
export interface Log {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  notice(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
}

/** A log that nobody reads: for tests and for code that runs before the log files are open. */
export const silentLog: Log = {
  error: () => {},
  warn: () => {},
  notice: () => {},
  info: () => {},
  debug: () => {},
};

/** A log that adds these fields to everything that is said. */
export function withFields(log: Log, fields: LogFields): Log {
  return {
    error: (message, more) => log.error(message, { ...fields, ...more }),
    warn: (message, more) => log.warn(message, { ...fields, ...more }),
    notice: (message, more) => log.notice(message, { ...fields, ...more }),
    info: (message, more) => log.info(message, { ...fields, ...more }),
    debug: (message, more) => log.debug(message, { ...fields, ...more }),
  };
}
