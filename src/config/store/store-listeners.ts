import type { Log } from '../../base/log.ts';
import type { ResourceChange, StoreListener } from './store.ts';

/** Who is told of the changes of a store. */
export class StoreListeners {
  readonly #log: Log;
  readonly #listeners = new Set<StoreListener>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** @returns Ends the subscription. */
  add(listener: StoreListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tells everybody at once. Resolves when all have settled; one that fails is logged. */
  async announce(changes: readonly ResourceChange[], revision: number): Promise<void> {
    await Promise.all(
      [...this.#listeners].map(async (listener) => {
        try {
          await listener(changes, revision);
        } catch (error) {
          this.#log.error('a change of the configuration was stored but could not be applied everywhere', {
            revision,
            error: error instanceof Error ? error.message : String(error),
          });
        }
      }),
    );
  }
}
