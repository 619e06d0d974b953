import type { LogFileOptions } from './log-file.ts';
import { LazyLogFile } from './lazy-log-file.ts';
import type { LlmSummary } from './llm-summary.ts';
import { redactFields } from './redact.ts';

/** What `logging` of ai-proxy asks to log about a call: members of a logger's entry, or of a line of `logs/llm.log`. */
export interface LlmLogParts {
  /** With `logging.summaries`. */
  readonly llm_summary?: LlmSummary;
  /** With `logging.payloads`: `messages` (or `input`) as the client sent it. */
  readonly llm_request?: { readonly messages: unknown; readonly stream: boolean };
  /** With `logging.payloads`: the text of the answer. */
  readonly llm_response_text?: { readonly content: string };
}

/** One LLM call as one line of `logs/llm.log`. */
export interface LlmLogRecord extends LlmLogParts {
  /** When the request arrived, ISO 8601 in UTC. */
  readonly timestamp: string;
  readonly request_id: string;
  readonly route_id: string;
  /** Status that the client got. */
  readonly status: number;
}

/** LLM calls as JSON lines in a file, for routes without a logger plugin. */
export interface LlmLog {
  /** Writes one record as a line of JSON, redacted as {@link redactLlmLog} does. The file is opened with the first record. */
  write(record: LlmLogRecord): void;
  /** Opens the file anew after a rotation, or tries again if it could not be opened. */
  reopen(): void;
  /** Resolves when all lines so far are written. */
  flush(): Promise<void>;
  /** Writes what is left and closes. */
  close(): Promise<void>;
}

/**
 * A copy of a record, or of the parts alone, without credentials. Prompts and answers are what the operator asked to see and stay as they are, even where
 * they look like a key.
 */
export function redactLlmLog(record: LlmLogParts): Record<string, unknown> {
  const { llm_request, llm_response_text, ...facts } = record;
  return {
    ...redactFields(facts),
    ...(llm_request !== undefined && { llm_request }),
    ...(llm_response_text !== undefined && { llm_response_text }),
  };
}

/**
 * Makes the log of LLM calls. Nothing is opened yet: without a record there is no file. As it may hold prompts, only its
 * owner can read it.
 */
export function openLlmLog(path: string, options: LogFileOptions): LlmLog {
  const file = new LazyLogFile(path, { ...options, mode: 0o600, failure: 'LLM calls are not logged' });
  return {
    write: (record) => file.write(JSON.stringify(redactLlmLog(record))),
    reopen: () => file.reopen(),
    flush: () => file.flush(),
    close: () => file.close(),
  };
}
