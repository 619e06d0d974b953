import { pid } from 'node:process';
import { msec, timeIso8601, timeLocal } from '../observability/time-format.ts';
import { compileVariable, type ExtendVariables, type VariableValue } from '../router/variables.ts';
import type { AttemptRecord, RequestContext } from './context.ts';
import {
  hideValue,
  isCredentialArgument,
  isCredentialCookie,
  isCredentialHeader,
  shownQuery,
  shownUri,
} from './shown-credentials.ts';

/** What a log line may print of a request; undefined: this request has no such thing. */
export type LogGetter = (ctx: RequestContext) => string | number | undefined;

/**
 * Variables that only exist once a request has been served, or that nginx defines for logs. Initial values of the llm_*
 * ones as APISIX declares them; times of nginx are seconds with three decimals.
 */
const logVariables: ReadonlyMap<string, LogGetter> = new Map<string, LogGetter>([
  ['request', (ctx) => shownUri(ctx, ctx.exchange.head.requestLine)],
  ['request_line', (ctx) => shownUri(ctx, ctx.exchange.head.requestLine)],
  ['request_uri', (ctx) => shownUri(ctx, ctx.requestUri)],
  ['args', (ctx) => shownQuery(ctx, ctx.queryString)],
  ['query_string', (ctx) => shownQuery(ctx, ctx.queryString)],
  ['request_length', (ctx) => ctx.exchange.head.byteLength + ctx.exchange.bodyBytesReceived],
  ['request_time', (ctx) => seconds(performance.now() - ctx.exchange.startedAt)],
  ['request_id', (ctx) => ctx.uniqueId],
  ['apisix_request_id', (ctx) => ctx.id],
  ['remote_user', (ctx) => basicUser(ctx.exchange.head.fields.get('authorization'))],
  ['status', (ctx) => ctx.loggedStatus],
  ['body_bytes_sent', (ctx) => ctx.exchange.bodyBytesSent],
  ['bytes_sent', (ctx) => ctx.exchange.bytesSent],
  ['connection', (ctx) => ctx.exchange.connection.serial],
  ['connection_requests', (ctx) => ctx.exchange.requestNumber],
  ['time_local', () => timeLocal(Date.now())],
  ['time_iso8601', () => timeIso8601(Date.now())],
  ['msec', () => msec(Date.now())],
  ['pid', () => pid],
  ['document_uri', (ctx) => ctx.path],
  ['https', (ctx) => (ctx.exchange.connection.tls === null ? '' : 'on')],
  ['ssl_protocol', (ctx) => ctx.exchange.connection.tls?.protocol],
  ['ssl_cipher', (ctx) => ctx.exchange.connection.tls?.cipher],
  ['ssl_server_name', (ctx) => ctx.exchange.connection.tls?.serverName],
  ['ssl_client_verify', (ctx) => ctx.exchange.connection.tls?.clientVerify],
  ['realip_remote_addr', (ctx) => ctx.exchange.connection.remoteAddress],
  ['route_id', (ctx) => ctx.route?.id],
  ['route_name', (ctx) => ctx.route?.name],
  ['service_id', (ctx) => ctx.route?.serviceId],
  ['service_name', (ctx) => ctx.route?.serviceName],
  ['weir_error', (ctx) => ctx.errorCode ?? undefined],

  ['upstream_addr', (ctx) => perAttempt(ctx, (attempt) => attempt.address)],
  ['upstream_instance', (ctx) => perAttempt(ctx, (attempt) => toBytes(attempt.target))],
  ['upstream_status', (ctx) => perAttempt(ctx, (attempt) => (attempt.status === 0 ? '-' : String(attempt.status)))],
  ['upstream_response_time', (ctx) => perAttempt(ctx, (attempt) => secondsOrDash(attempt.responseMs))],
  ['upstream_connect_time', (ctx) => perAttempt(ctx, (attempt) => secondsOrDash(attempt.connectMs))],
  ['upstream_header_time', (ctx) => perAttempt(ctx, (attempt) => secondsOrDash(attempt.headerMs))],
  ['upstream_response_length', (ctx) => perAttempt(ctx, (attempt) => String(attempt.bytes))],
  ['upstream_scheme', (ctx) => ctx.upstreamScheme],
  ['upstream_host', (ctx) => ctx.upstreamHost],
  ['upstream_uri', (ctx) => (ctx.upstreamUri === undefined ? undefined : shownUri(ctx, ctx.upstreamUri))],
  ['apisix_upstream_response_time', (ctx) => perAttempt(ctx, (attempt) => upstreamMilliseconds(ctx, attempt))],

  ['request_type', (ctx) => ctx.llm?.requestType ?? 'traditional_http'],
  ['request_llm_model', (ctx) => toBytes(ctx.llm?.requestModel ?? '')],
  ['llm_model', (ctx) => toBytes(ctx.llm?.model ?? '')],
  ['llm_time_to_first_token', (ctx) => ctx.llm?.timeToFirstTokenMs ?? 0],
  ['llm_prompt_tokens', (ctx) => ctx.llm?.usage.promptTokens ?? 0],
  ['llm_completion_tokens', (ctx) => ctx.llm?.usage.completionTokens ?? 0],
  ['llm_total_tokens', (ctx) => ctx.llm?.usage.totalTokens ?? 0],
  ['llm_stream', (ctx) => String(ctx.llm?.requestType === 'ai_stream')],
  ['llm_has_tool_calls', (ctx) => String(ctx.llm?.hasToolCalls ?? false)],
  ['llm_tool_count', (ctx) => ctx.llm?.toolCount ?? 0],
  ['llm_end_user_id', (ctx) => toBytes(ctx.llm?.endUserId ?? '')],
  ['llm_cache_read_input_tokens', (ctx) => ctx.llm?.usage.cacheReadInputTokens ?? 0],
  ['llm_cache_creation_input_tokens', (ctx) => ctx.llm?.usage.cacheCreationInputTokens ?? 0],
  ['llm_reasoning_tokens', (ctx) => ctx.llm?.usage.reasoningTokens ?? 0],
  // No plugin of this version moderates content; APISIX prints the same without one.
  ['llm_content_risk_level', () => ''],
  ['llm_response_text', (ctx) => toBytes(ctx.llm?.responseText ?? '')],
]);

