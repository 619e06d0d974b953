import type { ResourceCheck } from './resource-check.ts';

type Value = Readonly<Record<string, unknown>>;

/** One resource of a configuration that is written as a whole. */
export interface DocumentItem {
  readonly kind: string;
  readonly id: string;
  readonly value: Value;
}

/** An item that cannot be used. */
export interface DocumentProblem {
  /** The key at the top of the document, `routes`. */
  readonly resource: string;
  /** As the item says it, or `arr_<position>`. */
  readonly id: string;
  /** Position in its list, from 0; -1: the list itself. */
  readonly index: number;
  readonly reason: string;
  readonly duplicate?: boolean;
}

/** A document taken apart. */
export interface DocumentContents {
  /** Those that passed, in the order of the document. */
  readonly items: readonly DocumentItem[];
  readonly problems: readonly DocumentProblem[];
}

/**
 * Top-level keys that hold lists of resources, as in APISIX.
 * https://apisix.apache.org/docs/apisix/deployment-modes/#standalone
 */
export const documentKeys: readonly string[] = [
  'routes',
  'services',
  'upstreams',
  'consumers',
  'global_rules',
  'plugin_configs',
  'consumer_groups',
  'plugin_metadata',
  'protos',
  'ssls',
  'secrets',
  'stream_routes',
  'plugins',
];

/** What a credential's id looks like among the consumers: `jack/credentials/one`. */
const credentialId = /^([^/]+)\/credentials\/([^/]+)$/;

/**
 * Takes a configuration apart that is written as a whole: `{routes: [...], upstreams: [...]}`, as conf/apisix.yaml.
 *
 * Items are named by `id`, consumers by `username`, the others `arr_1`, `arr_2` and so on by their position. An item that
 * does not pass becomes a problem, the others are taken.
 *
 * @param knowsReferences - False: references are not checked, because the document may be only a part.
 */
export function readDocument(document: Value, check: ResourceCheck, knowsReferences: boolean): DocumentContents {
  const items = new Map<string, DocumentItem & { readonly index: number; readonly resource: string }>();
  const problems: DocumentProblem[] = [];
  for (const [resource, list] of Object.entries(document)) {
    if (isNotAList(resource)) continue;
    if (!documentKeys.includes(resource)) {
      problems.push({ resource, id: '', index: -1, reason: `unknown key, expected one of ${documentKeys.join(', ')}` });
      continue;
    }
    // An empty list is `routes:` in YAML, and `{}` when Lua wrote the JSON.
    if (list === null || (isObject(list) && Object.keys(list).length === 0)) continue;
    if (!Array.isArray(list)) {
      problems.push({ resource, id: '', index: -1, reason: 'expected a list' });
      continue;
    }
    for (const [index, raw] of list.entries()) {
      const item = toItem(resource, raw, index);
      if ('reason' in item) {
        problems.push(item);
        continue;
      }
      const key = `${item.kind}/${item.id}`;
      if (items.has(key))
        problems.push({ resource, id: nameOf(item), index, reason: 'it is there twice', duplicate: true });
      else items.set(key, { ...item, index, resource });
    }
  }
  const exists = (kind: string, id: string): boolean => !knowsReferences || items.has(`${kind}/${id}`);
  const passed: DocumentItem[] = [];
  for (const { resource, index, kind, id, value } of items.values()) {
    const reason = check(kind, value, exists);
    if (reason === null) passed.push({ kind, id, value });
    else problems.push({ resource, id: nameOf({ kind, id }), index, reason });
  }
  return { items: passed, problems };
}

/**
 * Versions of the resources and of the whole, which a document that was read from the Admin API has beside its lists; and
 * `x-...`, where people who write YAML keep what they refer to with aliases.
 */
function isNotAList(key: string): boolean {
  return key.endsWith('_conf_version') || /^x-/i.test(key);
}

function toItem(resource: string, raw: unknown, index: number): DocumentItem | DocumentProblem {
  const position = `arr_${index + 1}`;
  if (!isObject(raw)) return { resource, id: position, index, reason: 'expected a mapping (key: value)' };
  // Of the Admin API's documents; here the store counts itself.
  const { modifiedIndex: _, ...value } = raw;
  // A list of names; APISIX gives them no ids either.
  const given = resource === 'consumers' ? (value['username'] ?? value['id']) : value['id'];
  if (given === undefined || given === null) {
    return { kind: resource, id: position, value: resource === 'plugins' ? value : { ...value, id: position } };
  }
  if (typeof given !== 'string' && typeof given !== 'number') {
    return { resource, id: position, index, reason: 'expected a string or a number as its id' };
  }
  const id = String(given);
  if (resource !== 'consumers') return { kind: resource, id, value: { ...value, id } };
  const [, consumer, credential] = credentialId.exec(id) ?? [];
  if (consumer === undefined || credential === undefined) return { kind: resource, id, value };
  return { kind: 'credentials', id: `${consumer}/${credential}`, value: { ...value, id: credential } };
}

function nameOf({ kind, id }: Pick<DocumentItem, 'kind' | 'id'>): string {
  return kind === 'credentials' ? id.replace('/', '/credentials/') : id;
}

function isObject(value: unknown): value is Value {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
