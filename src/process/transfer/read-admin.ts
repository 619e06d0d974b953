import { type DocumentItem, documentKeys } from '../../config/store/standalone-document.ts';
import { CommandError } from '../command-error.ts';
import type { AdminClient } from './admin-client.ts';
import type { FieldOpener } from './field-opener.ts';
import { type Reading, readLists, type TransferProblem } from './reading.ts';

type Value = Readonly<Record<string, unknown>>;

/** Consumers whose credentials are asked for at the same time. */
const consumersAtOnce = 16;

/**
 * Reads everything that an Admin API tells. That of Weir tells no private keys of certificates; that of APISIX lists them
 * as they are in etcd: encrypted.
 *
 * @throws As the client, and CommandError when there is no Admin API at its URL.
 */
export async function readAdmin(client: AdminClient, opener: FieldOpener): Promise<Reading> {
  const document: Record<string, Value[]> = {};
  const notes: string[] = [];
  for (const kind of documentKeys.filter((key) => key !== 'plugins')) {
    const { items, refusal } = await client.list(kind);
    if (refusal !== null && kind === 'routes') throw new CommandError(`there is no Admin API at ${client.origin}`);
    // Older versions lack some kinds, and one without streams refuses to talk about those.
    if (refusal !== null && kind !== 'stream_routes') {
      notes.push(`${kind}: the Admin API does not list them (${refusal})`);
    }
    document[kind] = items.map(({ key, value }) => withId(kind, key, value));
  }
  document['consumers'] = await withCredentials(document['consumers'] ?? [], client);
  const reading = readLists(document);
  const items = reading.items.map((item) => opener.open(item));
  return {
    items,
    problems: [...reading.problems, ...missingKeys(items)],
    notes: [...notes, ...reading.notes, ...opener.notes],
  };
}

/** Older versions have no credentials, or list them among the consumers. */
async function withCredentials(consumers: readonly Value[], client: AdminClient): Promise<Value[]> {
  const names = consumers.map(({ username }) => username).filter((name) => typeof name === 'string');
  const found = new Map<unknown, Value>(consumers.map((value, index) => [value['id'] ?? index, value]));
  for (let start = 0; start < names.length; start += consumersAtOnce) {
    const paths = names
      .slice(start, start + consumersAtOnce)
      .map((name) => `consumers/${encodeURIComponent(name)}/credentials`);
    const lists = await Promise.all(paths.map((path) => client.list(path)));
    for (const { key, value } of lists.flatMap(({ items }) => items)) {
      const credential = withId('consumers', key, value);
      if (!found.has(credential['id'])) found.set(credential['id'], credential);
    }
  }
  return [...found.values()];
}

/** An Admin API does not say the id in every value, but always in its key. */
function withId(kind: string, key: string, value: Value): Value {
  const start = key.indexOf(`/${kind}/`);
  const id = key.slice(start + kind.length + 2);
  if (start === -1 || (kind === 'consumers' && !id.includes('/credentials/'))) return value;
  return { ...value, id };
}

function missingKeys(items: readonly DocumentItem[]): TransferProblem[] {
  return items
    .filter(({ kind, value }) => kind === 'ssls' && value['cert'] !== undefined && value['key'] === undefined)
    .map(({ kind, id }) => ({
      kind,
      id,
      field: 'key',
      reason: 'an Admin API does not tell private keys; read the etcd behind it, or add the key by hand',
    }));
}
