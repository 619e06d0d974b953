import { pluginMetaOf } from './plugin-meta.ts';
import type { Sibling, Siblings } from './resource.ts';

/** By what a consumer or credential is recognized. */
interface Key {
  readonly plugin: string;
  readonly field: string;
  readonly value: unknown;
}

/**
 * Checks that no other consumer is recognized by what a consumer or a credential is about to be recognized by: by an API key,
 * say. Of two only one could be, and would pay for both. Keys out of secrets are only compared as references.
 *
 * @returns `null`, or what is wrong in APISIX's words; without the key.
 */
export function checkCredentialKeys(own: Sibling, { catalogue, list }: Siblings): string | null {
  const keys = Object.keys(pluginsOf(own)).flatMap((plugin): readonly Key[] => {
    const field = catalogue.get(plugin)?.credentialKey ?? null;
    const value = field === null ? undefined : keyOf(own, plugin, field);
    return field === null || value === undefined ? [] : [{ plugin, field, value }];
  });
  if (keys.length === 0) return null;
  const username = usernameOf(own);
  // There may be 10,000, so nothing is made of each.
  for (const kind of ['consumers', 'credentials']) {
    for (const other of list(kind)) {
      for (const { plugin, field, value } of keys) {
        if (keyOf(other, plugin, field) !== value || usernameOf(other) === username) continue;
        return `duplicate key found with consumer: ${usernameOf(other)}`;
      }
    }
  }
  return null;
}

/** Undefined: it is not recognized by this plugin. */
function keyOf(resource: Sibling, plugin: string, field: string): unknown {
  const conf = pluginsOf(resource)[plugin];
  return conf === undefined || pluginMetaOf(conf).disable === true ? undefined : conf[field];
}

function pluginsOf({ value }: Sibling): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
  return (value['plugins'] ?? {}) as ReturnType<typeof pluginsOf>;
}

/** Of a credential `jack/one` it is `jack`. */
function usernameOf({ id }: Sibling): string {
  const slash = id.indexOf('/');
  return slash === -1 ? id : id.slice(0, slash);
}
