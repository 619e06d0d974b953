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
 * Tells whose request it is when a trusted proxy stands in front, as nginx's realip module does: an address of the header,
 * with or without a port, if the connection comes from one of the trusted addresses.
 *
 * @param header - `nginx_config.http.real_ip_header`, in any case.
 * @param trusted - `nginx_config.http.real_ip_from`; `unix:` stands for sockets that Weir does not have.
 * @param recursive - `nginx_config.http.real_ip_recursive`: takes the last address that is not trusted, not the last one.
 * @see https://nginx.org/en/docs/http/ngx_http_realip_module.html
 */
export function compileClientAddress(
  header: string,
  trusted: readonly string[],
  recursive: boolean,
): (exchange: Exchange) => string {
  const name = header.toLowerCase();
  const isTrusted = compileIpMatcher(trusted.filter((entry) => entry !== 'unix:'));
  const isPassedOver = recursive ? isTrusted : () => false;
  return ({ connection, head }) => {
    let address = connection.remoteAddress;
    const value = head.fields.getCombined(name);
    if (value === undefined || !isTrusted(address)) return address;
    let end = value.length;
    do {
      const comma = end === 0 ? -1 : value.lastIndexOf(',', end - 1);
      const next = addressIn(value.slice(comma + 1, end));
      if (next === null) return address;
      address = next;
      end = comma;
    } while (end >= 0 && isPassedOver(address));
    return address;
  };
}

/** The address of `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` or `[::1]:80`; null when it is none of them. */
function addressIn(text: string): string | null {
  const trimmed = text.trim();
  if (isIP(trimmed) !== 0) return trimmed;
  const [, v6, v4] = /^(?:\[([^\]]+)\]|([\d.]+))(?::\d{1,5})?$/.exec(trimmed) ?? [];
  const address = v6 ?? v4 ?? '';
  return isIP(address) === (v6 === undefined ? 4 : 6) ? address : null;
}
