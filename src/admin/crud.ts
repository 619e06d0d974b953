import type { ResourceContext, ResourceDefinition } from '../config/resource.ts';
import { toEtcdKey } from '../config/store/etcd/etcd-keys.ts';
import { StoreError, type StoredResource, type WritableStore } from '../config/store/store.ts';
import { type AdminReply, AdminRefusal, type AdminRequest } from './admin-reply.ts';
import { queryList } from './list-query.ts';
import { mergePatch, replaceAt } from './patch.ts';
import { findUser } from './references.ts';

type Conf = Readonly<Record<string, unknown>>;

/** Longest life that `?ttl=` may give a resource: ten years, in seconds. */
const maxTtlSeconds = 10 * 365 * 24 * 3600;

interface CrudOptions {
  readonly store: WritableStore;
  readonly context: ResourceContext;
  /** All kinds: who refers to a resource, and which kinds lie under it, follows from their definitions. */
  readonly resources: readonly ResourceDefinition[];
}

/**
 * GET, PUT, POST, PATCH and DELETE of one kind of resource, the same for all kinds.
 *
 * The stored value is what the client sent plus `id`, `create_time` and `update_time` (seconds): defaults are not
 * stored. A write is answered when the store says that it is durable and live.
 *
 * @returns The endpoint. It throws AdminRefusal for what the client did wrong and StoreError when the store cannot write.
 */
export function createCrud(
  definition: ResourceDefinition,
  { store, context, resources }: CrudOptions,
): (request: AdminRequest) => Promise<AdminReply> {
  const { kind, title, idField, idSegments } = definition;
  const parentTitle = resources.find((resource) => resource.kind === definition.parent)?.title;
  const children = resources.filter(({ parent }) => parent === kind);

  async function get(request: AdminRequest): Promise<AdminReply> {
    const id = idOf(request);
    if (id === undefined) {
      const prefix = idPrefix(request);
      const siblings = store.list(kind).filter((resource) => resource.id.startsWith(prefix));
      const { total, list } = queryList(siblings, request.query, definition.filterFields);
      return { status: 200, body: { total, list: list.map(indexed) } };
    }
    const resource = store.get(kind, idPrefix(request) + id);
    return resource === undefined ? keyNotFound : { status: 200, body: indexed(resource) };
  }

  async function put(request: AdminRequest): Promise<AdminReply> {
    const conf = requireConf(request.body);
    const id = idOf(request) ?? conf[idField];
    // What has no id but a name is told so by its schema.
    if ((id === undefined || id === null) && idField === 'id') throw new AdminRefusal(400, `missing ${title} id`);
    requireNoTimes(conf);
    const value = checked({ ...conf, [idField]: matchingId(conf, id) });
    const key = idPrefix(request) + String(value[idField]);
    requireHarmony(key, value);
    const now = nowSeconds();
    const createTime = store.get(kind, key)?.value['create_time'] ?? now;
    const stamped = { ...value, create_time: createTime, update_time: now };
    const { resource, created } = await store.put(kind, key, stamped, ttlOptions(request.query));
    return { status: created ? 201 : 200, body: plain(resource) };
  }

  async function post({ path, query, body }: AdminRequest): Promise<AdminReply> {
    const conf = requireConf(body);
    if (path[0] !== undefined || conf['id'] !== undefined) {
      throw new AdminRefusal(400, `wrong ${title} id, do not need it`);
    }
    requireNoTimes(conf);
    if (ttlOptions(query).ttlSeconds !== undefined) {
      throw new AdminRefusal(400, 'the argument ttl is not supported with POST: use PUT with an id');
    }
    checked(conf);
    const now = nowSeconds();
    const resource = await store.create(kind, (id) => ({ ...conf, id, create_time: now, update_time: now }));
    return { status: 201, body: plain(resource) };
  }

  async function patch(request: AdminRequest): Promise<AdminReply> {
    const { path, query, body } = request;
    const id = idOf(request);
    const subPath = path.slice(idSegments);
    if (id === undefined) throw new AdminRefusal(400, `missing ${title} id`);
    if (body === undefined) throw new AdminRefusal(400, 'missing new configuration');
    if (subPath.length === 0 && !isObject(body)) throw new AdminRefusal(400, 'invalid configuration');
    const ttl = ttlOptions(query);
    for (;;) {
      const old = store.get(kind, id);
      if (old === undefined) return keyNotFound;
      const conf = patched(old.value, subPath, body);
      const value = checked({ ...conf, id: matchingId(conf, id), update_time: nowSeconds() });
      requireHarmony(id, value);
      try {
        const { resource } = await store.put(kind, id, value, { ...ttl, expectedModifiedIndex: old.modifiedIndex });
        return { status: 200, body: plain(resource) };
      } catch (error) {
        // Somebody else's write came between: the patch is applied to that one. Each round means that one writer got on.
        if (!(error instanceof StoreError && error.code === 'conflict')) throw error;
      }
    }
  }

  async function remove(request: AdminRequest): Promise<AdminReply> {
    const ownId = idOf(request);
    if (ownId === undefined) throw new AdminRefusal(400, `missing ${title} id`);
    const id = idPrefix(request) + ownId;
    if (request.query.get('force') !== 'true' && store.get(kind, id) !== undefined) requireUnused(id);
    // Before it: what would be left without it if the gateway ended in between is out of reach.
    await removeBelow(id);
    if (!(await store.delete(kind, id))) return keyNotFound;
    // And after it: one that was put in the meantime would belong to whoever gets the same id later.
    await removeBelow(id);
    return { status: 200, body: { key: keyOf(kind, id), deleted: '1' } };
  }

  async function removeBelow(id: string): Promise<void> {
    for (const child of children) {
      const below = store.list(child.kind).filter((resource) => resource.id.startsWith(`${id}/`));
      for (const resource of below) await store.delete(child.kind, resource.id);
    }
  }

  /** The id that a path names, `undefined` when it names none. */
  function idOf({ path }: AdminRequest): string | undefined {
    if (path.length === 0) return undefined;
    if (path.length < idSegments) throw new AdminRefusal(400, `missing ${title} id`);
    return path.slice(0, idSegments).join('/');
  }

  function requireConf(body: unknown): Conf {
    if (body === undefined) throw new AdminRefusal(400, 'missing configurations');
    if (isObject(body)) return body;
    throw new AdminRefusal(400, definition.check(body, context) ?? 'invalid configuration');
  }

  function matchingId(conf: Conf, id: unknown): unknown {
    const { [idField]: own = id } = conf;
    // A number in the body is the same id as its digits in the path.
    const same = own === id || (typeof own === 'number' && String(own) === id);
    if (!same) throw new AdminRefusal(400, idField === 'id' ? `wrong ${title} id` : `wrong ${idField}`);
    return id;
  }

  function checked(conf: Conf): Conf {
    const wrong = definition.check(conf, context);
    if (wrong !== null) throw new AdminRefusal(400, wrong);
    return conf;
  }

  function requireHarmony(id: string, conf: Conf): void {
    const { checkAmong } = definition;
    if (checkAmong === null) return;
    const { catalogue } = context;
    const list = (other: string): readonly StoredResource[] =>
      store.list(other).filter((resource) => other !== kind || resource.id !== id);
    const wrong = checkAmong({ id, value: conf }, { catalogue, list });
    if (wrong !== null) throw new AdminRefusal(400, wrong);
  }

  function requireUnused(id: string): void {
    const user = findUser({ kind, id }, store, resources);
    if (user === null) return;
    throw new AdminRefusal(400, `${definition.inUse}, ${user.title} [${user.id}] is still using it now`);
  }

  function plain({ id, value }: StoredResource): object {
    return { key: keyOf(kind, id), value: visible(value) };
  }

  function indexed(resource: StoredResource): object {
    const { createdIndex, modifiedIndex } = resource;
    return { ...plain(resource), createdIndex, modifiedIndex };
  }

  function visible(value: Conf): Conf {
    const { hiddenFields } = definition;
    if (hiddenFields.length === 0) return value;
    return Object.fromEntries(Object.entries(value).filter(([field]) => !hiddenFields.includes(field)));
  }

  const methods: Readonly<Record<string, (request: AdminRequest) => Promise<AdminReply>>> = {
    GET: get,
    PUT: put,
    POST: post,
    PATCH: patch,
    DELETE: remove,
  };

  return async (request) => {
    const method = methods[request.method];
    if (method === undefined) throw new AdminRefusal(404, 'not found');
    if (definition.unsupportedMethods.includes(request.method)) {
      throw new AdminRefusal(405, `not supported \`${request.method}\` method for ${title}`);
    }
    if (request.path.length > idSegments && request.method !== 'PATCH') {
      // APISIX ignores the rest of the path, so that DELETE of a plugin would delete the whole route.
      throw new AdminRefusal(400, `a path below the ${title} id is only supported with PATCH`);
    }
    const { path, parentId } = request;
    // No id has a slash; one that came encoded would name something else in the store.
    const isNowhere = [parentId ?? '', ...path.slice(0, idSegments)].some((segment) => segment.includes('/'));
    if (isNowhere && request.method !== 'PUT') return keyNotFound;
    if (definition.parent !== null && store.get(definition.parent, parentId ?? '') === undefined) {
      throw new AdminRefusal(404, `${parentTitle} not found`);
    }
    return method(request);
  };
}

