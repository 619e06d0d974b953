import type { EtcdClient } from '../../config/store/etcd/etcd-client.ts';
import { EtcdError } from '../../config/store/etcd/etcd-error.ts';
import { fromEtcdKey, isFolderMarker } from '../../config/store/etcd/etcd-keys.ts';
import { readRange } from '../../config/store/etcd/read-range.ts';
import type { DocumentItem } from '../../config/store/standalone-document.ts';
import { CommandError } from '../command-error.ts';
import { createFieldOpener, type SourceEncryption } from './field-opener.ts';
import type { Reading, TransferProblem } from './reading.ts';

type Value = Readonly<Record<string, unknown>>;

interface EtcdSource extends SourceEncryption {
  /** It is closed. */
  readonly client: EtcdClient;
  /** What the keys begin with: `/apisix`. */
  readonly prefix: string;
}

/** What APISIX and its data planes keep beside the configuration. */
const bookkeeping: ReadonlySet<string> = new Set(['data_plane', 'node_status', 'plugins']);

/** Reads the configuration that APISIX or Weir keep in etcd, with their credentials decrypted. @throws CommandError */
export async function readEtcd({ client, prefix, ...encryption }: EtcdSource): Promise<Reading> {
  const items: DocumentItem[] = [];
  const problems: TransferProblem[] = [];
  const unknown = new Set<string>();
  const opener = createFieldOpener(encryption);
  const entries = await readEntries(client, prefix);
  if (entries.length === 0) throw new CommandError(`nothing lies under ${prefix}/ in etcd: name another --etcd-prefix`);
  for (const { key, value: text } of entries) {
    if (isFolderMarker(text)) continue;
    const name = fromEtcdKey(prefix, key);
    if (name === null) {
      unknown.add(key.slice(prefix.length + 1).split('/', 1)[0] ?? '');
      continue;
    }
    const value = parseValue(text);
    if (value === null) problems.push({ ...name, field: '', reason: 'its value in etcd is not a JSON object' });
    else items.push(opener.open({ ...name, value: withId(name, value) }));
  }
  const foreign = [...unknown].filter((folder) => !bookkeeping.has(folder));
  const notes = foreign.map((folder) => `what lies under ${prefix}/${folder}/ in etcd is no resource of APISIX 3`);
  return { items, problems, notes: [...notes, ...opener.notes] };
}

async function readEntries(
  client: EtcdClient,
  prefix: string,
): Promise<Awaited<ReturnType<typeof readRange>>['entries']> {
  try {
    const { entries } = await readRange(client, prefix);
    return [...entries].sort((a, b) => a.createRevision - b.createRevision);
  } catch (error) {
    if (error instanceof EtcdError) throw new CommandError(error.message, { cause: error });
    throw error;
  } finally {
    client.close();
  }
}

/** In its value an id may be a number, or be missing. A consumer has none, the id of a credential is the last part. */
function withId({ kind, id }: Pick<DocumentItem, 'kind' | 'id'>, value: Value): Value {
  if (kind === 'consumers') return value;
  return { ...value, id: kind === 'credentials' ? id.slice(id.indexOf('/') + 1) : id };
}

function parseValue(text: string): Value | null {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Value) : null;
  } catch {
    return null;
  }
}
