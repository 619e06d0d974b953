import type { Log } from '../../../base/log.ts';
import { checkJsonShape } from '../../../schema/json-shape.ts';
import type { LastGoodFile, ValueCodec } from '../last-good.ts';
import type { ResourceCheck } from '../resource-check.ts';
import { ResourceTable } from '../resource-table.ts';
import {
  type PutOptions,
  type ResourceChange,
  StoreError,
  type StoredResource,
  type StoreListener,
  type StoreState,
  type WritableStore,
} from '../store.ts';
import { StoreListeners } from '../store-listeners.ts';
import type { EtcdClient } from './etcd-client.ts';
import { EtcdError } from './etcd-error.ts';
import { defaultTiming, type EtcdEvent, EtcdFollower, type EtcdTiming } from './etcd-follower.ts';
import { type EtcdEntry, fromEtcdKey, isFolderMarker, toBase64, toEntry, toEtcdKey } from './etcd-keys.ts';

export interface EtcdStoreOptions {
  /** The store closes it. */
  readonly client: EtcdClient;
  /** Without a slash at the end: `/apisix`. */
  readonly prefix: string;
  /** What is encrypted in etcd. */
  readonly codec: ValueCodec;
  readonly check: ResourceCheck;
  readonly lastGood: LastGoodFile;
  readonly log: Log;
  readonly timing?: Partial<EtcdTiming>;
  /** How long a start waits for etcd when there is a last good state to start from. Default 3000. */
  readonly patienceMs?: number;
}

type Json = Readonly<Record<string, unknown>>;
type Value = Readonly<Record<string, unknown>>;

/** How long a write that is in etcd waits until this gateway has heard of it. */
const echoTimeoutMs = 5000;

/**
 * Opens the store of a fleet: resources under APISIX's own keys, so that gateways of both kinds can share one etcd. Reads
 * come from memory, which follows etcd.
 *
 * While etcd is away everything stays as it was. A start without etcd takes the last good state from disk; if there is
 * none, it waits.
 */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<WritableStore> {
  const store = new EtcdStore(options);
  await store.start();
  return store;
}

class EtcdStore implements WritableStore {
  readonly #options: EtcdStoreOptions;
  readonly #table = new ResourceTable();
  readonly #listeners: StoreListeners;
  readonly #follower: EtcdFollower;
  readonly #loaded = Promise.withResolvers<void>();
  /** Writers that wait until their revision is in effect here. */
  readonly #waiting = new Set<{ readonly revision: number; readonly resolve: () => void }>();
  /** What was made of the value of each key, `null` of an invalid one: each load meets them again, mostly unchanged. */
  readonly #judged = new Map<string, { readonly entry: EtcdEntry; readonly resource: StoredResource | null }>();
  #pending: ResourceChange[] = [];
  #announcing = false;
  /** The last revision that the table holds, and the last one that every listener has settled. */
  #revision = 0;
  #settledRevision = 0;
  #closed = false;

