import type { StoredResource } from '../store.ts';

/** A key and value of etcd, as its JSON gateway writes them. */
export interface EtcdEntry {
  /** Without base64. */
  readonly key: string;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
  readonly value: string;
}

/**
 * Kinds of resources that APISIX keeps in etcd. What else lies under its prefix, such as `data_plane/server_info`, is not
 * configuration.
 */
const kinds = new Set([
  'routes',
  'services',
  'upstreams',
  'consumers',
  'credentials',
  'global_rules',
  'plugin_configs',
  'consumer_groups',
  'plugin_metadata',
  'protos',
  'ssls',
  'secrets',
  'stream_routes',
]);

/** What APISIX writes when it makes the "folders", which etcd does not have. */
const folderMarkers = new Set(['init_dir', 'init']);

/** APISIX's key of a resource: `/apisix/routes/1`; a credential lies below its consumer. */
export function toEtcdKey(prefix: string, kind: string, id: string): string {
  if (kind !== 'credentials') return `${prefix}/${kind}/${id}`;
  const slash = id.indexOf('/');
  return `${prefix}/consumers/${id.slice(0, slash)}/credentials/${id.slice(slash + 1)}`;
}

/** The resource that a key names; `null` when it names none. */
export function fromEtcdKey(prefix: string, key: string): Pick<StoredResource, 'kind' | 'id'> | null {
  if (!key.startsWith(`${prefix}/`)) return null;
  const rest = key.slice(prefix.length + 1);
  const slash = rest.indexOf('/');
  const kind = rest.slice(0, Math.max(slash, 0));
  const id = rest.slice(slash + 1);
  if (!kinds.has(kind) || kind === 'credentials' || id === '' || id.endsWith('/')) return null;
  const credential = kind === 'consumers' ? /^([^/]+)\/credentials\/([^/]+)$/.exec(id) : null;
  return credential === null ? { kind, id } : { kind: 'credentials', id: `${credential[1]}/${credential[2]}` };
}

/** Whether the value stands for nothing: the marker of a folder. */
export function isFolderMarker(value: string): boolean {
  return folderMarkers.has(value);
}

/** First key, and the key after the last one, that begins with `prefix/`: `0` is the character after `/`. */
export function keyRange(prefix: string): { readonly key: string; readonly range_end: string } {
  return { key: toBase64(`${prefix}/`), range_end: toBase64(`${prefix}0`) };
}

/** Reads a key-value of the JSON gateway, which leaves out what is empty or 0 and writes large numbers as strings. */
export function toEntry(kv: unknown): EtcdEntry {
  const fields = typeof kv === 'object' && kv !== null ? (kv as Record<string, unknown>) : {};
  return {
    key: fromBase64(fields['key']),
    createRevision: Number(fields['create_revision'] ?? 0),
    modRevision: Number(fields['mod_revision'] ?? 0),
    version: Number(fields['version'] ?? 0),
    value: fromBase64(fields['value']),
  };
}

export function toBase64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function fromBase64(text: unknown): string {
  return typeof text === 'string' ? Buffer.from(text, 'base64').toString('utf8') : '';
}
