import type { ResourceChange, StoredResource } from './store.ts';

/** Resources by kind and id, each kind in order of creation. */
export class ResourceTable {
  readonly #kinds = new Map<string, Map<string, StoredResource>>();

  get(kind: string, id: string): StoredResource | undefined {
    return this.#kinds.get(kind)?.get(id);
  }

  list(kind: string): readonly StoredResource[] {
    return [...(this.#kinds.get(kind)?.values() ?? [])];
  }

  /** Everything, in order of creation. */
  all(): StoredResource[] {
    const resources = [...this.#kinds.values()].flatMap((ofKind) => [...ofKind.values()]);
    return resources.sort((a, b) => a.createdIndex - b.createdIndex);
  }

  set(resource: StoredResource): void {
    const ofKind = this.#kinds.get(resource.kind);
    if (ofKind === undefined) {
      this.#kinds.set(resource.kind, new Map([[resource.id, resource]]));
      return;
    }
    // One that was deleted and made anew since it was last seen belongs at the end.
    if (ofKind.get(resource.id)?.createdIndex !== resource.createdIndex) ofKind.delete(resource.id);
    ofKind.set(resource.id, resource);
  }

  apply(changes: readonly ResourceChange[]): void {
    for (const { kind, id, resource } of changes) {
      if (resource === null) this.#kinds.get(kind)?.delete(id);
      else this.set(resource);
    }
  }
}
