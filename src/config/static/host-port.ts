import { isIPv6 } from 'node:net';

interface HostPort {
  /** Name or address; an IPv6 address without its brackets. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

/** Splits `host:port` or `[ipv6]:port`. @returns Null when it is neither. */
export function parseHostPort(text: string): HostPort | null {
  const match = /^(?:\[([^\]]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(text);
  if (!match) return null;
  const [, bracketed, name, portText] = match;
  const port = Number(portText);
  if (port < 1 || port > 65535 || (bracketed !== undefined && !isIPv6(bracketed))) return null;
  return { host: bracketed ?? name ?? '', port };
}
