import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** Variables of one line of an access log by name, without `$`. */
export type AccessLogValues = Readonly<Record<string, string>>;

const pollMs = 50;

/** The end of an access log: what is written after {@link AccessLogTail.open}. */
export class AccessLogTail {
  readonly #file: string;
  readonly #start: number;

  private constructor(file: string, start: number) {
    this.#file = file;
    this.#start = start;
  }

  static async open(file: string): Promise<AccessLogTail> {
    return new AccessLogTail(file, (await readFrom(file, 0)).length);
  }

  /**
   * Waits for lines, which the gateway writes a moment after the answer.
   *
   * @returns So many lines, or fewer when the others have not come in time.
   */
  async lines(count: number, timeoutMs: number): Promise<string[]> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const text = (await readFrom(this.#file, this.#start)).toString();
      const lines = text.split('\n').slice(0, -1);
      if (lines.length >= count || Date.now() >= end) return lines.slice(0, count);
      await sleep(pollMs);
    }
  }
}

/**
 * Takes a line apart again, by the format that it was written with.
 *
 * @returns Null when the line has another format.
 */
export function parseAccessLogLine(format: string, line: string): AccessLogValues | null {
  const names: string[] = [];
  const pattern = format
    .split(/(\$\{\w+\}|\$\w+)/)
    .map((part, index) => {
      if (index % 2 === 0) return RegExp.escape(part);
      names.push(part.replaceAll(/[${}]/g, ''));
      return '(.*?)';
    })
    .join('');
  const values = new RegExp(`^${pattern}$`).exec(line);
  return values && Object.fromEntries(names.map((name, index) => [name, values[index + 1] ?? '']));
}

/** Empty when there is no such file. */
async function readFrom(path: string, start: number): Promise<Buffer> {
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    const bytes = Buffer.alloc(Math.max(0, size - start));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, start);
    return bytes.subarray(0, bytesRead);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}
