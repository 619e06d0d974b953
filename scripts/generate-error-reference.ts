import { readFileSync, writeFileSync } from 'node:fs';
import { type Blame, type ErrorCode, errorTable } from '../src/base/errors.ts';
import { fillBlocks, table } from './marked-blocks.ts';

const target = new URL('../docs/errors.md', import.meta.url);

/** What brings each error about, for a person who has it in front of them. */
const causes: Readonly<Record<ErrorCode, string>> = {
  BAD_REQUEST: 'The bytes are no HTTP/1.1 request, or one that two servers could read in two ways.',
  REQUEST_TIMEOUT: 'The head took longer than `client_header_timeout`, or the body paused for `client_body_timeout`.',
  BODY_TOO_LARGE: 'The body is larger than `client_max_body_size`, or `max_post_args_readable_size` while routing.',
  CLIENT_CERTIFICATE_REQUIRED:
    'The resource `ssls` of this host asks for a client certificate, and this connection has shown none, or one that was refused.',
  URI_TOO_LONG: 'The request line is longer than 16 KiB.',
  EXPECTATION_FAILED: 'An `Expect` header other than `100-continue`.',
  MISDIRECTED_REQUEST:
    'The connection was made for another server name, and the host asks for a client certificate. A client may try again with a connection of its own.',
  HEAD_TOO_LARGE: 'The head is larger than 32 KiB or has more than 100 fields.',
  CLIENT_CLOSED_REQUEST: 'The client left before its answer was complete. Only in logs.',
  TRANSFER_CODING_UNSUPPORTED: 'A `Transfer-Encoding` other than `chunked`.',
  HTTP_VERSION_UNSUPPORTED: 'The request line says neither HTTP/1.1 nor HTTP/1.0.',
  ROUTE_NOT_FOUND: 'No route takes this host, path, method and so on.',
  UNAUTHORIZED: 'An authentication plugin has not recognized the consumer; the answer says what it missed.',
  CONSUMER_NOT_ALLOWED:
    'The consumer may not use this route, by `consumer-restriction`. The status is its `rejected_code`.',
  CONSUMER_GROUP_MISSING:
    'The group of the consumer was deleted with `force`: what it would limit is not known, so nothing is let through.',
  LLM_CONTENT_TYPE: 'A `Content-Type` that does not begin with `application/json`.',
  LLM_BODY_EMPTY: 'A request without a body.',
  LLM_BODY_TOO_LARGE: 'The body is larger than `max_req_body_size` of the plugin.',
  LLM_BODY_SYNTAX: 'The body is no JSON, not UTF-8, or nested too deeply.',
  LLM_NO_PROTOCOL: 'The body is `{}`, `[]`, a number, a string, `true`, `false` or `null`.',
  LLM_PROTOCOL_UNSUPPORTED: 'The provider does not speak the protocol of this request.',
  LLM_CONVERSION: 'The request cannot be said in the protocol of the provider.',
  LLM_UPSTREAM_PATH: 'The path at the provider contains the model, and none is named.',
  LLM_AUTH: 'The credential for the provider is computed or fetched (`auth.gcp`, `auth.aws`), and that failed.',
  NO_UPSTREAM_NODE: 'The upstream of the route has no nodes.',
  NO_USABLE_INSTANCE: 'Every instance of `ai-proxy-multi` is out of quota, or unhealthy while others are not.',
  IP_NOT_ALLOWED:
    'The client is not in the `whitelist` of `ip-restriction`, or is in its `blacklist`. The status is its `response_code`.',
  PATTERN_UNDECIDED: 'A pattern of the configuration took longer than 50 ms for the path of this request.',
  RATE_LIMITED: 'A limit of the route is used up. The status is `rejected_code` of the plugin.',
  RATE_LIMIT_STORE:
    'The counters of a limit cannot be reached, and `allow_degradation` is off. The error log says why.',
  RATE_LIMIT_VALUE: 'A limit with variables has no usable value for this request. The error log names the field.',
  SECRET_UNAVAILABLE: 'A reference (`$env://`, `$secret://`) of a plugin has no value; see [secrets.md](secrets.md).',
  SECRET_INVALID: 'The value of a reference does not fit the field that it stands in, say an endpoint that is no URL.',
  PROMPT_TEMPLATE_MISSING: 'A request without `template_name`, on a route with `ai-prompt-template`.',
  PROMPT_TEMPLATE_UNKNOWN: '`template_name` is none of the templates of the route.',
  PROMPT_EMPTY: 'A request without a body, on a route with `ai-prompt-guard`.',
  PROMPT_UNRECOGNIZED: 'What is no LLM request, on a route with `ai-prompt-guard` and `fail_mode: error`.',
  PROMPT_NOT_ALLOWED: 'No pattern of `allow_patterns` matches the prompt.',
  PROMPT_DENIED: 'A pattern of `deny_patterns` matches the prompt.',
  PROMPT_UNDECIDED: 'The patterns of `ai-prompt-guard` took longer than 50 ms. The error log names the pattern.',
  LLM_REWRITE: 'The LLM of `ai-request-rewrite` gave no usable answer. The error log says why.',
  SHUTTING_DOWN: 'The gateway was stopped, or its time to finish ran out. In a stream: the last event.',
  ROUTE_WITHOUT_TARGET: 'The route has no plugin that forwards requests, or the plugin is disabled or filtered out.',
  INTERNAL: 'A fault in Weir. The error log has the stack and the request id.',
  UPSTREAM_DNS: 'The name of the provider does not resolve.',
  UPSTREAM_CONNECT: 'No address of the provider takes a connection.',
  UPSTREAM_CONNECT_TIMEOUT: 'Name, TCP and TLS together took longer than `timeout`.',
  UPSTREAM_TLS: 'The handshake failed, or the certificate was not accepted; the details say why.',
  UPSTREAM_SEND_TIMEOUT: 'The provider took nothing of the request for `timeout`.',
  UPSTREAM_READ_TIMEOUT: 'The provider sent nothing for `timeout`.',
  UPSTREAM_RESET: 'The connection ended before the answer did.',
  UPSTREAM_INVALID_RESPONSE: 'What came back is no HTTP/1.1 response.',
  UPSTREAM_ANSWER:
    'The answer is none: of an LLM that the gateway itself asked, one that cannot be converted for the client, or an empty one.',
  UPSTREAM_EMPTY_STREAM: 'Status 200 and `text/event-stream`, and then not one byte.',
  UPSTREAM_UNEXPECTED_STREAM: 'A stream that has to be converted for the client had no event that can be.',
  UPSTREAM_INCOMPLETE_STREAM:
    'A stream ended without what its protocol ends with, or has broken frames. It was relayed as it is; only in logs.',
  UPSTREAM_ERROR_EVENT: 'An event of a stream is an error. The client has got it; only in logs.',
  UPSTREAM_RESPONSE_TOO_LARGE:
    'The body of the answer is larger than `max_response_bytes`. In a stream: the last event.',
  UPSTREAM_STREAM_TOO_LONG: 'A stream took longer than `max_stream_duration_ms`. Mostly its last event.',
  ALL_INSTANCES_FAILED:
    'The instances of `ai-proxy-multi` answered with errors, one after the other. The body is that of the last; only in logs.',
};

const shapes = {
  text: 'text',
  message: '`{"message":…}`',
  error_msg: '`{"error_msg":…}`',
  openai: 'of the protocol',
  none: 'none',
} as const;

/** The text of docs/errors.md, its generated parts made anew. */
export function renderErrorReference(): string {
  return fillBlocks(readFileSync(target, 'utf8'), {
    client: renderTable('client'),
    gateway: renderTable('gateway'),
    upstream: renderTable('upstream'),
  });
}

function renderTable(blame: Blame): string {
  const rows = Object.entries(errorTable)
    .filter(([, row]) => row.blame === blame)
    .map(([code, row]) => [
      `\`${code}\``,
      String(row.status),
      row.retryable ? 'yes' : 'no',
      shapes[row.shape],
      `\`${row.message}\``,
      causes[code as ErrorCode],
    ]);
  return table(['code', 'status', 'retryable', 'body', 'message', 'when'], rows);
}

if (import.meta.main) writeFileSync(target, renderErrorReference());