const keyNotFound: AdminReply = { status: 404, body: { message: 'Key not found' } };

/** What ids in the store begin with, of resources that lie under another one. */
function idPrefix({ parentId }: AdminRequest): string {
  return parentId === undefined ? '' : `${parentId}/`;
}

function patched(old: Conf, subPath: readonly string[], body: unknown): Conf {
  const value = subPath.length === 0 ? mergePatch(old, body) : replaceAt(old, subPath, body);
  if (!isObject(value)) throw new AdminRefusal(400, `invalid sub-path: /${subPath.join('/')}`);
  return value;
}

function requireNoTimes(conf: Conf): void {
  for (const field of ['create_time', 'update_time']) {
    // Two spaces, as in APISIX.
    if (conf[field] !== undefined) throw new AdminRefusal(400, `the property is forbidden:  ${field}`);
  }
}

function ttlOptions(query: URLSearchParams): { ttlSeconds?: number } {
  const text = query.get('ttl');
  if (text === null) return {};
  const ttlSeconds = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(ttlSeconds)) throw new AdminRefusal(400, 'invalid argument ttl: should be a number');
  if (ttlSeconds <= 0 || ttlSeconds > maxTtlSeconds) {
    throw new AdminRefusal(400, `invalid argument ttl: should be greater than 0 and at most ${maxTtlSeconds}`);
  }
  return { ttlSeconds };
}

/** The key as APISIX users see it, with etcd's default prefix. */
function keyOf(kind: string, id: string): string {
  return toEtcdKey('/apisix', kind, id);
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

function isObject(value: unknown): value is Conf {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
