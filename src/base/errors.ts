/** Who a failure is attributed to. Health and retry look at this, never at texts. */
export type Blame = 'client' | 'gateway' | 'upstream';

/**
 * How the body of the error is written when no LLM protocol renders it.
 * `text`: the message as it stands. `message`: `{"message":…}`. `error_msg`: `{"error_msg":…}`.
 * `none`: empty body.
 */
export type ErrorShape = 'text' | 'message' | 'error_msg' | 'none';

interface ErrorRow {
  readonly status: number;
  readonly blame: Blame;
  /** True when another upstream could answer the same request. */
  readonly retryable: boolean;
  readonly shape: ErrorShape;
  /** `{}` is replaced by the details given where the error is raised. */
  readonly message: string;
}

const client = { blame: 'client', retryable: false } as const;
const gateway = { blame: 'gateway', retryable: false } as const;
const upstream = { blame: 'upstream', retryable: true, shape: 'error_msg' } as const;

/** Every error Weir answers with. Codes are stable: logs, metrics and docs/errors.md use them. */
export const errorTable = {
  BAD_REQUEST: { ...client, status: 400, shape: 'error_msg', message: 'bad request: {}' },
  REQUEST_TIMEOUT: { ...client, status: 408, shape: 'error_msg', message: 'the request did not arrive in time: {}' },
  BODY_TOO_LARGE: {
    ...client,
    status: 413,
    shape: 'error_msg',
    message: 'request size {} is greater than the maximum size {} allowed',
  },
  CLIENT_CERTIFICATE_REQUIRED: {
    ...client,
    status: 400,
    shape: 'error_msg',
    message: 'this host asks for a client certificate: {}',
  },
  URI_TOO_LONG: { ...client, status: 414, shape: 'error_msg', message: 'the request line is longer than {} bytes' },
  EXPECTATION_FAILED: { ...client, status: 417, shape: 'error_msg', message: 'unsupported expectation: {}' },
  MISDIRECTED_REQUEST: {
    ...client,
    status: 421,
    shape: 'error_msg',
    message: 'this connection was not made for the host {}, which asks for a client certificate',
  },
  HEAD_TOO_LARGE: { ...client, status: 431, shape: 'error_msg', message: 'the request head exceeds {}' },
  CLIENT_CLOSED_REQUEST: { ...client, status: 499, shape: 'none', message: 'the client closed the connection' },
  TRANSFER_CODING_UNSUPPORTED: {
    ...client,
    status: 501,
    shape: 'error_msg',
    message: 'unsupported transfer coding: {}',
  },
  HTTP_VERSION_UNSUPPORTED: { ...client, status: 505, shape: 'error_msg', message: 'unsupported HTTP version: {}' },

  ROUTE_NOT_FOUND: { ...client, status: 404, shape: 'error_msg', message: '404 Route Not Found' },

  UNAUTHORIZED: { ...client, status: 401, shape: 'message', message: '{}' },
  CONSUMER_NOT_ALLOWED: { ...client, status: 403, shape: 'message', message: '{}' },
  CONSUMER_GROUP_MISSING: {
    ...gateway,
    status: 503,
    shape: 'error_msg',
    message: 'the consumer group {} of the consumer {} does not exist',
  },

  LLM_CONTENT_TYPE: {
    ...client,
    status: 400,
    shape: 'text',
    message: 'unsupported content-type: {}, only application/json is supported',
  },
  LLM_BODY_EMPTY: { ...client, status: 400, shape: 'message', message: 'could not get body: request body is empty' },
  LLM_BODY_TOO_LARGE: {
    ...client,
    status: 413,
    shape: 'message',
    message: 'could not get body: request size {} is greater than the maximum size {} allowed',
  },
  LLM_BODY_SYNTAX: { ...client, status: 400, shape: 'message', message: 'could not parse JSON request body: {}' },
  LLM_NO_PROTOCOL: { ...client, status: 400, shape: 'text', message: 'no matching AI protocol for the request' },
  LLM_PROTOCOL_UNSUPPORTED: {
    ...client,
    status: 400,
    shape: 'text',
    message: 'provider {} does not support {} protocol (supported: {})',
  },

  LLM_CONVERSION: { ...client, status: 400, shape: 'error_msg', message: '{}' },
  LLM_UPSTREAM_PATH: {
    ...client,
    status: 400,
    shape: 'error_msg',
    message:
      'could not resolve upstream path: ensure the route or request body specifies a model, or that override.endpoint includes a path',
  },
  LLM_AUTH: {
    ...gateway,
    // Another instance has another credential.
    retryable: true,
    status: 500,
    shape: 'error_msg',
    message: 'failed to get the credential for the provider: {}',
  },

  NO_UPSTREAM_NODE: { ...gateway, status: 503, shape: 'error_msg', message: 'no valid upstream node' },
  NO_USABLE_INSTANCE: { ...gateway, status: 503, shape: 'text', message: 'all servers tried' },

  IP_NOT_ALLOWED: { ...client, status: 403, shape: 'message', message: 'Your IP address is not allowed' },
  PATTERN_UNDECIDED: {
    ...client,
    status: 400,
    shape: 'error_msg',
    message: '{} could not be matched with this request in time',
  },
  RATE_LIMITED: { ...client, status: 503, shape: 'none', message: 'the limit is used up' },
  RATE_LIMIT_STORE: { ...gateway, status: 500, shape: 'error_msg', message: 'failed to limit count' },
  RATE_LIMIT_VALUE: {
    ...gateway,
    status: 500,
    shape: 'error_msg',
    message: 'the limit of this request cannot be told: {}',
  },

  SECRET_UNAVAILABLE: {
    ...gateway,
    status: 503,
    shape: 'error_msg',
    message: 'a secret that this route needs is not available: {}: {}',
  },
  SECRET_INVALID: {
    ...gateway,
    status: 500,
    shape: 'error_msg',
    message: 'the configuration of plugin {} is not valid with the values of its secrets: {}',
  },
  PROMPT_TEMPLATE_MISSING: {
    ...client,
    status: 400,
    shape: 'message',
    message: 'template name is missing in request.',
  },
  PROMPT_TEMPLATE_UNKNOWN: { ...client, status: 400, shape: 'message', message: 'template: {} not configured.' },
  PROMPT_EMPTY: { ...client, status: 400, shape: 'message', message: 'Empty request body' },
  PROMPT_UNRECOGNIZED: {
    ...client,
    status: 400,
    shape: 'message',
    message: 'Request format not recognized by ai-prompt-guard',
  },
  PROMPT_NOT_ALLOWED: { ...client, status: 400, shape: 'message', message: "Request doesn't match allow patterns" },
  PROMPT_DENIED: { ...client, status: 400, shape: 'message', message: 'Request contains prohibited content' },
  PROMPT_UNDECIDED: {
    ...client,
    status: 400,
    shape: 'message',
    message: 'Request could not be checked by ai-prompt-guard in time',
  },
  LLM_REWRITE: { ...gateway, status: 500, shape: 'none', message: 'the request could not be rewritten: {}' },

  SHUTTING_DOWN: {
    ...gateway,
    status: 503,
    shape: 'error_msg',
    message: 'the gateway was stopped before the answer was complete',
  },
  ROUTE_WITHOUT_TARGET: {
    ...gateway,
    status: 502,
    shape: 'error_msg',
    message: 'no plugin of the matched route chose an upstream',
  },
  INTERNAL: { ...gateway, status: 500, shape: 'error_msg', message: 'internal error of the gateway' },

  UPSTREAM_DNS: { ...upstream, status: 502, message: 'cannot resolve the upstream host: {}' },
  UPSTREAM_CONNECT: { ...upstream, status: 502, message: 'cannot connect to the upstream: {}' },
  UPSTREAM_CONNECT_TIMEOUT: { ...upstream, status: 504, message: 'connecting to the upstream timed out: {}' },
  UPSTREAM_TLS: { ...upstream, status: 502, message: 'TLS with the upstream failed: {}' },
  UPSTREAM_SEND_TIMEOUT: { ...upstream, status: 504, message: 'sending the request to the upstream timed out: {}' },
  UPSTREAM_READ_TIMEOUT: { ...upstream, status: 504, message: 'the upstream did not answer in time: {}' },
  UPSTREAM_RESET: { ...upstream, status: 502, message: 'the upstream closed the connection too early: {}' },
  UPSTREAM_INVALID_RESPONSE: { ...upstream, status: 502, message: 'the upstream sent an invalid HTTP response: {}' },
  UPSTREAM_ANSWER: { ...upstream, status: 502, message: 'the upstream gave no usable answer: {}' },
  UPSTREAM_EMPTY_STREAM: {
    ...upstream,
    status: 502,
    message: 'the upstream closed the event stream without sending anything',
  },
  UPSTREAM_UNEXPECTED_STREAM: {
    ...upstream,
    status: 502,
    message:
      'streaming response completed without producing any output; the upstream likely returned a different stream format than the converter expects',
  },
  UPSTREAM_INCOMPLETE_STREAM: {
    ...upstream,
    status: 502,
    message: 'the stream of the upstream is incomplete: {}',
  },
  UPSTREAM_ERROR_EVENT: { ...upstream, status: 502, message: 'the upstream reported an error in its stream: {}' },
  UPSTREAM_RESPONSE_TOO_LARGE: { ...upstream, status: 502, message: 'max_response_bytes exceeded' },
  UPSTREAM_STREAM_TOO_LONG: { ...upstream, status: 504, message: 'max_stream_duration_ms exceeded' },
  ALL_INSTANCES_FAILED: { ...upstream, retryable: false, status: 502, message: 'no instance gave another answer' },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorTable;

/**
 * A failure with a stable code. What the client sees of it is decided once, where the reply is written.
 *
 * @example throw new WeirError('UPSTREAM_CONNECT', ['127.0.0.1:1: connection refused'], { cause: error });
 */
export class WeirError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly blame: Blame;
  readonly retryable: boolean;
  readonly shape: ErrorShape;
  readonly details: readonly (string | number)[];

  /** @param details - Fill the `{}` of the table's message in order; the last one may be left out. Never put a credential here. */
  constructor(code: ErrorCode, details: readonly (string | number)[] = [], options?: ErrorOptions) {
    const row = errorTable[code];
    let next = 0;
    super(row.message.replaceAll('{}', () => String(details[next++] ?? '')).replace(/: $/, ''), options);
    this.name = 'WeirError';
    this.code = code;
    this.status = row.status;
    this.blame = row.blame;
    this.retryable = row.retryable;
    this.shape = row.shape;
    this.details = details;
  }

  /** The same failure under another code, for clients that know it by other words. */
  as(code: ErrorCode): WeirError {
    return new WeirError(code, this.details, { cause: this });
  }
}
