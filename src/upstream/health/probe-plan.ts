import { isIP } from 'node:net';
import { longestTimerMs } from '../../base/longest-timer.ts';
import { productToken } from '../../base/version.ts';
import type { ClientCertificate } from '../client-certificate.ts';
import type { WireRequest } from '../connection.ts';
import { hostPort, type Origin } from '../origin.ts';
import type { HealthCheck } from './health-check.ts';

/** Everything about the probes of one check but the address. */
export interface ProbePlan {
  /** Null: connecting is all that is asked for. */
  readonly request: WireRequest | null;
  readonly scheme: Origin['scheme'];
  /** Name for SNI and the certificate. */
  readonly servername: string;
  readonly verifyTls: boolean;
  readonly clientCertificate?: ClientCertificate;
  readonly timeoutMs: number;
}

/**
 * Decides what a check's probes are.
 *
 * - `type: http` to the port of an https endpoint goes through TLS: without it nothing but an error could come back.
 * - Credentials never leave in plain text for an instance that clients' requests reach through TLS.
 */
export function planProbes(check: HealthCheck): ProbePlan {
  const { origin, checks, verifyTls, clientCertificate } = check;
  const { active } = checks;
  const toEndpoint = active.port === undefined || active.port === origin.port;
  const scheme =
    active.type === 'https' || (active.type === 'http' && toEndpoint && origin.scheme === 'https') ? 'https' : 'http';
  const isExposed = scheme === 'http' && origin.scheme === 'https';
  return {
    request: active.type === 'tcp' ? null : writeRequest(check, scheme, !isExposed),
    scheme,
    servername: active.host === undefined ? origin.host : nameOf(active.host),
    verifyTls: verifyTls && active.https_verify_certificate,
    ...(clientCertificate !== undefined && { clientCertificate }),
    timeoutMs: Math.min(active.timeout * 1000, longestTimerMs),
  };
}

function writeRequest(check: HealthCheck, scheme: Origin['scheme'], withCredentials: boolean): WireRequest {
  const { active } = check.checks;
  const body = Buffer.from(active.http_req_body);
  const target = withCredentials ? joinQuery(active.http_path, check.query) : active.http_path;
  const credentials = withCredentials ? Object.entries(check.headers) : [];
  // Later ones win; a message has each of these once.
  const fields = new Map<string, string>();
  const add = (name: string, value: string): void => {
    fields.set(name.toLowerCase(), `${name}: ${value}\r\n`);
  };
  add('Host', active.host ?? hostHeader(check.origin, scheme, active.port));
  add('User-Agent', productToken);
  add('Accept', '*/*');
  for (const line of active.req_headers ?? []) {
    const colon = line.indexOf(':');
    add(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  for (const [name, value] of credentials) add(name, value);
  // What follows is about framing, which is ours to say.
  fields.delete('transfer-encoding');
  fields.delete('content-length');
  if (body.length > 0) add('Content-Length', String(body.length));
  add('Connection', 'close');
  const head = `${active.http_method} ${target} HTTP/1.1\r\n${[...fields.values()].join('')}\r\n`;
  return { method: active.http_method, head, body };
}

function joinQuery(path: string, query: string): string {
  if (query === '') return path;
  return path.includes('?') ? `${path}&${query}` : `${path}?${query}`;
}

function hostHeader(origin: Origin, scheme: Origin['scheme'], probedPort = origin.port): string {
  const isDefault = probedPort === (scheme === 'https' ? 443 : 80);
  if (!isDefault) return hostPort(origin.host, probedPort);
  return isIP(origin.host) === 6 ? `[${origin.host}]` : origin.host;
}

/** `example.com:8443` or `[::1]:8443` without port and brackets. */
function nameOf(host: string): string {
  const match = /^(?:\[(?<v6>[^\]]+)\]|(?<name>[^:]+))(?::\d+)?$/.exec(host);
  return match?.groups?.['v6'] ?? match?.groups?.['name'] ?? host;
}
