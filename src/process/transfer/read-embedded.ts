import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../base/log.ts';
import { openEmbeddedStore } from '../../config/store/embedded.ts';
import { StoreError } from '../../config/store/store.ts';
import { CommandError } from '../command-error.ts';
import type { Reading } from './reading.ts';

/** A checkpoint rewrites the database now and then, in milliseconds. */
const maxTries = 10;

interface Copy {
  readonly database: Buffer;
  readonly log: Buffer;
}

/**
 * Reads an embedded store, whether or not a gateway runs on it: a running one has locked its database, so a copy is read.
 *
 * @param file - By convention `<prefix>/data/weir.db`. Nothing is written there.
 * @throws CommandError when there is none, StoreError when it is damaged.
 */
export async function readEmbedded(file: string): Promise<Reading> {
  if (!existsSync(file)) throw new CommandError(`there is no ${file}: no gateway was ever started on this prefix (-p)`);
  const folder = mkdtempSync(join(tmpdir(), 'weir-read-'));
  try {
    const copy = join(folder, 'weir.db');
    const { database, log } = copyConsistently(file);
    writeFileSync(copy, database, { mode: 0o600 });
    if (log.length > 0) writeFileSync(`${copy}-wal`, log, { mode: 0o600 });
    const store = await openEmbeddedStore({ file: copy, log: silentLog });
    const { resources } = await store.load();
    await store.close();
    return { items: resources.map(({ kind, id, value }) => ({ kind, id, value })), problems: [], notes: [] };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    const message = error.message.replaceAll(join(folder, 'weir.db'), file);
    throw new StoreError(error.code, message, { cause: error });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * A database and its write-ahead log belong together as long as neither is rewritten between two looks at them. What is
 * appended to the log meanwhile is a whole transaction, or a part of one, which SQLite ignores.
 */
function copyConsistently(file: string): Copy {
  for (let tries = 1; tries <= maxTries; tries++) {
    const database = readFileSync(file);
    const log = readLog(file);
    const logNow = readLog(file).subarray(0, log.length);
    if (logNow.equals(log) && readFileSync(file).equals(database)) return { database, log };
  }
  throw new CommandError(`${file} changes all the time: try it again when less is written through the Admin API`);
}

/** Empty when there is none. */
function readLog(file: string): Buffer {
  return existsSync(`${file}-wal`) ? readFileSync(`${file}-wal`) : Buffer.alloc(0);
}
