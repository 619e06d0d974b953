import { silentLog } from '../../base/log.ts';
import type { PluginCatalogue } from '../../config/plugin-catalogue.ts';
import type { ResourceDefinition } from '../../config/resource.ts';
import { createResourceCheck } from '../../config/store/resource-check.ts';
import type { DocumentItem } from '../../config/store/standalone-document.ts';
import type { TransferProblem } from './reading.ts';

type Value = Readonly<Record<string, unknown>>;

interface TranslateOptions {
  readonly resources: readonly ResourceDefinition[];
  readonly catalogue: PluginCatalogue;
  /** Checks a `vars` expression: `null`, or what is wrong. */
  readonly checkVars: (vars: unknown) => string | null;
  /** Whether the gateway will still have such a resource of its own. */
  readonly exists: (kind: string, id: string) => boolean;
}

interface Translation {
  /** What Weir can serve, each behind what it refers to. */
  readonly items: readonly DocumentItem[];
  /** Why each of the others cannot be taken. */
  readonly problems: readonly TransferProblem[];
}

/**
 * Each kind behind those that it refers to, and what answers requests at last: until all that a route needs is there, it is
 * not served.
 */
export const writeOrder: readonly string[] = [
  'secrets',
  'ssls',
  'upstreams',
  'services',
  'plugin_configs',
  'consumer_groups',
  'consumers',
  'credentials',
  'plugin_metadata',
  'global_rules',
  'routes',
];

/** Fields that hold a program. Weir runs no Lua. */
const luaFields = ['filter_func', 'script', 'script_id'];

/** The first field that a sentence of a schema names, and what it says of that field. */
const fieldInSentence = /property "([^"]+)"/g;

/**
 * Finds out what of a configuration Weir can serve. A resource is taken as a whole or not at all: a route without one of its
 * plugins could be open to everybody. What refers to a resource that is not taken is not taken either.
 */
export function translate(items: readonly DocumentItem[], options: TranslateOptions): Translation {
  const known = new Set(options.resources.map(({ kind }) => kind));
  const check = createResourceCheck({ ...options, log: silentLog });
  const taken = new Map<string, DocumentItem>();
  const given = new Set(items.map(({ kind, id }) => `${kind}/${id}`));
  const problems: TransferProblem[] = [];
  for (const item of inWriteOrder(items)) {
    const { kind, id, value } = item;
    const missing: string[] = [];
    const exists = (otherKind: string, otherId: string): boolean => {
      const key = `${otherKind}/${otherId}`;
      // What the source has replaces what the gateway has.
      if (taken.has(key) || (!given.has(key) && options.exists(otherKind, otherId))) return true;
      missing.push(key);
      return false;
    };
    const problem = (field: string, reason: string): number => problems.push({ kind, id, field, reason });

    const foreign = known.has(kind)
      ? findForeign(item, options.catalogue)
      : [{ field: '', reason: 'Weir has no such resource' }];
    for (const { field, reason } of foreign) problem(field, reason);
    if (foreign.length > 0) continue;
    const wrong = check(kind, value, exists) ?? checkConsumer(kind, id, exists);
    if (wrong === null) taken.set(`${kind}/${id}`, item);
    else if (missing[0] === undefined) problem(fieldOf(wrong), wrong);
    else problem('', `it refers to ${missing[0]}, which ${given.has(missing[0]) ? 'is left out' : 'does not exist'}`);
  }
  return { items: [...taken.values()], problems };
}

/** Kinds that Weir does not have come last. */
function inWriteOrder(items: readonly DocumentItem[]): DocumentItem[] {
  const rank = (kind: string): number => (writeOrder.includes(kind) ? writeOrder.indexOf(kind) : writeOrder.length);
  return [...items].sort((a, b) => rank(a.kind) - rank(b.kind));
}

/** All that only APISIX can do, so that a person sees everything at once. */
function findForeign(
  { kind, id, value }: DocumentItem,
  catalogue: PluginCatalogue,
): { field: string; reason: string }[] {
  if (kind === 'plugin_metadata' && catalogue.get(id) === undefined) {
    return [{ field: '', reason: 'Weir has no such plugin' }];
  }
  const lua = luaFields
    .filter((field) => value[field] !== undefined)
    .map((field) => ({ field, reason: 'it is Lua code' }));
  const plugins = Object.entries(toObject(value['plugins'])).flatMap(([name, conf]) => {
    const field = `plugins.${name}`;
    if (catalogue.get(name) === undefined) return [{ field, reason: 'Weir has no such plugin' }];
    if (toObject(toObject(conf)['_meta'])['pre_function'] === undefined) return [];
    return [{ field: `${field}._meta.pre_function`, reason: 'it is Lua code' }];
  });
  return [...lua, ...plugins];
}

/** A credential belongs to a consumer, which no field of it names. */
function checkConsumer(kind: string, id: string, exists: (kind: string, id: string) => boolean): string | null {
  if (kind !== 'credentials') return null;
  return exists('consumers', id.split('/', 1)[0] ?? '') ? null : 'its consumer is not there';
}

/** `failed to check the configuration of plugin x err: property "a" validation failed: property "b" ...` -> `plugins.x.a.b` */
function fieldOf(sentence: string): string {
  const [, plugin] = /of plugin (\S+) err:/.exec(sentence) ?? [];
  const path = [...sentence.matchAll(fieldInSentence)].map(([, name]) => name);
  return [...(plugin === undefined ? [] : ['plugins', plugin]), ...path].join('.');
}

function toObject(value: unknown): Value {
  return typeof value === 'object' && value !== null ? (value as Value) : {};
}
