/** Where requests of one upstream go: scheme, host and port, never a path. */
export interface Origin {
  readonly scheme: 'http' | 'https';
  /** A name, an IPv4 address, or an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
}

/**
 * The origin as a map key, `https://api.openai.com:443`: names compare without case, the port is always written.
 * Meant for configuration time; keep the result instead of computing it per request.
 */
export function originKey(origin: Origin): string {
  return `${origin.scheme}://${hostPort(origin.host.toLowerCase(), origin.port)}`;
}

/** `host:port` as people and URLs write it, with the brackets that an IPv6 address needs. */
export function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The address of what {@link hostPort} has joined, without brackets. */
export function hostOf(joined: string): string {
  const host = joined.slice(0, joined.lastIndexOf(':'));
  return host.startsWith('[') ? host.slice(1, -1) : host;
}
