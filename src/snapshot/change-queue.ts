import type { ResourceChange } from '../config/store/store.ts';
import type { ConfigurationMessage, MessageFromWorker } from './messages.ts';

interface ChangeQueueOptions {
  /** Puts changes into effect. Throws when it cannot; then everything is as before. */
  readonly apply: (changes: readonly ResourceChange[], revision: number) => void;
  readonly send: (answer: MessageFromWorker) => void;
}

/**
 * The changes that a worker is told of. Of many writers at once they come faster than snapshots are made: those that are
 * here when one is made go into it together, so that a worker falls behind by one snapshot at most.
 */
export class ChangeQueue {
  readonly #options: ChangeQueueOptions;
  #waiting: ConfigurationMessage[] = [];

  constructor(options: ChangeQueueOptions) {
    this.#options = options;
  }

  /** Applies it when all messages that have arrived have been read. */
  add(message: ConfigurationMessage): void {
    if (this.#waiting.push(message) === 1) setImmediate(() => this.flush());
  }

  /** Applies what waits, and answers. */
  flush(): void {
    const messages = this.#waiting;
    this.#waiting = [];
    this.#apply(messages);
  }

  #apply(messages: readonly ConfigurationMessage[]): void {
    const last = messages.at(-1);
    if (last === undefined) return;
    const { apply, send } = this.#options;
    try {
      apply(
        messages.flatMap(({ changes }) => changes),
        last.revision,
      );
      for (const { id } of messages) send({ type: 'applied', id });
    } catch (error) {
      if (messages.length === 1) {
        send({ type: 'failed', id: last.id, message: error instanceof Error ? error.message : String(error) });
        return;
      }
      // One is at fault, the others are not. By halves: one by one would be a snapshot for each.
      const middle = Math.ceil(messages.length / 2);
      this.#apply(messages.slice(0, middle));
      this.#apply(messages.slice(middle));
    }
  }
}
