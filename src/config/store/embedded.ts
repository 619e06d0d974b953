import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Log } from '../../base/log.ts';
import { openDatabaseFile, toStoreError } from './database-file.ts';
import {
  type PutOptions,
  type ResourceChange,
  StoreError,
  type StoredResource,
  type StoreListener,
  type StoreState,
  type WritableStore,
} from './store.ts';
import { StoreListeners } from './store-listeners.ts';

interface EmbeddedStoreOptions {
  /** Path of the database; by convention `<prefix>/data/weir.db`. Created when absent, with its directory. */
  readonly file: string;
  readonly log: Log;
}

/**
 * Opens the store that needs no server: one SQLite file in WAL mode with full sync, held open exclusively.
 * Every write is one transaction; reads come from memory.
 *
 * @throws StoreError `corrupt` (the file is left as it is) or `unavailable` (in use, not accessible, or of a newer Weir).
 */
export async function openEmbeddedStore({ file, log }: EmbeddedStoreOptions): Promise<WritableStore> {
  const database = openDatabaseFile(file);
  try {
    return new EmbeddedStore(database, file, log);
  } catch (error) {
    database.close();
    throw toStoreError(error, file, 'open');
  }
}

interface Entry {
  readonly resource: StoredResource;
  /** Milliseconds since 1970, or null when the resource stays. */
  readonly expiresAt: number | null;
}

/** setTimeout takes no longer delay; a later expiry is looked at again then. */
const maxTimerMs = 2 ** 31 - 1;

