import { isIP } from 'node:net';
import { compileIpMatcher } from '../base/ip.ts';
import type { Exchange } from '../http/exchange.ts';

/**
 * Tells whether a request comes from a proxy whose `X-Forwarded-Proto`, `-Host` and `-Port` are believed.
 *
 * @param trusted - `apisix.trusted_addresses`.
 */
export function compileTrustedProxies(trusted: readonly string[]): (exchange: Exchange) => boolean {
  if (trusted.length === 0) return () => false;
  const isTrusted = compileIpMatcher(trusted);
  return ({ connection }) => isTrusted(connection.remoteAddress);
}

/**
 * Tells whose request it is when a trusted proxy stands in front, as nginx's realip module does (without recursion):
 * the last address in the header, if the connection comes from one of the trusted addresses.
 *
 * @param header - `nginx_config.http.real_ip_header`, in any case.
 * @param trusted - `nginx_config.http.real_ip_from`; `unix:` stands for sockets that Weir does not have.
 */
export function compileClientAddress(header: string, trusted: readonly string[]): (exchange: Exchange) => string {
  const name = header.toLowerCase();
  const isTrusted = compileIpMatcher(trusted.filter((entry) => entry !== 'unix:'));
  return ({ connection, head }) => {
    const value = head.fields.getCombined(name);
    if (value === undefined || !isTrusted(connection.remoteAddress)) return connection.remoteAddress;
    const last = value.slice(value.lastIndexOf(',') + 1).trim();
    return isIP(last) === 0 ? connection.remoteAddress : last;
  };
}
