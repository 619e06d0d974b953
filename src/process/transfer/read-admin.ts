import { documentKeys } from '../../config/store/standalone-document.ts';
import { CommandError } from '../command-error.ts';
import type { AdminClient } from './admin-client.ts';
import { type Reading, readLists, type TransferProblem } from './reading.ts';

type Value = Readonly<Record<string, unknown>>;

/**
 * Reads everything that an Admin API tells. It tells no private keys of certificates.
 *
 * @throws As the client, and CommandError when there is no Admin API at its URL.
 */
export async function readAdmin(client: AdminClient): Promise<Reading> {
  const document: Record<string, Value[]> = {};
  for (const kind of documentKeys.filter((key) => key !== 'plugins')) {
    const items = await client.list(kind);
    // Older versions lack some kinds, and one without streams refuses to talk about those.
    if (items === null && kind === 'routes') throw new CommandError(`there is no Admin API at ${client.origin}`);
    document[kind] = (items ?? []).map(({ key, value }) => withId(kind, key, value));
  }
  const consumers = document['consumers'] ?? [];
  for (const { username } of consumers.filter(({ username }) => typeof username === 'string')) {
    const path = `consumers/${encodeURIComponent(String(username))}/credentials`;
    const credentials = (await client.list(path)) ?? [];
    // APISIX's list of consumers may have them already.
    const known = new Set(consumers.map(({ id }) => id));
    consumers.push(
      ...credentials.map(({ key, value }) => withId('consumers', key, value)).filter(({ id }) => !known.has(id)),
    );
  }
  const reading = readLists(document);
  return { ...reading, problems: [...reading.problems, ...missingKeys(reading)] };
}

/** An Admin API does not say the id in every value, but always in its key. */
function withId(kind: string, key: string, value: Value): Value {
  const start = key.indexOf(`/${kind}/`);
  const id = key.slice(start + kind.length + 2);
  if (start === -1 || (kind === 'consumers' && !id.includes('/credentials/'))) return value;
  return { ...value, id };
}

function missingKeys({ items }: Reading): TransferProblem[] {
  return items
    .filter(({ kind, value }) => kind === 'ssls' && value['cert'] !== undefined && value['key'] === undefined)
    .map(({ kind, id }) => ({
      kind,
      id,
      field: 'key',
      reason: 'an Admin API does not tell private keys; read the etcd behind it, or add the key by hand',
    }));
}