/** Made by the gateway of digits, letters, dots, colons and spaces only: by far most of a line, so worth knowing. */
const plainVariables: ReadonlySet<string> = new Set([
  'request_length',
  'request_time',
  'request_id',
  'status',
  'body_bytes_sent',
  'bytes_sent',
  'connection',
  'connection_requests',
  'time_local',
  'time_iso8601',
  'msec',
  'pid',
  'weir_error',
  'remote_addr',
  'remote_port',
  'realip_remote_addr',
  'server_addr',
  'server_port',
  'server_protocol',
  'scheme',
  'upstream_status',
  'upstream_response_time',
  'upstream_connect_time',
  'upstream_header_time',
  'upstream_response_length',
  'upstream_scheme',
  'apisix_upstream_response_time',
  'request_type',
  'llm_stream',
  'llm_has_tool_calls',
]);

/** True for a variable whose values never hold a character that any mode of a log escapes. */
export function isPlainLogVariable(name: string): boolean {
  return plainVariables.has(name);
}

/** Names to suggest when a format uses one that does not exist. */
export const logVariableNames: readonly string[] = [
  ...logVariables.keys(),
  'remote_addr',
  'remote_port',
  'http_host',
  'http_user_agent',
  'http_referer',
  'host',
  'uri',
  'request_uri',
  'request_method',
  'args',
  'scheme',
  'server_addr',
  'server_port',
  'server_protocol',
  'content_type',
  'content_length',
  'consumer_name',
  'consumer_group_id',
  'credential_identifier',
];

