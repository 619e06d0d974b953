import type { Log } from '../../base/log.ts';
import type { PluginCatalogue } from '../plugin-catalogue.ts';
import type { ResourceDefinition } from '../resource.ts';

/**
 * Checks a resource that did not come through the Admin API.
 *
 * @param exists - Whether there is a resource that this one refers to.
 * @returns `null`, or what is wrong in one sentence.
 */
export type ResourceCheck = (
  kind: string,
  value: Readonly<Record<string, unknown>>,
  exists?: (kind: string, id: string) => boolean,
) => string | null;

interface ResourceCheckOptions {
  readonly resources: readonly ResourceDefinition[];
  readonly catalogue: PluginCatalogue;
  /** Checks a `vars` expression of a route: `null`, or what is wrong. */
  readonly checkVars: (vars: unknown) => string | null;
  readonly log: Log;
}

/** Makes a check by the definitions of the resources. A kind without a definition passes, with one warning. */
export function createResourceCheck({ resources, catalogue, checkVars, log }: ResourceCheckOptions): ResourceCheck {
  const definitions = new Map(resources.map((definition) => [definition.kind, definition]));
  const warned = new Set<string>();
  return (kind, value, exists = () => true) => {
    const definition = definitions.get(kind);
    if (definition !== undefined) return definition.check(value, { catalogue, checkVars, exists });
    if (!warned.has(kind)) log.warn(`this version of Weir does not know ${kind}: they are kept, and have no effect`);
    warned.add(kind);
    return null;
  };
}
