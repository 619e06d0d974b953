import type { EtcdClient } from './etcd-client.ts';
import { EtcdError } from './etcd-error.ts';
import { type EtcdEntry, keyRange, toBase64, toEntry } from './etcd-keys.ts';

/** Everything below a prefix at one moment. */
interface EtcdRange {
  readonly entries: readonly EtcdEntry[];
  readonly revision: number;
}

/** Entries that one answer has at most: an answer must not become too large to be read as one string. */
const pageSize = 2000;

/** Reads all keys that begin with `prefix/`, in pages that are all of one moment. @throws EtcdError */
export async function readRange(client: EtcdClient, prefix: string): Promise<EtcdRange> {
  const { key: firstKey, range_end } = keyRange(prefix);
  const entries: EtcdEntry[] = [];
  let key = firstKey;
  let revision = 0;
  for (let more = true; more;) {
    const page = await client.call('kv/range', {
      key,
      range_end,
      limit: String(pageSize),
      ...(revision > 0 && { revision: String(revision) }),
    });
    if (revision === 0) revision = Number(toObject(page['header'])['revision']);
    // Whatever answers `{}` to everything would otherwise be an etcd without a single key, and all routes would go.
    if (!(revision > 0)) throw new EtcdError(`etcd at ${client.endpoint}: its answer is not one of etcd`, {});
    const kvs: unknown[] = Array.isArray(page['kvs']) ? page['kvs'] : [];
    for (const kv of kvs) entries.push(toEntry(kv));
    more = page['more'] === true;
    key = toBase64(`${entries.at(-1)?.key}\0`);
  }
  return { entries, revision };
}

function toObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
