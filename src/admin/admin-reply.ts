/** What an endpoint of the Admin API takes, once the request is authorized and its body is parsed. */
export interface AdminRequest {
  readonly method: string;
  /** Decoded path segments after the resource's own: `['r1', 'plugins']` of `/apisix/admin/routes/r1/plugins`. */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
  /** The parsed JSON, or `undefined` when the request had no body. */
  readonly body: unknown;
}

/** What an endpoint answers. `body` is written as JSON; absent: an empty body. */
export interface AdminReply {
  readonly status: number;
  readonly body?: unknown;
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
