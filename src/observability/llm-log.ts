import { openLogFile, type LogFile, type LogFileOptions } from './log-file.ts';
import { systemErrorText } from './log-destination.ts';
import type { LlmSummary } from './llm-summary.ts';
import { redactFields } from './redact.ts';

/** One LLM call as one line of `logs/llm.log`. */
export interface LlmLogRecord {
  /** When the request arrived, ISO 8601 in UTC. */
  readonly timestamp: string;
  readonly request_id: string;
  readonly route_id: string;
  /** Status that the client got. */
  readonly status: number;
  /** With `logging.summaries`. */
  readonly llm_summary?: LlmSummary;
  /** With `logging.payloads`: `messages` (or `input`) as the client sent it. */
  readonly llm_request?: { readonly messages: unknown; readonly stream: boolean };
  /** With `logging.payloads`: the text of the answer. */
  readonly llm_response_text?: { readonly content: string };
}

/** The stopgap for APISIX's logger plugins: LLM calls as JSON lines in a file. */
export interface LlmLog {
  /**
   * Writes one record as a line of JSON. The file is opened with the first record.
   * Facts are redacted. Prompts and answers are what the operator asked to see and stay as they are, even where they look like a key.
   */
  write(record: LlmLogRecord): void;
  /** Opens the file anew after a rotation, or tries again if it could not be opened. */
  reopen(): void;
  /** Resolves when all lines so far are written. */
  flush(): Promise<void>;
  /** Writes what is left and closes. */
  close(): Promise<void>;
}

const RETRY_OPEN_MS = 60_000;

/**
 * Makes the log of LLM calls. Nothing is opened yet: without a record there is no file. As it may hold prompts, only its
 * owner can read it.
 */
export function openLlmLog(path: string, options: LogFileOptions): LlmLog {
  return new LazyLlmLog(path, options);
}

class LazyLlmLog implements LlmLog {
  readonly #path: string;
  readonly #options: LogFileOptions;
  #file: LogFile | undefined;
  #openNotBefore = -Infinity;
  /** Records that found no file since the last report. */
  #lostLines = 0;

  constructor(path: string, options: LogFileOptions) {
    this.#path = path;
    this.#options = { ...options, mode: 0o600 };
  }

  write(record: LlmLogRecord): void {
    const file = this.#file ?? this.#open();
    if (file === undefined) {
      this.#lostLines++;
      return;
    }
    const { llm_request, llm_response_text, ...facts } = record;
    file.write(JSON.stringify({ ...redactFields(facts), llm_request, llm_response_text }));
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
    try {
      this.#file = openLogFile(this.#path, this.#options);
      this.#lostLines = 0;
    } catch (error) {
      this.#openNotBefore = now + RETRY_OPEN_MS;
      this.#options.log.error('LLM calls are not logged', {
        reason: systemErrorText(error),
        lost_lines: this.#lostLines,
      });
    }
    return this.#file;
  }
}
