import sonicBoom, { type SonicBoom } from 'sonic-boom';
import type { Log } from '../base/log.ts';
import { isStandardStream, openLogDestination, systemErrorText } from './log-destination.ts';

/** A file of lines that many threads append to. Nothing here throws or waits on the path of a request. */
export interface LogFile {
  /** Adds one line; the newline is added here. Dropped and counted when the destination does not keep up. */
  write(line: string): void;
  /** Opens the path anew after a rotation. Lines written before go to the old file. No effect on a standard stream. */
  reopen(): void;
  /** Resolves when all lines so far are in the file, or could not be written (which the gateway log tells). */
  flush(): Promise<void>;
  /** Writes what is left, at most for a second, and closes. Later lines are ignored. */
  close(): Promise<void>;
}

export interface LogFileOptions {
  /** Lines are gathered up to this size before they are written; 0 writes each line at once. */
  readonly bufferBytes: number;
  /** A line waits no longer than this for others to be written with. Default 100. */
  readonly flushIntervalMs?: number;
  /** What may wait in memory for a destination that takes nothing; newer lines are dropped. Default 8 MiB. */
  readonly maxPendingBytes?: number;
  /** Permissions of a file that is made, less what the umask takes away. Default 0o644. */
  readonly mode?: number;
  /** Told when lines cannot be written, at most once a minute, and when it works again. */
  readonly log: Log;
}

const DEFAULT_FLUSH_INTERVAL_MS = 100;
const DEFAULT_MAX_PENDING_BYTES = 8 * 1024 * 1024;
const DEFAULT_MODE = 0o644;
const REPORT_INTERVAL_MS = 60_000;
const CLOSE_DEADLINE_MS = 1000;
/** Linux's PIPE_BUF: writes up to this size to a pipe are never mixed with another thread's (pipe(7)). */
const PIPE_ATOMIC_BYTES = 4096;
/** Batches that queue up behind a running write are joined up to this size. */
const MAX_JOINED_BYTES = 256 * 1024;
/** UTF-8 takes three for a UTF-16 unit, four for two. */
const MAX_BYTES_PER_CHAR = 3;
const LINE_FEED = 0x0a;
const nothing = Buffer.alloc(0);

/**
 * Opens a log file for appending, or `/dev/stdout` or `/dev/stderr`.
 *
 * Each write to the file ends at the end of a line, so lines of several threads do not mix. The one exception: a disk that fills
 * up in the middle of a write takes half a line, and another thread may be the first to write when there is space again.
 *
 * @throws Error naming the path when it cannot be opened.
 */
export function openLogFile(path: string, options: LogFileOptions): LogFile {
  return new BufferedLogFile(path, options);
}

/** sonic-boom's types know texts only; with `contentMode: 'buffer'` it takes bytes. */
type ByteStream = Omit<SonicBoom, 'write'> & { write(bytes: Buffer): boolean };

/**
 * ```
 * write(line) -> #batch (bytes that fill up) -> #stream (sonic-boom: one write at a time, the rest queued) -> file
 *                 up to bufferBytes or flushIntervalMs    up to maxPendingBytes, then dropped
 * ```
 */
class BufferedLogFile implements LogFile {
  readonly #path: string;
  readonly #log: Log;
  readonly #batchBytes: number;
  readonly #flushIntervalMs: number;
  readonly #maxPendingBytes: number;
  readonly #mode: number;
  #stream: ByteStream;
  // Lines are encoded as they come: kept as text, a batch would be a rope of a thousand pieces to be joined at once.
  #batch = nothing;
  #batchLength = 0;
  #batchLines = 0;
  /** Lines handed to the stream since it was last empty. */
  #queuedLines = 0;
  #timer: NodeJS.Timeout | undefined;
  #droppedLines = 0;
  /** Why lines wait or get lost at present, `null` when all is well. */
  #failure: string | null = null;
  #failureReported = false;
  #reportedAt = -Infinity;
  #closed = false;

  constructor(path: string, options: LogFileOptions) {
    this.#path = path;
    this.#log = options.log;
    this.#batchBytes = isStandardStream(path) ? Math.min(options.bufferBytes, PIPE_ATOMIC_BYTES) : options.bufferBytes;
    this.#flushIntervalMs = options.flushIntervalMs ?? DEFAULT_FLUSH_INTERVAL_MS;
    this.#maxPendingBytes = options.maxPendingBytes ?? DEFAULT_MAX_PENDING_BYTES;
    this.#mode = options.mode ?? DEFAULT_MODE;
    this.#stream = this.#openStream();
  }

