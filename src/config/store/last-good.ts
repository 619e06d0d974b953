import { readFileSync, statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Log } from '../../base/log.ts';
import { makeFolder } from '../../base/make-folder.ts';
import type { StoredResource, StoreState } from './store.ts';

/** What the file holds. */
export interface LastGood {
  readonly state: StoreState;
  /** Whatever else the store wants to find again; plain JSON. */
  readonly note?: unknown;
}

interface LastGoodOptions {
  /** By convention `<prefix>/data/last-good.json`. */
  readonly file: string;
  /** Names the store that the state comes from; the state of another one is not taken. */
  readonly source: string;
  readonly log: Log;
  /** What the file holds in place of a value, and back: for values that are encrypted where they come from. */
  readonly codec?: ValueCodec;
}

type Value = Readonly<Record<string, unknown>>;

/** Changes values on their way out of memory (encode) and into it (decode). */
export interface ValueCodec {
  encode(kind: string, value: Value): Value;
  decode(kind: string, value: Value): Value;
}

/** Changes that follow each other closely become one write of the file. */
const debounceMs = 500;

/** A disk that was full may have room again, and the next change may be far away. */
const retryMs = 60_000;

/** A copy on disk of the last state that was good, for a start while the store is away. Mode 0600: it holds credentials. */
export class LastGoodFile {
  readonly #options: LastGoodOptions;
  #timer: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #latest: (() => LastGood) | undefined;
  #writes: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: LastGoodOptions) {
    this.#options = options;
  }

  /** @returns `null` when there is none, it is of another source, or it cannot be read; the latter is logged. */
  read(): (LastGood & { readonly savedAt: Date }) | null {
    const { file, source, log, codec } = this.#options;
    try {
      const found: unknown = JSON.parse(readFileSync(file, 'utf8'));
      if (!isObject(found) || found['source'] !== source) return null;
      const { revision, resources, note } = found;
      if (typeof revision !== 'number' || !Array.isArray(resources) || !resources.every(isStoredResource)) {
        throw new Error('it does not have the form that Weir writes');
      }
      const decoded = codec
        ? resources.map((resource) => ({ ...resource, value: codec.decode(resource.kind, resource.value) }))
        : resources;
      return { state: { revision, resources: decoded }, note, savedAt: statSync(file).mtime };
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
      log.error(`${file} cannot be used, so there is no last good configuration`, { reason: reasonOf(error) });
      return null;
    }
  }

  /**
   * Writes soon. A failure is logged, and it is tried again after a minute, or with the next call.
   *
   * @param read - Asked for the state at the moment of writing.
   */
  save(read: () => LastGood): void {
    this.#latest = read;
    clearTimeout(this.#retry);
    this.#timer ??= setTimeout(() => void this.#flush(), debounceMs);
  }

  /** Resolves when it is durable. @throws Error of the system when it cannot be written; then the old one is still there. */
  saveNow(lastGood: LastGood): Promise<void> {
    clearTimeout(this.#timer);
    clearTimeout(this.#retry);
    this.#timer = undefined;
    this.#latest = undefined;
    const write = this.#writes.then(() => this.#write(lastGood));
    this.#writes = write.catch(() => {});
    return write;
  }

  /** Writes what is still to be written. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#flush();
    await this.#writes;
  }

  async #flush(): Promise<void> {
    const read = this.#latest;
    if (read === undefined) return;
    try {
      await this.saveNow(read());
    } catch (error) {
      if (!this.#closed) {
        this.#latest ??= read;
        clearTimeout(this.#retry);
        this.#retry = setTimeout(() => void this.#flush(), retryMs).unref();
      }
      const { file, log } = this.#options;
      log.error(`${file} cannot be written: a start while the store is away would use an older configuration`, {
        reason: reasonOf(error),
      });
    }
  }

  async #write({ state, note }: LastGood): Promise<void> {
    const { file, source, codec } = this.#options;
    const resources = codec
      ? state.resources.map((resource) => ({ ...resource, value: codec.encode(resource.kind, resource.value) }))
      : state.resources;
    const text = JSON.stringify({ source, revision: state.revision, note, resources });
    makeFolder(dirname(file), 0o700);
    const draft = `${file}.new`;
    // Of a process that was killed while it wrote.
    await rm(draft, { force: true });
    try {
      const handle = await open(draft, 'wx', 0o600);
      try {
        await handle.writeFile(text);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(draft, file);
    } finally {
      await rm(draft, { force: true });
    }
  }
}

function isStoredResource(item: unknown): item is StoredResource {
  return (
    isObject(item) &&
    typeof item['kind'] === 'string' &&
    typeof item['id'] === 'string' &&
    typeof item['createdIndex'] === 'number' &&
    typeof item['modifiedIndex'] === 'number' &&
    isObject(item['value'])
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
