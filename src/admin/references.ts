import { referencedId, type ResourceDefinition } from '../config/resource.ts';
import type { WritableStore } from '../config/store/store.ts';

/** A resource that refers to another one, as messages name it. */
interface User {
  /** `consumer group`. */
  readonly title: string;
  readonly id: string;
}

/** The first resource in the store that refers to a resource; `null` when none does. */
export function findUser(
  used: { readonly kind: string; readonly id: string },
  store: Pick<WritableStore, 'list'>,
  resources: readonly ResourceDefinition[],
): User | null {
  for (const { kind, title, references } of resources) {
    const relevant = references.filter((reference) => reference.kind === used.kind);
    if (relevant.length === 0) continue;
    const user = store
      .list(kind)
      .find(({ value }) => relevant.some((reference) => referencedId(value, reference) === used.id));
    if (user !== undefined) return { title, id: user.id };
  }
  return null;
}
