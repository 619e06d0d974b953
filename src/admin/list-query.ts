import { isNativeError } from 'node:util/types';
import vm from 'node:vm';
import type { StoredResource } from '../config/store/store.ts';
import { AdminRefusal } from './admin-reply.ts';

/** How long the regular expressions of one list request may take. They come from outside and could run for years. */
const regexTimeoutMs = 200;

interface ListPage {
  /** Number of resources that pass the filters, before paging. */
  readonly total: number;
  readonly list: readonly StoredResource[];
}

/**
 * Filters and pages a list: `name` and `uri` (regular expressions), `label` (a key that is present), `filter` (an
 * encoded query such as `service_id%3D1`), `page` together with `page_size`. An argument without a value is none.
 *
 * @param resources - In order of creation.
 * @throws AdminRefusal 400 for an argument that makes no sense.
 */
export function queryList(
  resources: readonly StoredResource[],
  query: URLSearchParams,
  filterFields: readonly string[],
): ListPage {
  let list = filterByFields(resources, query.get('filter'), filterFields);
  list = filterByRegex(list, 'name', query.get('name'), ({ value }) => strings(value['name']));
  list = filterByRegex(list, 'uri', query.get('uri'), ({ value }) => [
    ...strings(value['uri']),
    ...strings(value['uris']),
  ]);
  const label = query.get('label');
  if (label !== null && label !== '') list = list.filter(({ value }) => hasKey(value['labels'], label));
  return { total: list.length, list: pageOf(list, query) };
}

function pageOf(list: readonly StoredResource[], query: URLSearchParams): readonly StoredResource[] {
  const page = toInteger(query.get('page'));
  const size = toInteger(query.get('page_size'));
  if (page === undefined || size === undefined) return list;
  if (size < 10 || size > 500) throw new AdminRefusal(400, 'page_size must be between 10 and 500');
  const start = (Math.max(page, 1) - 1) * size;
  return list.slice(start, start + size);
}

function toInteger(text: string | null): number | undefined {
  const number = Number(text === null || text === '' ? Number.NaN : text);
  return Number.isFinite(number) ? Math.floor(number) : undefined;
}

function filterByFields(
  list: readonly StoredResource[],
  filter: string | null,
  filterFields: readonly string[],
): readonly StoredResource[] {
  const wanted = [...new URLSearchParams(filter ?? '')];
  for (const [field] of wanted) {
    if (!filterFields.includes(field)) {
      const expected = filterFields.length === 0 ? 'nothing' : filterFields.join(', ');
      throw new AdminRefusal(400, `invalid argument filter: cannot filter by "${field}", expected ${expected}`);
    }
  }
  return list.filter(({ value }) => wanted.every(([field, text]) => strings(value[field]).includes(text)));
}

function filterByRegex(
  list: readonly StoredResource[],
  argument: string,
  pattern: string | null,
  textsOf: (resource: StoredResource) => string[],
): readonly StoredResource[] {
  if (pattern === null || pattern === '') return list;
  const matching = matchAny(argument, pattern, list.map(textsOf));
  return list.filter((_, index) => matching[index]);
}

const matchScript = new vm.Script(`{
  const regex = new RegExp(pattern);
  JSON.stringify(texts.map((list) => list.some((text) => regex.test(text))));
}`);

/** Tells for each list of texts whether one of them matches. Runs in `vm`, which can stop a regular expression. */
function matchAny(argument: string, pattern: string, texts: readonly string[][]): readonly boolean[] {
  try {
    const context = vm.createContext({ pattern, texts });
    return JSON.parse(String(matchScript.runInContext(context, { timeout: regexTimeoutMs })));
  } catch (error) {
    // Errors of another realm are no `instanceof Error` here.
    const timedOut = isNativeError(error) && 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT';
    const reason = timedOut ? 'it takes too long' : 'it is not a regular expression';
    throw new AdminRefusal(400, `invalid argument ${argument}: ${reason}`);
  }
}

/** A text, number or list of texts as a list of texts. Anything else has none. */
function strings(value: unknown): string[] {
  if (typeof value === 'string' || typeof value === 'number') return [String(value)];
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

function hasKey(value: unknown, key: string): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key);
}
