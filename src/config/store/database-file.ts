import { randomUUID } from 'node:crypto';
import { chmodSync, closeSync, fsyncSync, linkSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { makeFolder } from '../../base/make-folder.ts';
import { StoreError } from './store.ts';

/** Marks a SQLite file as Weir's: "Weir" in ASCII. https://www.sqlite.org/pragma.html#pragma_application_id */
const applicationId = 0x57656972;

/** Version of the tables below; a file with a larger one was written by a newer Weir. */
const schemaVersion = 1;

const schema = `
  CREATE TABLE resources (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    value TEXT NOT NULL,
    created_index INTEGER NOT NULL,
    modified_index INTEGER NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (kind, id)
  ) STRICT;
  CREATE TABLE revision (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), value INTEGER NOT NULL) STRICT;
  INSERT INTO revision VALUES (1, 0);
  PRAGMA application_id = ${applicationId};
  PRAGMA user_version = ${schemaVersion};
`;

/**
 * Opens the database, creating it (mode 0600) and its directory when absent. While it is open no other process can open it.
 *
 * @throws StoreError `corrupt` when the file is damaged or not Weir's: then not a byte of it has changed.
 * @throws StoreError `unavailable` when it is in use, not accessible, or written by a newer Weir.
 */
export function openDatabaseFile(file: string): DatabaseSync {
  try {
    makeFolder(dirname(file), 0o700);
    if (fileSize(file) === null) createDatabaseFile(file);
    const checked = checkReadOnly(file);
    const database = openExclusively(file);
    try {
      if (!checked) checkDatabase(database, file);
      return database;
    } catch (error) {
      database.close();
      throw error;
    }
  } catch (error) {
    throw toStoreError(error, file, 'open');
  }
}

/** Turns a failure of SQLite or of the file system into a StoreError that names the file; a StoreError passes unchanged. */
export function toStoreError(error: unknown, file: string, action: 'open' | 'write'): StoreError {
  if (error instanceof StoreError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  const resultCode = primaryResultCode(error);
  // 1 while opening: our tables are not there or not as we made them.
  const damaged = resultCode === 11 || resultCode === 26 || (action === 'open' && resultCode === 1);
  if (damaged) return corrupt(file, reason, error);
  if (action === 'open' && (resultCode === 5 || resultCode === 6)) {
    const message = `${file} is in use by another process: stop the gateway that runs with it, or start this one with another prefix (-p)`;
    return new StoreError('unavailable', message, { cause: error });
  }
  const full = resultCode === 13 ? ' (no space left on the disk, or a quota is used up)' : '';
  const message =
    action === 'open'
      ? `cannot open ${file}: ${reason}${full}`
      : `cannot write to ${file}, nothing was changed: ${reason}${full}`;
  return new StoreError('unavailable', message, { cause: error });
}

function corrupt(file: string, reason: string, cause?: unknown): StoreError {
  const message = `${file} is damaged or not a configuration database of Weir (${reason}). It was left as it is: restore it from a backup, or move it and its -wal file away to start with an empty configuration`;
  return new StoreError('corrupt', message, { cause });
}

function createDatabaseFile(file: string): void {
  if (fileSize(`${file}-wal`)) {
    throw corrupt(file, `it is missing while its write-ahead log ${file}-wal is there`);
  }
  // Built aside and put in place whole, so that a crash during the first start cannot leave half a database.
  const draft = `${file}.${randomUUID()}.new`;
  try {
    closeSync(openSync(draft, 'wx', 0o600));
    const database = new DatabaseSync(draft);
    try {
      database.exec(`PRAGMA synchronous = FULL; BEGIN; ${schema} COMMIT; PRAGMA journal_mode = WAL;`);
    } finally {
      database.close();
    }
    moveWithoutReplacing(draft, file);
    syncDirectory(dirname(file));
  } finally {
    rmSync(draft, { force: true });
    rmSync(`${draft}-journal`, { force: true });
  }
}

/** A link fails where a rename would replace the database that another gateway has just created and already writes to. */
function moveWithoutReplacing(draft: string, file: string): void {
  try {
    linkSync(draft, file);
  } catch (error) {
    const code = errorField(error, 'code');
    if (code === 'EEXIST') return;
    // File systems without hard links.
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'ENOSYS') throw error;
    renameSync(draft, file);
  }
}

function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * A writable connection would, when closed, copy its write-ahead log into a damaged file; this one cannot.
 *
 * @returns False when it cannot even look: it needs 32 KiB beside the file, which a full disk does not have.
 */
function checkReadOnly(file: string): boolean {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    checkDatabase(database, file);
    return true;
  } catch (error) {
    const resultCode = primaryResultCode(error);
    if (resultCode === 10 || resultCode === 13) return false;
    throw error;
  } finally {
    database.close();
  }
}

function checkDatabase(database: DatabaseSync, file: string): void {
  if (pragma(database, 'application_id') !== applicationId) throw corrupt(file, 'it does not carry the mark of Weir');
  const version = Number(pragma(database, 'user_version'));
  if (version > schemaVersion) {
    const message = `${file} was written by a newer version of Weir (schema ${version}, this version knows ${schemaVersion}): start that version, or start this one with another prefix (-p)`;
    throw new StoreError('unavailable', message);
  }
  // SQLite reads the missing rest of a cut last page as zeros; only a write-ahead log can complete such a page.
  const pageSize = Number(pragma(database, 'page_size'));
  if (!fileSize(`${file}-wal`) && (fileSize(file) ?? 0) % pageSize !== 0) throw corrupt(file, 'it was truncated');
  const verdict = String(pragma(database, 'quick_check'));
  if (verdict !== 'ok') throw corrupt(file, verdict);
  const broken = database
    .prepare("SELECT kind, id FROM resources WHERE NOT json_valid(value) OR json_type(value) <> 'object' LIMIT 1")
    .get();
  if (broken)
    throw corrupt(file, `the value of ${String(broken['kind'])}/${String(broken['id'])} is not a JSON object`);
  if (!database.prepare('SELECT value FROM revision').get()) throw corrupt(file, 'its revision is missing');
}

function openExclusively(file: string): DatabaseSync {
  const database = new DatabaseSync(file);
  try {
    // EXCLUSIVE is set before the first access, so SQLite keeps the file locked and needs no shared memory beside it.
    database.exec(
      'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN IMMEDIATE; COMMIT;',
    );
    // Left behind by the read-only look.
    rmSync(`${file}-shm`, { force: true });
    // The configuration holds credentials. An older file, or one restored from a backup, may be more open.
    chmodSync(file, 0o600);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function pragma(database: DatabaseSync, name: string): unknown {
  return Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0];
}

/** Only stat: opening and closing the file ourselves would drop the locks that SQLite holds on it in this process. */
function fileSize(file: string): number | null {
  return statSync(file, { throwIfNoEntry: false })?.size ?? null;
}

/** The low byte of SQLite's result code; 0 when the error is not SQLite's. https://www.sqlite.org/rescode.html */
function primaryResultCode(error: unknown): number {
  return (Number(errorField(error, 'errcode')) || 0) & 0xff;
}

function errorField(error: unknown, name: 'code' | 'errcode'): unknown {
  return error instanceof Error ? Reflect.get(error, name) : undefined;
}
