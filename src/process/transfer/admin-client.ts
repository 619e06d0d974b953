import { CommandError, UsageError } from '../command-error.ts';

type Json = Readonly<Record<string, unknown>>;

interface AdminClientOptions {
  /** Such as `http://127.0.0.1:9180`; `/apisix/admin` may follow. */
  readonly url: string;
  /** Absent: none is sent. */
  readonly key: string | undefined;
}

/** One resource of a list. */
interface AdminItem {
  /** Its key in etcd, `/apisix/routes/1`. */
  readonly key: string;
  readonly value: Json;
  readonly createdIndex: number;
}

/** What an Admin API has of one kind. */
interface AdminList {
  readonly items: readonly AdminItem[];
  /** Why it does not tell them, or `null`. */
  readonly refusal: string | null;
}

/** There is no gateway to talk to. */
export class UnreachableError extends CommandError {}

const callTimeoutMs = 30_000;

/** The largest that the Admin API allows. */
const pageSize = 500;

/** The characters of a header's value. https://www.rfc-editor.org/rfc/rfc9110.html#section-5.5 */
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/;

/** How much of a server's explanation is repeated. */
const maxReasonLength = 300;

/**
 * Calls the Admin API of Weir, or of APISIX 2 or 3.
 * https://apisix.apache.org/docs/apisix/admin-api/
 */
export class AdminClient {
  /** Without credentials. */
  readonly origin: string;
  readonly #base: string;
  readonly #key: string | undefined;

  /** @throws UsageError when the URL is none, or no header can hold the key. */
  constructor({ url, key }: AdminClientOptions) {
    const parsed = URL.canParse(url) ? new URL(url) : null;
    if (parsed === null || !/^https?:$/.test(parsed.protocol) || parsed.username !== '') {
      throw new UsageError('the URL of an Admin API looks like http://127.0.0.1:9180, and its key is given apart');
    }
    if (key !== undefined && !headerValue.test(key)) {
      throw new CommandError('the key of an Admin API has a character that no header can hold, such as a line break');
    }
    this.origin = parsed.origin;
    this.#base = `${parsed.origin}/apisix/admin`;
    this.#key = key;
  }

  /**
   * All resources below a path such as `routes`, in order of creation.
   *
   * @throws UnreachableError, or CommandError when the server refuses the key or fails.
   */
  async list(path: string): Promise<AdminList> {
    const found = new Map<string, AdminItem>();
    for (let page = 1; ; page++) {
      const { status, body } = await this.#call('GET', `${path}?page=${page}&page_size=${pageSize}`);
      // Nothing was ever stored there.
      if (status === 404 && body['message'] === 'Key not found') break;
      if (status !== 200) return { items: [], refusal: reasonOf(status, body) };
      const items = itemsOf(body);
      if (items === null) return { items: [], refusal: 'its answer is no list of resources' };
      const before = found.size;
      for (const item of items) found.set(item.key, item);
      // Version 2 of the API knows no pages and gives everything each time.
      if (items.length < pageSize || found.size === before) break;
    }
    return { items: [...found.values()].sort((a, b) => a.createdIndex - b.createdIndex), refusal: null };
  }

  /**
   * Makes or replaces one resource.
   *
   * @returns `null`, or why the server refuses it.
   * @throws As {@link list}.
   */
  async put(path: string, value: Json): Promise<string | null> {
    const { status, body } = await this.#call('PUT', path, value);
    return status === 200 || status === 201 ? null : reasonOf(status, body);
  }

  /** @returns `null`, also when there was no such resource; or why the server refuses. @throws As {@link list}. */
  async delete(path: string): Promise<string | null> {
    const { status, body } = await this.#call('DELETE', path);
    return status === 200 || status === 404 ? null : reasonOf(status, body);
  }

  async #call(method: string, path: string, value?: Json): Promise<{ status: number; body: Json }> {
    const { status, text } = await this.#send(method, path, value);
    const body = parse(text);
    if (status === 401) throw this.#error(`it refuses the key: ${reasonOf(status, body)}`);
    if (status === 403)
      throw this.#error('it refuses this address: see deployment.admin.allow_admin of its config.yaml');
    if (status >= 500) throw this.#error(reasonOf(status, body));
    return { status, body };
  }

  async #send(method: string, path: string, value?: Json): Promise<{ status: number; text: string }> {
    try {
      const response = await fetch(`${this.#base}/${path}`, {
        method,
        redirect: 'manual',
        signal: AbortSignal.timeout(callTimeoutMs),
        headers: { 'Content-Type': 'application/json', ...(this.#key !== undefined && { 'X-API-KEY': this.#key }) },
        ...(value !== undefined && { body: JSON.stringify(value) }),
      });
      return { status: response.status, text: await response.text() };
    } catch (error) {
      const message = `the Admin API at ${this.origin} cannot be reached: ${connectionFailure(error)}`;
      throw new UnreachableError(message, { cause: error });
    }
  }

  #error(sentence: string): CommandError {
    return new CommandError(`the Admin API at ${this.origin}: ${sentence}`);
  }
}

/** The items of `{"list": [...]}`, or of `{"node": {"nodes": [...]}}` of version 2. Lua writes an empty list as `{}`. */
function itemsOf(body: Json): AdminItem[] | null {
  const list = body['list'] ?? toObject(body['node'])['nodes'];
  if (!Array.isArray(list)) return typeof list === 'object' && list !== null ? [] : null;
  return list.map((item: unknown) => {
    const { key, value, createdIndex } = toObject(item);
    return { key: String(key), value: toObject(value), createdIndex: Number(createdIndex ?? 0) };
  });
}

function reasonOf(status: number, body: Json): string {
  const { error_msg, description, message } = body;
  const said = [error_msg, message].find((text) => typeof text === 'string') ?? `status ${status}`;
  const whole = typeof description === 'string' ? `${said}: ${description}` : said;
  return whole.length <= maxReasonLength ? whole : `${whole.slice(0, maxReasonLength)}...`;
}

function connectionFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${callTimeoutMs / 1000} s`;
  const { cause } = error;
  if (cause instanceof AggregateError) return cause.errors.map(connectionFailure).join(', ');
  return cause instanceof Error ? cause.message : error.message;
}

function parse(text: string): Json {
  try {
    return toObject(JSON.parse(text));
  } catch {
    // A page of nginx.
    return {};
  }
}

function toObject(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {};
}
