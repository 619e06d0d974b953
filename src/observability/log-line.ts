import type { LogFields, LogLevel } from '../base/log.ts';
import { redactFields, redactText } from './redact.ts';
import { timeErrorLog } from './time-format.ts';

/** One event of the gateway's log. */
interface LogEvent {
  readonly level: LogLevel;
  /** Process and thread, such as `1234#w2`. */
  readonly writer: string;
  readonly message: string;
  readonly fields: LogFields | undefined;
  readonly epochMs: number;
}

const RESET = '\x1b[0m';
const levelColours: Readonly<Record<LogLevel, string>> = {
  error: '\x1b[31m',
  warn: '\x1b[33m',
  notice: '\x1b[36m',
  info: '\x1b[32m',
  debug: '\x1b[2m',
};

/** What ends a line or drives a terminal, so that no value can forge a line: C0, DEL, C1, line and paragraph separator. */
const unprintable = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/g;
const namedEscapes: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** The line of one event, without newline, credentials or control characters: `2026/11/21 21:30:00 [warn] 1234#w2: message key=value`. */
export function formatLogLine(event: LogEvent): string {
  let text = redactText(event.message);
  if (event.fields !== undefined) text += fieldsText(event.fields);
  return `${timeErrorLog(event.epochMs)} [${event.level}] ${event.writer}: ${escapeUnprintable(text)}`;
}

/** The same line with its level in colour, for a terminal. */
export function colourLogLine(line: string, level: LogLevel): string {
  return line.replace(`[${level}]`, `${levelColours[level]}[${level}]${RESET}`);
}

function fieldsText(fields: LogFields): string {
  const plain: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) plain[name] = value instanceof Error ? errorText(value) : value;
  }
  let text = '';
  for (const [name, value] of Object.entries(redactFields(plain))) text += ` ${name}=${valueText(value)}`;
  return text;
}

function valueText(value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(value) ?? 'undefined';
  return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}

/** An error with a code is a failure that was foreseen: its message tells all. Any other is a fault, so its stack is kept. */
function errorText(error: Error): string {
  const foreseen = 'code' in error && typeof error.code === 'string';
  const text = foreseen ? error.message : (error.stack ?? error.message).replace(/\n\s+at /g, ' <- ');
  return error.cause instanceof Error ? `${text} (cause: ${error.cause.message})` : text;
}

function escapeUnprintable(text: string): string {
  return text.replace(
    unprintable,
    (char) => namedEscapes[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
