/** One configuration object as the store keeps it: plain data, defaults not filled. Treat `value` as read-only. */
export interface StoredResource {
  /** Plural name of the resource, as in the Admin API's path: `routes`, `consumers`. */
  readonly kind: string;
  readonly id: string;
  readonly value: Readonly<Record<string, unknown>>;
  /** Revision of the write that created the resource. */
  readonly createdIndex: number;
  /** Revision of the last write to it. */
  readonly modifiedIndex: number;
}

/** What happened to one resource; `resource: null` means that it was deleted or expired. */
export interface ResourceChange {
  readonly kind: string;
  readonly id: string;
  readonly resource: StoredResource | null;
}

/** Everything in the store at one revision, in order of creation. */
export interface StoreState {
  /**
   * Counts writes; 0 for a store that was never written. Never goes back, also not over restarts, unless an etcd cluster
   * is replaced by another.
   */
  readonly revision: number;
  readonly resources: readonly StoredResource[];
}

/** Told of every committed change. A rejection is logged and undoes nothing. */
export type StoreListener = (changes: readonly ResourceChange[], revision: number) => void | Promise<void>;

/** A source of configuration. */
export interface Store {
  load(): Promise<StoreState>;
  /** @returns Ends the subscription. */
  watch(listener: StoreListener): () => void;
  /** Releases the files and connections. Safe to call twice. */
  close(): Promise<void>;
  /** Of a store on a server: whether it can be followed now. */
  readonly isReachable?: boolean;
}

export interface PutOptions {
  /** The resource disappears after this many seconds (greater than 0), also over restarts. Absent: it stays. */
  readonly ttlSeconds?: number;
  /** Write only if this is still the resource's modifiedIndex, else `conflict`; 0: only if it does not exist. */
  readonly expectedModifiedIndex?: number;
}

/**
 * A store that the Admin API may write to. put, create and delete resolve once the write is durable and every
 * listener's promise has settled. They reject with a {@link StoreError}; then nothing has changed, except where the message
 * says that nobody knows: an etcd server that was reached and did not answer may still have done it.
 */
export interface WritableStore extends Store {
  get(kind: string, id: string): StoredResource | undefined;
  /** @returns The resources of this kind in order of creation. */
  list(kind: string): readonly StoredResource[];
  put(
    kind: string,
    id: string,
    value: Readonly<Record<string, unknown>>,
    options?: PutOptions,
  ): Promise<{ resource: StoredResource; created: boolean }>;
  /** Stores a new resource under the revision of this write, written with 20 digits, as etcd users of APISIX know it. */
  create(kind: string, build: (id: string) => Readonly<Record<string, unknown>>): Promise<StoredResource>;
  /** @returns False when there was no such resource. */
  delete(kind: string, id: string): Promise<boolean>;
}

/**
 * - `conflict`: somebody else changed the resource first.
 * - `unavailable`: the store cannot be read or written now (disk full, no permission, in use by another gateway, away).
 * - `read-only`: the configuration comes from somewhere else; the message says from where.
 * - `corrupt`: the stored data are damaged; nothing was written to them.
 */
type StoreErrorCode = 'conflict' | 'unavailable' | 'read-only' | 'corrupt';

/** A failure of the store, with a message that names the file or the server and what to do. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreError';
    this.code = code;
  }
}
