import type { EtcdClient } from '../../config/store/etcd/etcd-client.ts';
import { EtcdError } from '../../config/store/etcd/etcd-error.ts';
import { fromEtcdKey, isFolderMarker } from '../../config/store/etcd/etcd-keys.ts';
import { createFieldEncryption } from '../../config/store/etcd/field-encryption.ts';
import { readRange } from '../../config/store/etcd/read-range.ts';
import type { PluginCatalogue } from '../../config/plugin-catalogue.ts';
import type { DocumentItem } from '../../config/store/standalone-document.ts';
import { CommandError } from '../command-error.ts';
import type { Reading, TransferProblem } from './reading.ts';

type Value = Readonly<Record<string, unknown>>;

interface EtcdSource {
  /** It is closed. */
  readonly client: EtcdClient;
  /** What the keys begin with: `/apisix`. */
  readonly prefix: string;
  readonly encryptFields: boolean;
  readonly keyring: readonly string[];
  readonly catalogue: PluginCatalogue;
}

/** Reads the configuration that APISIX or Weir keep in etcd, with their credentials decrypted. @throws CommandError */
export async function readEtcd({ client, prefix, ...encryption }: EtcdSource): Promise<Reading> {
  const items: DocumentItem[] = [];
  const problems: TransferProblem[] = [];
  const notes: string[] = [];
  let unopened = 0;
  const codec = createFieldEncryption({ ...encryption, onUnopened: () => unopened++ });
  for (const { key, value: text } of await readEntries(client, prefix)) {
    const name = fromEtcdKey(prefix, key);
    if (name === null || isFolderMarker(text)) continue;
    const value = parseValue(text);
    if (value === null) {
      problems.push({ ...name, field: '', reason: 'its value in etcd is not a JSON object' });
      continue;
    }
    unopened = 0;
    items.push({ ...name, value: codec.decode(name.kind, withId(name, value)) });
    if (unopened > 0) {
      const what = unopened === 1 ? 'a field looks' : `${unopened} fields look`;
      notes.push(`${name.kind}/${name.id}: ${what} encrypted with a key that the keyring does not have (--keyring)`);
    }
  }
  return { items, problems, notes };
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
