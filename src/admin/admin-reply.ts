/** What an endpoint of the Admin API takes, once the request is authorized and its body is parsed. */
export interface AdminRequest {
  readonly method: string;
  /** Decoded path segments after the resource's own: `['r1', 'plugins']` of `/apisix/admin/routes/r1/plugins`. */
  readonly path: readonly string[];
  /** Of a resource that lies under another one: the id of that one, `jack` of `/apisix/admin/consumers/jack/credentials/1`. */
  readonly parentId?: string;
  readonly query: URLSearchParams;
  /** The parsed JSON, or `undefined` when the request had no body. */
  readonly body: unknown;
}

/** What an endpoint answers: `body`, written as JSON, or `text` as it is, or nothing. */
export interface AdminReply {
  readonly status: number;
  readonly body?: unknown;
  readonly text?: string;
}

/** A request that an endpoint refuses. The body is `{"error_msg": message, ...more}`. */
export class AdminRefusal extends Error {
  readonly status: number;
  readonly more: Readonly<Record<string, unknown>>;

  /** @param more - Further fields of the body. */
  constructor(status: number, message: string, more: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.name = 'AdminRefusal';
    this.status = status;
    this.more = more;
  }

  toReply(): AdminReply {
    return { status: this.status, body: { error_msg: this.message, ...this.more } };
  }
}
