import type { ResourceChange, StoredResource, StoreState } from '../config/store/store.ts';

/** All resources as they are now, in order of creation: what a worker is started with. */
export class ConfigurationMirror {
  readonly #resources: Map<string, StoredResource>;
  #revision: number;

  constructor({ revision, resources }: StoreState) {
    this.#revision = revision;
    this.#resources = new Map(resources.map((resource) => [`${resource.kind}/${resource.id}`, resource]));
  }

  read(): StoreState {
    return { revision: this.#revision, resources: [...this.#resources.values()] };
  }

  get(kind: string, id: string): StoredResource | undefined {
    return this.#resources.get(`${kind}/${id}`);
  }

  list(kind: string): readonly StoredResource[] {
    return [...this.#resources.values()].filter((resource) => resource.kind === kind);
  }

  apply(changes: readonly ResourceChange[], revision: number): void {
    this.#revision = revision;
    for (const { kind, id, resource } of changes) {
      if (resource) this.#resources.set(`${kind}/${id}`, resource);
      else this.#resources.delete(`${kind}/${id}`);
    }
  }
}
