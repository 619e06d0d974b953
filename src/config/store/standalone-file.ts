import { type FSWatcher, watch } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Log } from '../../base/log.ts';
import { DocumentStore } from './document-store.ts';
import type { LastGood, LastGoodFile } from './last-good.ts';
import type { ResourceCheck } from './resource-check.ts';
import { type DocumentContents, type DocumentItem, readDocument } from './standalone-document.ts';
import { DocumentError, hasEndLine, parseDocumentText, substituteInText } from './standalone-text.ts';
import type { StoreState, WritableStore } from './store.ts';

export interface StandaloneFileOptions {
  /** By convention `<prefix>/conf/apisix.yaml` or `apisix.json`. */
  readonly file: string;
  /** A YAML file must end with a line `#END`, or it counts as not yet written to its end. */
  readonly format: 'yaml' | 'json';
  readonly check: ResourceCheck;
  /** Values of `${{NAME}}`. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly lastGood: LastGoodFile;
  readonly log: Log;
  /** How often the file is looked at. Default 1000, as in APISIX. */
  readonly pollMs?: number;
}

/** Half a file that an editor is still writing is not read. */
const settleMs = 30;

const nothing: StoreState = { revision: 0, resources: [] };

/** The last good state, and when it was written. */
interface Remembered {
  readonly state: StoreState;
  readonly savedAt: Date;
}

/**
 * Opens a store whose configuration is one file that people or tools write. A change of the file is seen within a second. What
 * is wrong with it goes to the log: items that are invalid are left out, and a file that cannot be read as a whole leaves
 * everything as it is.
 *
 * Without a file that can be read it starts from the last good state; if there is none either, it waits for the file.
 */
export async function openStandaloneFile(options: StandaloneFileOptions): Promise<WritableStore> {
  const source = new StandaloneFile(options);
  await source.start();
  return source.store;
}

class StandaloneFile {
  readonly store: DocumentStore;
  readonly #options: StandaloneFileOptions;
  readonly #remembered: Remembered | undefined;
  readonly #firstLoad = Promise.withResolvers<void>();
  /** The last text that could be used. */
  #parsed: ({ readonly text: string } & DocumentContents) | undefined;
  #seen = '';
  #failure = '';
  #looking = false;
  #timer: NodeJS.Timeout | undefined;
  #settleTimer: NodeJS.Timeout | undefined;
  #watcher: FSWatcher | undefined;

  constructor(options: StandaloneFileOptions) {
    this.#options = options;
    this.#remembered = this.#recall();
    const { file, log } = options;
    this.store = new DocumentStore({
      state: this.#remembered?.state ?? nothing,
      log,
      readOnlyReason: `the configuration comes from ${file}: change that file`,
      close: () => this.#close(),
    });
  }

  /** Resolves when there is something to serve. */
  async start(): Promise<void> {
    const { file, log, pollMs = 1000 } = this.#options;
    this.#timer = setInterval(() => void this.#look(), pollMs);
    this.#watchFolder();
    if (await this.#look()) return;
    if (this.#remembered !== undefined) {
      const { savedAt } = this.#remembered;
      log.error(`${file} cannot be used: the gateway starts with the last configuration that was good`, {
        saved_at: savedAt.toISOString(),
      });
      this.#logProblems();
      return;
    }
    log.error(`the gateway waits for ${file}, because there is no earlier configuration to start with`);
    await this.#firstLoad.promise;
  }

  /** @returns Whether the file was read now and could be used. */
  async #look(): Promise<boolean> {
    if (this.#looking) return false;
    this.#looking = true;
    try {
      return await this.#readIfChanged();
    } finally {
      this.#looking = false;
    }
  }

  async #readIfChanged(): Promise<boolean> {
    const { file, log, lastGood } = this.#options;
    try {
      const version = await versionOf(file);
      if (version === this.#seen) return false;
      const text = await readFile(file, 'utf8');
      // Not before it could be read: a file that nobody may read yet does not change when that does.
      this.#seen = version;
      const items = this.#parse(text);
      this.#logProblems();
      await this.store.commit(this.store.plan(items));
    } catch (error) {
      const failure = `${this.#seen} ${reasonOf(error)}`;
      // A file that stays away is looked at every second, and told of once.
      if (failure === this.#failure) return false;
      this.#failure = failure;
      log.error(`${file} cannot be used, the configuration stays as it was`, { reason: reasonOf(error) });
      return false;
    }
    this.#failure = '';
    lastGood.save(() => this.#toLastGood());
    this.#firstLoad.resolve();
    return true;
  }

  /** The items that can be used. @throws DocumentError */
  #parse(text: string): readonly DocumentItem[] {
    const { format, check, environment } = this.#options;
    // At a start it mostly is what was remembered.
    if (text === this.#parsed?.text) return this.#parsed.items;
    if (format === 'yaml' && !hasEndLine(text)) {
      throw new DocumentError('it does not end with a line #END (only white space may follow)');
    }
    const document = parseDocumentText(substituteInText(text, environment), format);
    this.#parsed = { text, ...readDocument(document, check, true) };
    return this.#parsed.items;
  }

  #logProblems(): void {
    const { file, log } = this.#options;
    for (const { resource, id, reason } of this.#parsed?.problems ?? []) {
      const what = id === '' ? resource : `${resource}/${id}`;
      log.error(`${file}: ${what} is left out: ${reason}`, { file, resource, id });
    }
  }

  /**
   * The text of the file, and of the resources only their indexes: in their values stand environment variables, which were not
   * meant to be on a disk.
   */
  #toLastGood(): LastGood {
    const { revision, resources } = this.store.state;
    const indexes = resources.map((resource) => ({ ...resource, value: {} }));
    return { state: { revision, resources: indexes }, note: this.#parsed?.text };
  }

  #recall(): Remembered | undefined {
    const { lastGood, log, file } = this.#options;
    const found = lastGood.read();
    if (typeof found?.note !== 'string') return undefined;
    const { state, note, savedAt } = found;
    try {
      const values = new Map(this.#parse(note).map(({ kind, id, value }) => [`${kind}/${id}`, value]));
      const resources = state.resources.flatMap((resource) => {
        const value = values.get(`${resource.kind}/${resource.id}`);
        return value === undefined ? [] : [{ ...resource, value }];
      });
      return { state: { revision: state.revision, resources }, savedAt };
    } catch (error) {
      log.error(`the last configuration of ${file} that was good cannot be used any more`, { reason: reasonOf(error) });
      return undefined;
    }
  }

  /** Only makes it faster: a file system that tells of no changes is still looked at every second. */
  #watchFolder(): void {
    try {
      this.#watcher = watch(dirname(this.#options.file), { persistent: false }, () => {
        clearTimeout(this.#settleTimer);
        this.#settleTimer = setTimeout(() => void this.#look(), settleMs);
      });
      this.#watcher.on('error', () => this.#watcher?.close());
    } catch {
      // The folder does not exist yet, or the system has no watches left.
    }
  }

  async #close(): Promise<void> {
    clearInterval(this.#timer);
    clearTimeout(this.#settleTimer);
    this.#watcher?.close();
    await this.#options.lastGood.close();
  }
}

/** Changes whenever the file does: written in place, replaced, or a link that leads somewhere else. */
async function versionOf(file: string): Promise<string> {
  const { mtimeMs, ctimeMs, size, ino } = await stat(file);
  return `${mtimeMs}:${ctimeMs}:${size}:${ino}`;
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error && error.code === 'ENOENT' ? 'there is no such file' : error.message;
}
