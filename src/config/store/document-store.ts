import { isDeepStrictEqual } from 'node:util';
import type { Log } from '../../base/log.ts';
import { ResourceTable } from './resource-table.ts';
import type { DocumentItem } from './standalone-document.ts';
import {
  type ResourceChange,
  StoreError,
  type StoredResource,
  type StoreListener,
  type StoreState,
  type WritableStore,
} from './store.ts';
import { StoreListeners } from './store-listeners.ts';

interface DocumentStoreOptions {
  /** What was there before: unchanged resources keep their indexes. */
  readonly state: StoreState;
  readonly log: Log;
  /** What a write of a single resource is answered with. */
  readonly readOnlyReason: string;
  /** Releases what feeds the store. */
  readonly close: () => Promise<void>;
}

/** A store that is replaced as a whole, by {@link plan} and {@link commit}. Single resources can only be read. */
export class DocumentStore implements WritableStore {
  readonly #options: DocumentStoreOptions;
  readonly #listeners: StoreListeners;
  readonly #table = new ResourceTable();
  #revision: number;

  constructor(options: DocumentStoreOptions) {
    this.#options = options;
    this.#listeners = new StoreListeners(options.log);
    this.#revision = options.state.revision;
    for (const resource of options.state.resources) this.#table.set(resource);
  }

  /** What {@link load} gives, at once. */
  get state(): StoreState {
    return { revision: this.#revision, resources: this.#table.all() };
  }

  async load(): Promise<StoreState> {
    return this.state;
  }

  watch(listener: StoreListener): () => void {
    return this.#listeners.add(listener);
  }

  close(): Promise<void> {
    return this.#options.close();
  }

  get(kind: string, id: string): StoredResource | undefined {
    return this.#table.get(kind, id);
  }

  list(kind: string): readonly StoredResource[] {
    return this.#table.list(kind);
  }

  async put(): Promise<never> {
    throw new StoreError('read-only', this.#options.readOnlyReason);
  }

  async create(): Promise<never> {
    throw new StoreError('read-only', this.#options.readOnlyReason);
  }

  async delete(): Promise<never> {
    throw new StoreError('read-only', this.#options.readOnlyReason);
  }

  /** What these items would make of the state. Nothing changes yet. */
  plan(items: readonly DocumentItem[]): DocumentChange {
    const revision = this.#revision + 1;
    const kept = new Set<string>();
    const changes: ResourceChange[] = [];
    const resources: StoredResource[] = [];
    for (const { kind, id, value } of items) {
      kept.add(`${kind}/${id}`);
      const old = this.get(kind, id);
      if (old !== undefined && isDeepStrictEqual(old.value, value)) {
        resources.push(old);
        continue;
      }
      const resource = { kind, id, value, createdIndex: old?.createdIndex ?? revision, modifiedIndex: revision };
      resources.push(resource);
      changes.push({ kind, id, resource });
    }
    for (const { kind, id } of this.#table.all()) {
      if (!kept.has(`${kind}/${id}`)) changes.push({ kind, id, resource: null });
    }
    return { changes, state: { revision: changes.length === 0 ? this.#revision : revision, resources } };
  }

  /** Puts a plan into effect that is still the newest. Resolves when every listener's promise has settled. */
  async commit({ changes, state }: DocumentChange): Promise<void> {
    if (changes.length === 0) return;
    this.#revision = state.revision;
    this.#table.apply(changes);
    await this.#listeners.announce(changes, state.revision);
  }
}

interface DocumentChange {
  readonly changes: readonly ResourceChange[];
  readonly state: StoreState;
}
