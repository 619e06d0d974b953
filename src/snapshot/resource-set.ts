import type { StoredResource } from '../config/store/store.ts';

/** The resources of one revision, by kind and in order of creation. */
export class ResourceSet {
  readonly #byKind = new Map<string, Map<string, StoredResource>>();

  constructor(resources: Iterable<StoredResource>) {
    for (const resource of resources) {
      const ofKind = this.#byKind.get(resource.kind);
      if (ofKind === undefined) this.#byKind.set(resource.kind, new Map([[resource.id, resource]]));
      else ofKind.set(resource.id, resource);
    }
  }

  /** By id. */
  of(kind: string): ReadonlyMap<string, StoredResource> {
    return this.#byKind.get(kind) ?? none;
  }

  list(kind: string): readonly StoredResource[] {
    return [...this.of(kind).values()];
  }

  /** Whether another set has the same resources of these kinds. An unchanged resource is the same object in both. */
  isSame(other: ResourceSet, ...kinds: readonly string[]): boolean {
    return kinds.every((kind) => {
      const [mine, others] = [this.of(kind), other.of(kind)];
      if (mine.size !== others.size) return false;
      for (const [id, resource] of mine) if (others.get(id) !== resource) return false;
      return true;
    });
  }
}

const none: ReadonlyMap<string, StoredResource> = new Map();
