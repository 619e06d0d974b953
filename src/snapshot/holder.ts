import type { ResourceChange, StoreState, StoredResource } from '../config/store/store.ts';
import type { Snapshot, SnapshotCompiler } from './snapshot.ts';

/** The configuration that a worker serves with. A change makes a new snapshot and publishes it by one assignment. */
export class SnapshotHolder {
  #compiler: SnapshotCompiler;
  #resources = new Map<string, StoredResource>();
  #current: Snapshot;

  constructor(compiler: SnapshotCompiler, state: StoreState) {
    this.#compiler = compiler;
    for (const resource of state.resources) this.#resources.set(keyOf(resource), resource);
    this.#current = compiler.compile(this.#resources.values(), state.revision);
  }

  /** What serves now. A request takes it once and keeps it to its end. */
  get current(): Snapshot {
    return this.#current;
  }

  /** The same resources, compiled with other settings: after a reload of config.yaml. */
  recompiledWith(compiler: SnapshotCompiler): SnapshotHolder {
    return new SnapshotHolder(compiler, { revision: this.#current.revision, resources: [...this.#resources.values()] });
  }

  /** @throws Error when no snapshot can be made; the old one serves on. */
  apply(changes: readonly ResourceChange[], revision: number): void {
    const resources = new Map(this.#resources);
    for (const change of changes) {
      if (change.resource === null) resources.delete(keyOf(change));
      else resources.set(keyOf(change), change.resource);
    }
    this.#current = this.#compiler.compile(resources.values(), revision);
    this.#resources = resources;
  }
}

function keyOf({ kind, id }: { readonly kind: string; readonly id: string }): string {
  return `${kind}/${id}`;
}
