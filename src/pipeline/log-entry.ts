import { hostname } from 'node:os';
import { version } from '../base/version.ts';
import { logEscapes } from '../observability/log-escape.ts';
import { redactFields } from '../observability/redact.ts';
import { decodeArgument, redactQuery, redactUri } from '../observability/redact-uri.ts';
import type { RequestContext } from './context.ts';
import { hideValue, isCredentialHeader, shownQuery, shownUri } from './shown-credentials.ts';

/** Bodies that go into an entry; undefined: not asked for, or not there. */
export interface LoggedBodies {
  readonly request: string | undefined;
  readonly response: string | undefined;
}

/** Text of a value that came with one character a byte. */
export const decodeBytes = logEscapes.none.escape;

const server = { hostname: hostname(), version };

/**
 * The entry of a request that APISIX's loggers write when no `log_format` is set, without credentials. Names, types and
 * units are theirs: latencies are milliseconds with a fraction, `uri` is the request target, `url` starts with the
 * scheme, sizes include the heads.
 *
 * @see https://apisix.apache.org/docs/apisix/plugins/http-logger/
 */
export function defaultLogEntry(ctx: RequestContext, bodies: LoggedBodies): Record<string, unknown> {
  const { exchange } = ctx;
  const uri = decodeBytes(redactUri(shownUri(ctx, ctx.requestUri)));
  const latency = performance.now() - exchange.startedAt;
  const times = ctx.attempts.map(({ responseMs }) => responseMs).filter((time) => time !== undefined);
  const upstreamLatency = times.reduce((sum, time) => sum + time, 0);
  return {
    request: {
      method: ctx.method,
      uri,
      url: `${ctx.scheme}://${ctx.host}:${ctx.serverPort}${uri}`,
      headers: fieldsObject(shownFields(ctx)),
      querystring: queryObject(shownQuery(ctx, ctx.queryString)),
      size: exchange.head.byteLength + exchange.bodyBytesReceived,
      ...(bodies.request !== undefined && { body: bodies.request }),
    },
    response: {
      status: ctx.loggedStatus,
      headers: fieldsObject(exchange.sentFields),
      size: exchange.bytesSent,
      ...(bodies.response !== undefined && { body: bodies.response }),
    },
    server,
    client_ip: ctx.remoteAddress,
    route_id: ctx.route?.id ?? '',
    service_id: ctx.route?.serviceId ?? '',
    ...(ctx.consumer !== null && { consumer: { username: ctx.consumer.name } }),
    ...(ctx.attempts.length > 0 && { upstream: ctx.attempts.map(({ address }) => address).join(', ') }),
    start_time: Math.round(Date.now() - latency),
    latency: toMicroseconds(latency),
    ...(times.length > 0 && { upstream_latency: toMicroseconds(upstreamLatency) }),
    apisix_latency: toMicroseconds(Math.max(0, latency - upstreamLatency)),
  };
}

/** The client's header fields, without what an authentication plugin takes from them. */
function shownFields(ctx: RequestContext): readonly string[] {
  const { flat } = ctx.exchange.head.fields;
  if (ctx.credentialPlaces.length === 0) return flat;
  return flat.map((text, index) =>
    index % 2 === 1 && isCredentialHeader(ctx, flat[index - 1] ?? '') ? (hideValue(text) ?? '') : text,
  );
}

/** name, value, … as an object: names in lower case, values of a name that comes several times as an array. */
function fieldsObject(flat: readonly string[]): Record<string, unknown> {
  const fields = new Map<string, string | string[]>();
  for (let i = 0; i < flat.length; i += 2) append(fields, flat[i]?.toLowerCase() ?? '', decodeBytes(flat[i + 1] ?? ''));
  return redactFields(Object.fromEntries(fields));
}

/** Query arguments, decoded; `true` for one without `=`. */
function queryObject(query: string): Record<string, unknown> {
  const values = new Map<string, string | true | (string | true)[]>();
  for (const argument of redactQuery(query).split('&')) {
    if (argument === '') continue;
    const equals = argument.indexOf('=');
    const name = decodeArgument(decodeBytes(equals === -1 ? argument : argument.slice(0, equals)));
    append(values, name, equals === -1 ? true : decodeArgument(decodeBytes(argument.slice(equals + 1))));
  }
  return redactFields(Object.fromEntries(values));
}

function append<T>(values: Map<string, T | T[]>, name: string, value: T): void {
  const earlier = values.get(name);
  if (earlier === undefined) values.set(name, value);
  else if (Array.isArray(earlier)) earlier.push(value);
  else values.set(name, [earlier, value]);
}

function toMicroseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}