/** True when the format prints the model's answer, which then has to be kept while it streams by. */
export function printsResponseText(format: string): boolean {
  return /\$\{?llm_response_text\b/.test(format);
}

/**
 * Finds a variable of a log format: nginx's common ones, `$http_*`, `$sent_http_*`, `$arg_*`, `$cookie_*`, those of
 * APISIX for LLM calls, and Weir's own `$weir_error`.
 *
 * @returns Null when there is no such variable.
 */
export function resolveLogVariable(name: string): LogGetter | null {
  const known = logVariables.get(name);
  if (known !== undefined) return known;
  if (name.startsWith('sent_http_')) {
    const field = name.slice('sent_http_'.length).replaceAll('_', '-').toLowerCase();
    return (ctx) => sentField(ctx, field);
  }
  const getter = compileVariable(name, { arguments: 'raw' });
  if (getter === null) return null;
  const isHidden = credentialTest(name);
  return (ctx) => {
    const read = getter(ctx);
    const value = isHidden !== null && ctx.credentialPlaces.length > 0 && isHidden(ctx) ? hideValue(read) : read;
    return value === undefined || typeof value === 'number' || typeof value === 'string'
      ? value
      : JSON.stringify(value);
  };
}

/** Tells of a request whether the variable holds a credential; null: it never does. */
function credentialTest(variable: string): ((ctx: RequestContext) => boolean) | null {
  if (variable.startsWith('http_')) {
    const header = variable.slice('http_'.length).replaceAll('_', '-').toLowerCase();
    return (ctx) => isCredentialHeader(ctx, header);
  }
  if (variable.startsWith('cookie_')) {
    const cookie = variable.slice('cookie_'.length);
    return (ctx) => isCredentialCookie(ctx, cookie);
  }
  if (!variable.startsWith('arg_')) return null;
  const argument = variable.slice('arg_'.length);
  return (ctx) => isCredentialArgument(ctx, argument);
}

/**
 * Finds a variable for a text in the configuration of a plugin: those of requests as routes know them (`$arg_*` decoded),
 * then those that only logs know.
 *
 * @returns Null when there is no such variable.
 */
export function resolvePluginVariable(name: string): ((ctx: RequestContext) => VariableValue) | null {
  return compileVariable(name) ?? resolveLogVariable(name);
}

/** {@link resolveLogVariable} for expressions, those that are only ever asked about a RequestContext. */
export const logVariable: ExtendVariables = (name) => {
  const read = resolveLogVariable(name);
  return read === null ? null : (request) => read(request as RequestContext);
};

function perAttempt(ctx: RequestContext, read: (attempt: AttemptRecord) => string): string | undefined {
  const { attempts } = ctx;
  const first = attempts[0];
  if (first === undefined) return undefined;
  return attempts.length === 1 ? read(first) : attempts.map(read).join(', ');
}

function upstreamMilliseconds(ctx: RequestContext, attempt: AttemptRecord): string {
  if (ctx.llm === null) return secondsOrDash(attempt.responseMs);
  return attempt.responseMs === undefined ? '-' : String(Math.floor(attempt.responseMs));
}

// Number.prototype.toFixed costs more than the rest of a log line's numbers together.
const thousandths: readonly string[] = Array.from({ length: 1000 }, (_, value) => `.${String(value).padStart(3, '0')}`);

/** Seconds with three decimals, cut off as nginx does. */
function seconds(milliseconds: number): string {
  const whole = Math.trunc(milliseconds);
  return `${Math.trunc(whole / 1000)}${thousandths[whole % 1000]}`;
}

function secondsOrDash(milliseconds: number | undefined): string {
  return milliseconds === undefined ? '-' : seconds(milliseconds);
}

function sentField(ctx: RequestContext, name: string): string | undefined {
  const fields = ctx.exchange.sentFields;
  for (let i = 0; i < fields.length; i += 2) if (fields[i]?.toLowerCase() === name) return fields[i + 1];
  return undefined;
}

/** Text out of JSON as UTF-8, one character a byte, which is how everything else of a log line comes. */
function toBytes(text: string): string {
  return /[^\x00-\x7f]/.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text;
}

function basicUser(authorization: string | undefined): string | undefined {
  if (authorization === undefined || !/^basic /i.test(authorization)) return undefined;
  const user = Buffer.from(authorization.slice(6), 'base64').toString('latin1').split(':', 1)[0];
  return user === '' ? undefined : user;
}
