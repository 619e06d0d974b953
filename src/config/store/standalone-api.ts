import type { Log } from '../../base/log.ts';
import { DocumentStore } from './document-store.ts';
import type { LastGoodFile } from './last-good.ts';
import type { ResourceCheck } from './resource-check.ts';
import { documentKeys, type DocumentProblem, readDocument } from './standalone-document.ts';
import { StoreError, type WritableStore } from './store.ts';

type Document = Readonly<Record<string, unknown>>;

interface StandaloneApiOptions {
  readonly check: ResourceCheck;
  /** Where the configuration is kept over restarts. */
  readonly kept: LastGoodFile;
  readonly log: Log;
}

/** The whole configuration as it was last put, and when. */
export interface AcceptedDocument {
  /** Names the document; chosen by who put it. `null` before the first one. */
  readonly digest: string | null;
  /** Seconds since 1970; `null` before the first one. */
  readonly lastModified: number | null;
  /** The lists of resources as they were put, and `<resource>_conf_version` for each kind. */
  readonly document: Document;
}

/** A configuration that is put as a whole, as APISIX's `/apisix/admin/configs` does. */
export interface StandaloneConfigs {
  read(): AcceptedDocument;
  /**
   * Replaces everything. Resolves when it is durable and in effect.
   *
   * @returns `unchanged` when the digest is that of the present one.
   * @throws DocumentRefusal when something in it is wrong: then nothing has changed. StoreError when it cannot be kept.
   */
  replace(document: Document, digest: string): Promise<'unchanged' | 'accepted'>;
}

/** What is wrong with a document, in APISIX's words. */
export class DocumentRefusal extends Error {}

const readOnlyReason =
  'this gateway takes its configuration as a whole (config_provider: yaml): use PUT /apisix/admin/configs';

/** Opens the store of the role `traditional` with `config_provider: yaml`: in memory, put as a whole, kept on disk. */
export function openStandaloneApi(options: StandaloneApiOptions): {
  readonly store: WritableStore;
  readonly configs: StandaloneConfigs;
} {
  const { kept, log } = options;
  const remembered = kept.read();
  const store = new DocumentStore({
    state: remembered?.state ?? { revision: 0, resources: [] },
    log,
    readOnlyReason,
    close: () => kept.close(),
  });
  return { store, configs: new Configs(store, options, toAccepted(remembered?.note)) };
}

class Configs implements StandaloneConfigs {
  readonly #store: DocumentStore;
  readonly #options: StandaloneApiOptions;
  #accepted: AcceptedDocument;
  #replacements: Promise<unknown> = Promise.resolve();

  constructor(store: DocumentStore, options: StandaloneApiOptions, accepted: AcceptedDocument) {
    this.#store = store;
    this.#options = options;
    this.#accepted = accepted;
  }

  read(): AcceptedDocument {
    return this.#accepted;
  }

  replace(document: Document, digest: string): Promise<'unchanged' | 'accepted'> {
    const replacement = this.#replacements.then(() => this.#replace(document, digest));
    this.#replacements = replacement.catch(() => {});
    return replacement;
  }

  async #replace(document: Document, digest: string): Promise<'unchanged' | 'accepted'> {
    if (digest === this.#accepted.digest) return 'unchanged';
    const merged = mergeVersions(this.#accepted.document, document);
    const { items, problems } = readDocument(merged, this.#options.check, false);
    const [problem] = problems;
    if (problem !== undefined) throw new DocumentRefusal(inWords(problem));
    const accepted = { digest, lastModified: Math.floor(Date.now() / 1000), document: merged };
    const plan = this.#store.plan(items);
    try {
      await this.#options.kept.saveNow({ state: plan.state, note: accepted });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new StoreError('unavailable', `the configuration cannot be kept, nothing was changed: ${reason}`, {
        cause: error,
      });
    }
    this.#accepted = accepted;
    await this.#store.commit(plan);
    return 'accepted';
  }
}

/**
 * Lists whose version is the present one stay as they are, whatever the new document says; without a version the list is
 * taken and counted one up.
 */
function mergeVersions(present: Document, next: Document): Document {
  const merged: [string, unknown][] = [];
  for (const key of Object.keys(next)) {
    if (key.endsWith('_conf_version') || /^x-/i.test(key)) continue;
    // For its problem to be found.
    if (!documentKeys.includes(key)) merged.push([key, next[key]]);
  }
  for (const key of documentKeys) {
    const versionKey = `${key}_conf_version`;
    const current = versionOf(present[versionKey]);
    const stated = next[versionKey] ?? null;
    const wanted = stated ?? current + 1;
    if (typeof wanted !== 'number') throw new DocumentRefusal(`${versionKey} must be a number`);
    if (wanted < current) throw new DocumentRefusal(`${versionKey} must be greater than or equal to (${current})`);
    // Of a version beyond 2^53 the next one is the same number.
    const list = stated !== null && wanted === current ? present[key] : next[key];
    if (list !== undefined && list !== null) merged.push([key, list]);
    merged.push([versionKey, wanted]);
  }
  return Object.fromEntries(merged);
}

function inWords({ resource, id, index, reason, duplicate }: DocumentProblem): string {
  if (index === -1) return `invalid ${resource}, err: ${reason}`;
  if (!duplicate) return `invalid ${resource} at index ${index}, err: ${reason}`;
  const credential = id.includes('/credentials/');
  const what = resource !== 'consumers' ? 'id' : credential ? 'credential id' : 'username';
  return `found duplicate ${what} ${id} in ${resource}`;
}

function toAccepted(note: unknown): AcceptedDocument {
  if (isDocument(note) && isDocument(note['document'])) {
    const { digest, lastModified, document } = note;
    if (typeof digest === 'string' && typeof lastModified === 'number') return { digest, lastModified, document };
  }
  const versions = documentKeys.map((key) => [`${key}_conf_version`, 0]);
  return { digest: null, lastModified: null, document: Object.fromEntries(versions) };
}

function versionOf(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

function isDocument(value: unknown): value is Document {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
