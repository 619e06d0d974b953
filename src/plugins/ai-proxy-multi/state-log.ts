import { WeirError } from '../../base/errors.ts';
import type { Log, LogFields } from '../../base/log.ts';

interface StateLogWords {
  readonly broken: string;
  readonly restored: string;
  /** Facts beside both. */
  readonly fields: LogFields;
}

/** What works and does not by turns is told this often. */
const quietMs = 10_000;

/** Tells that something has stopped to work, and that it works again: not of each time that it was tried. */
export class StateLog {
  readonly #log: Log;
  readonly #words: StateLogWords;
  #isBroken = false;
  #toldAt = -Infinity;

  constructor(log: Log, words: StateLogWords) {
    this.#log = log;
    this.#words = words;
  }

  /** @param error - Why it did not work; null: it did. */
  note(error: unknown): void {
    const isBroken = error !== null;
    if (isBroken === this.#isBroken || performance.now() - this.#toldAt < quietMs) return;
    this.#isBroken = isBroken;
    this.#toldAt = performance.now();
    const { broken, restored, fields } = this.#words;
    if (isBroken) this.#log.warn(broken, { ...fields, ...factsOf(error) });
    else this.#log.notice(restored, fields);
  }
}

/** What is known to go wrong needs no stack trace. */
function factsOf(error: unknown): LogFields {
  return error instanceof WeirError ? { code: error.code, reason: error.message } : { error };
}