  constructor(options: EtcdStoreOptions) {
    this.#options = options;
    const { client, prefix, log, timing } = options;
    this.#listeners = new StoreListeners(log);
    this.#follower = new EtcdFollower({
      client,
      prefix,
      log,
      timing: { ...defaultTiming, ...timing },
      onLoad: (entries, revision) => this.#onLoad(entries, revision),
      onEvents: (events, revision) => this.#onEvents(events, revision),
    });
  }

  /** Resolves when there is something to serve. */
  async start(): Promise<void> {
    const { lastGood, log, patienceMs = 3000, client } = this.#options;
    void this.#follower.run();
    const remembered = lastGood.read();
    if (remembered === null) {
      const reminder = setTimeout(() => {
        log.error('the gateway waits for etcd, because there is no earlier configuration to start with', {
          endpoint: client.endpoint,
        });
      }, patienceMs);
      await this.#loaded.promise;
      clearTimeout(reminder);
      return;
    }
    const timeout = Promise.withResolvers<'late'>();
    const timer = setTimeout(timeout.resolve, patienceMs, 'late');
    const outcome = await Promise.race([this.#loaded.promise, timeout.promise]);
    clearTimeout(timer);
    if (outcome !== 'late') return;
    for (const resource of remembered.state.resources) this.#table.set(resource);
    this.#revision = remembered.state.revision;
    log.error('etcd does not answer: the gateway starts with the last configuration that was good', {
      endpoint: client.endpoint,
      revision: this.#revision,
      saved_at: remembered.savedAt.toISOString(),
    });
  }

  async load(): Promise<StoreState> {
    return this.#state();
  }

  get isReachable(): boolean {
    return this.#follower.isReachable;
  }

  watch(listener: StoreListener): () => void {
    return this.#listeners.add(listener);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#follower.close();
    this.#options.client.close();
    await this.#options.lastGood.close();
  }

  get(kind: string, id: string): StoredResource | undefined {
    return this.#table.get(kind, id);
  }

  list(kind: string): readonly StoredResource[] {
    return this.#table.list(kind);
  }

  async put(
    kind: string,
    id: string,
    value: Value,
    options: PutOptions = {},
  ): Promise<{ resource: StoredResource; created: boolean }> {
    const { ttlSeconds, expectedModifiedIndex } = options;
    if (ttlSeconds !== undefined && !(ttlSeconds > 0)) throw new RangeError('ttlSeconds must be greater than 0');
    const lease = ttlSeconds === undefined ? undefined : await this.#grantLease(ttlSeconds);
    const { kv, written } = await this.#write({ kind, id, value, expected: expectedModifiedIndex, lease });
    if (!written) {
      // Else the caller, who reads again, would read what it has read before.
      if (kv.modRevision === 0) this.#forget(kind, id);
      await this.#inEffect(kv.modRevision);
      const found = kv.modRevision > 0 ? `is now at revision ${kv.modRevision}` : 'does not exist';
      const message = `${kind}/${id} ${found}, expected revision ${expectedModifiedIndex}: read it again`;
      throw new StoreError('conflict', message);
    }
    await this.#inEffect(kv.modRevision);
    return { resource: this.#toResource(kind, id, kv, parseValue(kv.value)), created: kv.version === 1 };
  }

  async create(kind: string, build: (id: string) => Value): Promise<StoredResource> {
    for (;;) {
      // As APISIX does it: the revision of a write to this key, which nobody reads, becomes the id.
      const { header } = await this.#call('kv/put', {
        key: toBase64(`${this.#options.prefix}/gen_id`),
        value: toBase64('1'),
      });
      const id = String(toObject(header)['revision']).padStart(20, '0');
      const { kv, written } = await this.#write({ kind, id, value: build(id), expected: 0, lease: undefined });
      // A client may have put a resource under just this number.
      if (!written) continue;
      await this.#inEffect(kv.modRevision);
      return this.#toResource(kind, id, kv, parseValue(kv.value));
    }
  }

  async delete(kind: string, id: string): Promise<boolean> {
    const key = toBase64(toEtcdKey(this.#options.prefix, kind, id));
    const { header, deleted } = await this.#call('kv/deleterange', { key });
    if (Number(deleted ?? 0) === 0) return false;
    await this.#inEffect(Number(toObject(header)['revision']));
    return true;
  }

  /** The event that tells of the deletion is still on its way. */
  #forget(kind: string, id: string): void {
    if (this.get(kind, id) === undefined) return;
    this.#table.apply([{ kind, id, resource: null }]);
    this.#enqueue([{ kind, id, resource: null }], this.#revision);
  }

  async #write(write: {
    kind: string;
    id: string;
    value: Value;
    expected: number | undefined;
    lease: string | undefined;
  }): Promise<{ kv: EtcdEntry; written: boolean }> {
    const { kind, id, value, expected, lease } = write;
    const key = toBase64(toEtcdKey(this.#options.prefix, kind, id));
    const text = JSON.stringify(this.#options.codec.encode(kind, value));
    const read = { request_range: { key } };
    const answer = await this.#call('kv/txn', {
      compare: expected === undefined ? [] : [{ key, target: 'MOD', result: 'EQUAL', mod_revision: String(expected) }],
      success: [{ request_put: { key, value: toBase64(text), ...(lease !== undefined && { lease }) } }, read],
      failure: [read],
    });
    const responses: unknown[] = Array.isArray(answer['responses']) ? answer['responses'] : [];
    const { kvs } = toObject(toObject(responses.at(-1))['response_range']);
    return { kv: toEntry(Array.isArray(kvs) ? kvs[0] : undefined), written: answer['succeeded'] === true };
  }

  /** etcd counts in whole seconds, and raises what is too short for an election of its leader. */
  async #grantLease(ttlSeconds: number): Promise<string> {
    const { ID } = await this.#call('lease/grant', { TTL: String(Math.ceil(ttlSeconds)) });
    return String(ID);
  }

  async #call(path: string, body: Json): Promise<Json> {
    if (this.#closed) throw new StoreError('unavailable', 'cannot write to etcd: the store is closed');
    try {
      const answer = await this.#options.client.call(path, body, { isWrite: true });
      this.#follower.wakeUp();
      return answer;
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      const unknown = error.isTransient && error.sent;
      const sentence = unknown ? 'it is not known whether the write was done' : 'nothing was changed';
      throw new StoreError('unavailable', `${error.message}; ${sentence}`, { cause: error });
    }
  }

  /** Resolves when this gateway serves the revision. */
  async #inEffect(revision: number): Promise<void> {
    if (this.#settledRevision >= revision) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = { revision, resolve };
    this.#waiting.add(waiting);
    const timer = setTimeout(() => {
      this.#options.log.warn('a write is in etcd, but this gateway has not heard of it yet', { revision });
      resolve();
    }, echoTimeoutMs);
    await promise;
    clearTimeout(timer);
    this.#waiting.delete(waiting);
  }

  #onLoad(entries: readonly EtcdEntry[], revision: number): void {
    const changes: ResourceChange[] = [];
    const present = new Set<string>();
    const keys = new Set(entries.map(({ key }) => key));
    for (const key of this.#judged.keys()) if (!keys.has(key)) this.#judged.delete(key);
    for (const entry of entries) {
      const change = this.#toChange(entry);
      if (change === null) continue;
      present.add(`${change.kind}/${change.id}`);
      const old = this.get(change.kind, change.id);
      if (old === undefined || !isSame(old, change.resource)) changes.push(change);
    }
    // A resource whose new value is invalid is still there, with its last good one.
    for (const { kind, id } of this.#table.all()) {
      if (!present.has(`${kind}/${id}`)) changes.push({ kind, id, resource: null });
    }
    changes.sort((a, b) => (a.resource?.createdIndex ?? 0) - (b.resource?.createdIndex ?? 0));
    this.#table.apply(changes);
    this.#enqueue(changes, revision);
    this.#options.lastGood.save(() => ({ state: this.#state() }));
    this.#loaded.resolve();
  }

  #onEvents(events: readonly EtcdEvent[], revision: number): void {
    const changes: ResourceChange[] = [];
    for (const { deleted, entry } of events) {
      const change = deleted ? this.#toDeletion(entry) : this.#toChange(entry);
      if (change === null) continue;
      changes.push(change);
      // At once: a later event of the same answer may be of the same resource.
      this.#table.apply([change]);
    }
    this.#enqueue(changes, revision);
  }

  #enqueue(changes: readonly ResourceChange[], revision: number): void {
    this.#revision = revision;
    this.#pending = [...this.#pending, ...changes];
    if (!this.#announcing) void this.#announce();
  }

  /** One batch at a time: what comes while the workers are busy is handed to them together. */
  async #announce(): Promise<void> {
    this.#announcing = true;
    for (;;) {
      const changes = this.#pending;
      const revision = this.#revision;
      this.#pending = [];
      if (changes.length > 0) {
        await this.#listeners.announce(changes, revision);
        this.#options.lastGood.save(() => ({ state: this.#state() }));
      }
      this.#settledRevision = revision;
      for (const waiting of this.#waiting) if (waiting.revision <= revision) waiting.resolve();
      if (this.#pending.length === 0 && this.#revision === revision) break;
    }
    this.#announcing = false;
  }

  #state(): StoreState {
    return { revision: this.#revision, resources: this.#table.all() };
  }

  #toDeletion({ key }: EtcdEntry): ResourceChange | null {
    this.#judged.delete(key);
    const name = fromEtcdKey(this.#options.prefix, key);
    return name === null || this.get(name.kind, name.id) === undefined ? null : { ...name, resource: null };
  }

  /** `null`: the key is no resource, or one that was never good. */
  #toChange(entry: EtcdEntry): ResourceChange | null {
    const { prefix, check } = this.#options;
    const name = fromEtcdKey(prefix, entry.key);
    if (name === null || isFolderMarker(entry.value)) return null;
    const { kind, id } = name;
    const known = this.#judged.get(entry.key);
    if (known?.resource && isSameEntry(known.entry, entry)) return { kind, id, resource: known.resource };
    try {
      const resource = this.#toResource(kind, id, entry, parseValue(entry.value));
      const wrong = checkJsonShape(resource.value) ?? check(kind, resource.value);
      if (wrong === null) {
        this.#judged.set(entry.key, { entry, resource });
        return { kind, id, resource };
      }
      this.#nameInvalid(entry, name, wrong);
    } catch {
      this.#nameInvalid(entry, name, 'its value is not a JSON object');
    }
    const old = this.get(kind, id);
    // Its last good value serves on. The index is the real one, so that it can be replaced.
    return old === undefined ? null : { kind, id, resource: { ...old, modifiedIndex: entry.modRevision } };
  }

  #nameInvalid(entry: EtcdEntry, { kind, id }: { kind: string; id: string }, reason: string): void {
    const { key, modRevision } = entry;
    const known = this.#judged.get(key);
    if (known?.resource === null && known.entry.modRevision === modRevision) return;
    this.#judged.set(key, { entry, resource: null });
    this.#options.log.error(`etcd: ${key} is left out: ${reason}`, { resource: kind, id, revision: modRevision });
  }

  #toResource(kind: string, id: string, entry: EtcdEntry, value: Value): StoredResource {
    const { createRevision, modRevision } = entry;
    const decoded = this.#options.codec.decode(kind, value);
    return { kind, id, value: decoded, createdIndex: createRevision, modifiedIndex: modRevision };
  }
}

function isSameEntry(old: EtcdEntry, next: EtcdEntry): boolean {
  const { createRevision, modRevision, value } = next;
  return old.createRevision === createRevision && old.modRevision === modRevision && old.value === value;
}

function isSame(old: StoredResource, next: StoredResource | null): boolean {
  if (old === next) return true;
  if (next === null || old.modifiedIndex !== next.modifiedIndex || old.createdIndex !== next.createdIndex) return false;
  // The same revision of another cluster, or another key to decrypt with, is another value.
  return JSON.stringify(old.value) === JSON.stringify(next.value);
}

/** @throws SyntaxError or TypeError when it is not a JSON object. */
function parseValue(text: string): Value {
  const value: unknown = JSON.parse(text);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Value;
  throw new TypeError('not an object');
}

function toObject(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {};
}
