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

  has(kind: string, id: string): boolean {
    return this.#resources.has(`${kind}/${id}`);
  }

  apply(changes: readonly ResourceChange[], revision: number): void {
    this.#revision = revision;
    for (const { kind, id, resource } of changes) {
      if (resource) this.#resources.set(`${kind}/${id}`, resource);
      else this.#resources.delete(`${kind}/${id}`);
    }
  }
}
