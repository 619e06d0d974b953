import { isIP } from 'node:net';

/** Where a TCP connection really goes. */
export interface Destination {
  /** A name or an IP address without brackets. */
  readonly host: string;
  readonly port: number;
}

/**
 * Parses the setting `weir.connect_to`, which sends an origin elsewhere as curl's `--connect-to` does.
 *
 * @param connectTo - `host:port` -> `host:port`; keys in lower case, IPv6 addresses in brackets.
 * @returns The same keys with parsed destinations.
 * @throws {TypeError} naming the entry whose key or value is not `host:port`.
 */
export function parseConnectTo(connectTo: ReadonlyMap<string, string>): ReadonlyMap<string, Destination> {
  const destinations = new Map<string, Destination>();
  for (const [from, to] of connectTo) {
    const destination = parseHostPort(to);
    if (parseHostPort(from) === null || destination === null) {
      throw new TypeError(
        `weir.connect_to: "${from}": "${to}": both sides must be host:port, for example "api.openai.com:443": "127.0.0.1:8443"`,
      );
    }
    destinations.set(from, destination);
  }
  return destinations;
}

function parseHostPort(text: string): Destination | null {
  const match = /^(?:\[(?<v6>[^\]]+)\]|(?<name>[^:[\]/\s]+)):(?<port>\d{1,5})$/.exec(text);
  if (match === null) return null;
  const { v6, name, port: digits } = match.groups ?? {};
  const host = v6 ?? name;
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535) return null;
  if (v6 !== undefined && isIP(v6) !== 6) return null;
  return { host, port };
}