class EmbeddedStore implements WritableStore {
  readonly #database: DatabaseSync;
  readonly #file: string;
  readonly #log: Log;
  /** kind -> id -> entry, each in order of creation. */
  readonly #entries = new Map<string, Map<string, Entry>>();
  readonly #listeners: StoreListeners;
  readonly #statements: Record<'upsert' | 'remove' | 'removeExpired' | 'setRevision', StatementSync>;
  #revision = 0;
  #expiryTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(database: DatabaseSync, file: string, log: Log) {
    this.#database = database;
    this.#file = file;
    this.#log = log;
    this.#listeners = new StoreListeners(log);
    this.#statements = {
      upsert: database.prepare('INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?, ?, ?)'),
      remove: database.prepare('DELETE FROM resources WHERE kind = ? AND id = ?'),
      removeExpired: database.prepare('DELETE FROM resources WHERE expires_at <= ?'),
      setRevision: database.prepare('UPDATE revision SET value = ?'),
    };
    this.#readAll();
    this.#scheduleExpiry();
  }

  async load(): Promise<StoreState> {
    const resources = [...this.#entries.values()].flatMap((ofKind) =>
      [...ofKind.values()].map((entry) => entry.resource),
    );
    return { revision: this.#revision, resources: resources.sort((a, b) => a.createdIndex - b.createdIndex) };
  }

  watch(listener: StoreListener): () => void {
    return this.#listeners.add(listener);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#expiryTimer);
    this.#database.close();
  }

  get(kind: string, id: string): StoredResource | undefined {
    return this.#entries.get(kind)?.get(id)?.resource;
  }

  list(kind: string): readonly StoredResource[] {
    return [...(this.#entries.get(kind)?.values() ?? [])].map((entry) => entry.resource);
  }

  async put(
    kind: string,
    id: string,
    value: Readonly<Record<string, unknown>>,
    options: PutOptions = {},
  ): Promise<{ resource: StoredResource; created: boolean }> {
    const { ttlSeconds, expectedModifiedIndex } = options;
    if (ttlSeconds !== undefined && !(ttlSeconds > 0)) throw new RangeError('ttlSeconds must be greater than 0');
    const existing = this.get(kind, id);
    const modifiedIndex = existing?.modifiedIndex ?? 0;
    if (expectedModifiedIndex !== undefined && expectedModifiedIndex !== modifiedIndex) {
      const found = existing ? `is now at revision ${modifiedIndex}` : 'does not exist';
      throw new StoreError(
        'conflict',
        `${kind}/${id} ${found}, expected revision ${expectedModifiedIndex}: read it again`,
      );
    }
    const expiresAt = ttlSeconds === undefined ? null : Date.now() + Math.ceil(ttlSeconds * 1000);
    const resource = await this.#write({ kind, id, value, revision: this.#revision + 1, expiresAt });
    return { resource, created: existing === undefined };
  }

  async create(kind: string, build: (id: string) => Readonly<Record<string, unknown>>): Promise<StoredResource> {
    let revision = this.#revision + 1;
    // A client may have put a resource under just this number.
    while (this.get(kind, toId(revision))) revision++;
    const id = toId(revision);
    return this.#write({ kind, id, value: build(id), revision, expiresAt: null });
  }

  async delete(kind: string, id: string): Promise<boolean> {
    if (!this.get(kind, id)) return false;
    const revision = this.#revision + 1;
    this.#transact(revision, () => this.#statements.remove.run(kind, id));
    this.#entries.get(kind)?.delete(id);
    await this.#listeners.announce([{ kind, id, resource: null }], this.#revision);
    return true;
  }

  async #write(write: {
    kind: string;
    id: string;
    value: Readonly<Record<string, unknown>>;
    revision: number;
    expiresAt: number | null;
  }): Promise<StoredResource> {
    const { kind, id, revision, expiresAt } = write;
    const text = JSON.stringify(write.value);
    const createdIndex = this.get(kind, id)?.createdIndex ?? revision;
    this.#transact(revision, () => this.#statements.upsert.run(kind, id, text, createdIndex, revision, expiresAt));
    // Parsed anew, so that memory holds what the file holds, whatever the caller does with its object later.
    const value: Record<string, unknown> = JSON.parse(text);
    const resource: StoredResource = { kind, id, value, createdIndex, modifiedIndex: revision };
    this.#setEntry({ resource, expiresAt });
    this.#scheduleExpiry();
    await this.#listeners.announce([{ kind, id, resource }], this.#revision);
    return resource;
  }

  /** Runs one durable transaction that moves the store to `revision`, or throws a StoreError and leaves everything as it was. */
  #transact(revision: number, write: () => void): void {
    if (this.#closed) throw new StoreError('unavailable', `cannot write to ${this.#file}: the store is closed`);
    try {
      this.#database.exec('BEGIN IMMEDIATE');
      write();
      this.#statements.setRevision.run(revision);
      this.#database.exec('COMMIT');
    } catch (error) {
      // A full disk has already rolled the transaction back.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw toStoreError(error, this.#file, 'write');
    }
    this.#revision = revision;
  }

  #readAll(): void {
    this.#revision = Number(this.#database.prepare('SELECT value FROM revision').get()?.['value']);
    const now = Date.now();
    for (const row of this.#database.prepare('SELECT * FROM resources ORDER BY created_index').iterate()) {
      const entry = toEntry(row);
      // Its row goes with the next expiry; until then it is only not shown.
      if (entry.expiresAt === null || entry.expiresAt > now) this.#setEntry(entry);
    }
  }

  #setEntry(entry: Entry): void {
    const { kind, id } = entry.resource;
    const ofKind = this.#entries.get(kind);
    if (ofKind) ofKind.set(id, entry);
    else this.#entries.set(kind, new Map([[id, entry]]));
  }

  #scheduleExpiry(): void {
    clearTimeout(this.#expiryTimer);
    let next = Infinity;
    for (const ofKind of this.#entries.values()) {
      for (const { expiresAt } of ofKind.values()) next = Math.min(next, expiresAt ?? Infinity);
    }
    if (next === Infinity) return;
    const delayMs = Math.min(Math.max(next - Date.now(), 0), maxTimerMs);
    this.#expiryTimer = setTimeout(() => void this.#expire(), delayMs);
    this.#expiryTimer.unref();
  }

  async #expire(): Promise<void> {
    const now = Date.now();
    const changes: ResourceChange[] = [];
    for (const [kind, ofKind] of this.#entries) {
      for (const [id, { expiresAt }] of ofKind) {
        if (expiresAt === null || expiresAt > now) continue;
        ofKind.delete(id);
        changes.push({ kind, id, resource: null });
      }
    }
    this.#scheduleExpiry();
    if (changes.length === 0) return;
    const revision = this.#revision + 1;
    try {
      this.#transact(revision, () => this.#statements.removeExpired.run(now));
    } catch (error) {
      // Gone all the same: the row stays behind with its date and is not read again.
      this.#revision = revision;
      this.#log.warn('expired resources could not be removed from the store file yet', {
        error: error instanceof Error ? error.message : String(error),
      });
    }
    await this.#listeners.announce(changes, this.#revision);
  }
}

function toId(revision: number): string {
  return String(revision).padStart(20, '0');
}

function toEntry(row: Record<string, unknown>): Entry {
  const value: Record<string, unknown> = JSON.parse(String(row['value']));
  const resource: StoredResource = {
    kind: String(row['kind']),
    id: String(row['id']),
    value,
    createdIndex: Number(row['created_index']),
    modifiedIndex: Number(row['modified_index']),
  };
  return { resource, expiresAt: row['expires_at'] === null ? null : Number(row['expires_at']) };
}