  write(line: string): void {
    if (this.#closed) return;
    const mostBytes = line.length * MAX_BYTES_PER_CHAR + 1;
    if (this.#batchLines > 0 && this.#batchLength + mostBytes > this.#batchBytes) this.#handOver();
    // The stream keeps the bytes that it is given until they are written, so each batch has its own.
    if (this.#batchLines === 0) this.#batch = Buffer.allocUnsafeSlow(Math.max(this.#batchBytes, mostBytes));
    this.#batchLength += this.#batch.write(line, this.#batchLength);
    this.#batch[this.#batchLength++] = LINE_FEED;
    this.#batchLines++;
    if (this.#batchLength >= this.#batchBytes) this.#handOver();
    else this.#startTimer();
  }

  reopen(): void {
    if (this.#closed || isStandardStream(this.#path)) return;
    let next: ByteStream;
    try {
      next = this.#openStream();
    } catch (error) {
      this.#log.error('lines go on to the old log file', { reason: systemErrorText(error) });
      return;
    }
    this.#handOver();
    void this.#retireStream();
    this.#stream = next;
  }

  async flush(): Promise<void> {
    if (this.#closed) return;
    this.#handOver();
    await new Promise<void>((resolve) => {
      this.#stream.flush(() => resolve());
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // The field keeps the dead timer, so that nothing starts another.
    clearTimeout(this.#timer);
    this.#handOver();
    await this.#retireStream();
  }

  #openStream(): ByteStream {
    const stream = new sonicBoom.SonicBoom({
      fd: openLogDestination(this.#path, this.#mode),
      contentMode: 'buffer',
      maxLength: this.#maxPendingBytes,
      maxWrite: isStandardStream(this.#path) ? PIPE_ATOMIC_BYTES : MAX_JOINED_BYTES,
    });
    stream.on('error', this.#onError);
    stream.on('drop', this.#onDrop);
    stream.on('drain', this.#onDrain);
    return stream as unknown as ByteStream;
  }

  /** Ends the current stream, which counts as lost what it cannot write any more. */
  async #retireStream(): Promise<void> {
    const stream = this.#stream;
    const queuedLines = this.#queuedLines;
    this.#queuedLines = 0;
    stream.off('error', this.#onError);
    stream.off('drain', this.#onDrain);
    const failure = await endStream(stream);
    if (failure === null || queuedLines === 0) return;
    this.#droppedLines += queuedLines;
    this.#reportFailure(systemErrorText(failure));
  }

  #handOver(): void {
    if (this.#batchLines === 0) {
      if (this.#failure !== null) this.#stream.flush();
      return;
    }
    this.#queuedLines += this.#batchLines;
    this.#stream.write(this.#batch.subarray(0, this.#batchLength));
    this.#batch = nothing;
    this.#batchLength = 0;
    this.#batchLines = 0;
  }

  #startTimer(): void {
    this.#timer ??= setTimeout(this.#onTimer, this.#flushIntervalMs).unref();
  }

  /** While something is wrong it comes again and again: the stream keeps what it could not write, and only we try anew. */
  readonly #onTimer = (): void => {
    this.#timer = undefined;
    this.#handOver();
    if (this.#failure === null) return;
    this.#startTimer();
    this.#reportFailure(this.#failure);
  };

  readonly #onError = (error: Error): void => {
    this.#failure = systemErrorText(error);
    this.#startTimer();
  };

  /** Runs inside `#handOver`: the batch did not fit behind the lines that wait. */
  readonly #onDrop = (): void => {
    this.#queuedLines -= this.#batchLines;
    this.#droppedLines += this.#batchLines;
    this.#failure ??= 'lines come faster than they are taken';
    this.#startTimer();
  };

  readonly #onDrain = (): void => {
    this.#queuedLines = 0;
    this.#failure = null;
    if (!this.#failureReported) return;
    this.#failureReported = false;
    this.#log.warn('the log file is written again', { path: this.#path, lost_lines: this.#droppedLines });
    this.#droppedLines = 0;
  };

  #reportFailure(reason: string): void {
    const now = performance.now();
    if (now - this.#reportedAt < REPORT_INTERVAL_MS) return;
    this.#reportedAt = now;
    this.#failureReported = true;
    this.#log.error('cannot write to the log file, requests go on', {
      path: this.#path,
      reason,
      lost_lines: this.#droppedLines,
    });
  }
}

/** Writes the rest and closes. Resolves with why that failed, `null` if it did not. Lines that are left are given up. */
function endStream(stream: ByteStream): Promise<Error | null> {
  return new Promise((resolve) => {
    const finish = (failure: Error | null): void => {
      clearTimeout(deadline);
      stream.destroy();
      resolve(failure);
    };
    const deadline = setTimeout(finish, CLOSE_DEADLINE_MS, new Error('nothing was taken for a second'));
    stream.on('error', finish);
    stream.on('close', () => finish(null));
    stream.end();
  });
}
